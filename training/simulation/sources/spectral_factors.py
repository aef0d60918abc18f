"""Factors on rest-frame spectra: dust of the host, colour warps, ultraviolet cutoffs."""

import numpy as np
from numpy.typing import NDArray

from training.simulation.sources.dust import R_V, extinction_per_ebv, transmission
from training.simulation.sources.spectra import BLACK_BODY_MIDDLE_ANGSTROM, TEMPLATE_MIDDLE_ANGSTROM

__all__ = ["colour_leverage", "colour_warp", "host_dust", "thermal_dust", "ultraviolet_cutoff"]

_TEMPLATE_EXTINCTION = extinction_per_ebv(TEMPLATE_MIDDLE_ANGSTROM)
_BLACK_BODY_EXTINCTION = extinction_per_ebv(np.clip(BLACK_BODY_MIDDLE_ANGSTROM, 912.0, None))


def host_dust(
    av_mag: NDArray[np.float64], per_ebv: NDArray[np.float64] = _TEMPLATE_EXTINCTION
) -> NDArray[np.float64]:
    """Return the transmission of the host's dust.

    Parameters
    ----------
    av_mag
        Shape (n,), A_V.
    per_ebv
        Shape (w,), A(lambda) / E(B-V); by default on the grid of the templates.

    Returns
    -------
    ndarray, shape (n, w)
    """
    return transmission(av_mag[:, None] / R_V * per_ebv)


def thermal_dust(av_mag: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the transmission of the host's dust on the grid of the black bodies, see `host_dust`.

    Parameters
    ----------
    av_mag
        Shape (n,), A_V.
    """
    return host_dust(av_mag, _BLACK_BODY_EXTINCTION)


def colour_leverage(wavelength_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how a reddening of g - r acts on other wavelengths: 0 at 6200 A, -1 at 4700 A, at most 2.

    Parameters
    ----------
    wavelength_angstrom
        Any shape, rest frame.
    """
    return np.clip((wavelength_angstrom - 6200.0) / 1500.0, -2.0, 2.0)


def colour_warp(
    rng: np.random.Generator,
    count: int,
    sigma_mag: float,
    middle_angstrom: NDArray[np.float64] = TEMPLATE_MIDDLE_ANGSTROM,
    mean_mag: float = 0.0,
) -> NDArray[np.float64]:
    """Return factors that tilt and bend spectra a little, since a few templates do not span a class.

    Parameters
    ----------
    rng
        Source of randomness.
    count
        Number of objects.
    sigma_mag
        Scatter of g - r that the tilt causes, mag.
    middle_angstrom
        Shape (w,), centres of the bins.
    mean_mag
        Mean reddening of g - r.

    Returns
    -------
    ndarray, shape (count, w)
        1 at 6200 A.
    """
    leverage = colour_leverage(middle_angstrom)
    # Extinction falls with wavelength: a positive tilt dims the blue side.
    tilt = -rng.normal(mean_mag, sigma_mag, count)[:, None] * leverage
    bend = rng.normal(0, 0.5 * sigma_mag, count)[:, None] * leverage**2
    return transmission(tilt + bend)


def ultraviolet_cutoff(
    cutoff_angstrom: NDArray[np.float64], slope: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return factors (lambda / cutoff) ** slope below a wavelength, 1 above it.

    Parameters
    ----------
    cutoff_angstrom, slope
        Shape (n,).

    Returns
    -------
    ndarray, shape (n, w)
        On the grid of the black bodies.
    """
    relative = np.minimum(BLACK_BODY_MIDDLE_ANGSTROM / cutoff_angstrom[:, None], 1.0)
    return np.asarray(relative ** slope[:, None])
