"""From the surveys' magnitudes, counts and flux units to difference flux in nJy."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "AB_ZERO_POINT_NJY",
    "DETECTION_SIGMA",
    "FLUXCAL_ZERO_POINT",
    "flux_njy_of_counts",
    "flux_njy_of_magnitude",
    "magnitude_of_flux_njy",
    "njy_of_fluxcal",
    "noise_njy_of_limit",
    "relative_error_of_magnitude",
]

AB_ZERO_POINT_NJY = 31.4
"""AB magnitude of 1 nJy: -2.5 log10(1 nJy / 3631 Jy), as Rubin and ZTF round it."""

FLUXCAL_ZERO_POINT = 27.5
"""AB magnitude of FLUXCAL = 1, the flux unit of SNANA and of the published networks."""

DETECTION_SIGMA = 5.0
"""Signal-to-noise ratio of a detection, and of a limiting magnitude.

Both surveys send alerts from 5 sigma on (ZTF: Masci et al. 2019, PASP 131, 018003; LSST: DPDD, LSE-163), and
ZTF's diffmaglim is a 5-sigma limit (alert schema, field diffmaglim).
"""


def flux_njy_of_magnitude(magnitude: ArrayLike) -> NDArray[np.float64]:
    """Convert AB magnitudes to flux.

    Parameters
    ----------
    magnitude
        AB magnitude; NaN stays NaN.

    Returns
    -------
    ndarray, float64
        nJy, in the shape of the argument.
    """
    return np.asarray(10.0 ** (-0.4 * (np.asarray(magnitude, np.float64) - AB_ZERO_POINT_NJY)), np.float64)


def magnitude_of_flux_njy(flux_njy: ArrayLike) -> NDArray[np.float64]:
    """Convert flux to AB magnitudes.

    Parameters
    ----------
    flux_njy
        nJy.

    Returns
    -------
    ndarray, float64
        AB magnitude, in the shape of the argument; NaN where the flux is not positive.
    """
    flux = np.asarray(flux_njy, np.float64)
    return AB_ZERO_POINT_NJY - 2.5 * np.log10(np.where(flux > 0, flux, np.nan))


def relative_error_of_magnitude(magnitude_error: ArrayLike) -> NDArray[np.float64]:
    """Convert errors in magnitudes to relative flux errors, to first order.

    Parameters
    ----------
    magnitude_error
        1 sigma, mag.

    Returns
    -------
    ndarray, float64
        1 sigma in units of the flux, in the shape of the argument.
    """
    return np.asarray(magnitude_error, np.float64) * float(np.log(10.0) / 2.5)


def noise_njy_of_limit(limiting_magnitude: ArrayLike) -> NDArray[np.float64]:
    """Convert limiting magnitudes to noise.

    Parameters
    ----------
    limiting_magnitude
        AB magnitude of `DETECTION_SIGMA` times the noise.

    Returns
    -------
    ndarray, float64
        1 sigma, nJy, in the shape of the argument.
    """
    return flux_njy_of_magnitude(limiting_magnitude) / DETECTION_SIGMA


def flux_njy_of_counts(counts: ArrayLike, zero_point: ArrayLike) -> NDArray[np.float64]:
    """Convert detector counts to flux.

    Parameters
    ----------
    counts
        DN, signed.
    zero_point
        AB magnitude of 1 DN in the image.

    Returns
    -------
    ndarray, float64
        nJy, in the broadcast shape of the arguments.
    """
    return np.asarray(counts, np.float64) * flux_njy_of_magnitude(zero_point)


def njy_of_fluxcal() -> float:
    """Return the flux of FLUXCAL = 1 in nJy: 36.308."""
    return float(flux_njy_of_magnitude(FLUXCAL_ZERO_POINT))
