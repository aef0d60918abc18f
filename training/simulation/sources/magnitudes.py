"""Magnitudes of recurring sources: their distribution, and their colours in the survey's bands."""

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band
from training.simulation.environment import Environment

__all__ = ["BAND_ANGSTROM", "band_wavelengths", "colour_slope", "magnitude_range", "power_law_magnitudes"]

BAND_ANGSTROM = {
    Band.U: 3680.0,
    Band.G: 4790.0,
    Band.R: 6290.0,
    Band.I: 7600.0,
    Band.Z: 8680.0,
    Band.Y: 9730.0,
}


def band_wavelengths(environment: Environment) -> NDArray[np.float64]:
    """Return the effective wavelengths of the instrument's bands, shape (bands,), A.

    Parameters
    ----------
    environment
        Of the survey.
    """
    return np.array([BAND_ANGSTROM[band] for band in environment.instrument.bands])


def colour_slope(wavelength_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return magnitudes relative to r for each magnitude of g - r, along a straight line in 1 / lambda.

    Parameters
    ----------
    wavelength_angstrom
        Shape (bands,).
    """
    r_angstrom, g_angstrom = BAND_ANGSTROM[Band.R], BAND_ANGSTROM[Band.G]
    return (1 / wavelength_angstrom - 1 / r_angstrom) / (1 / g_angstrom - 1 / r_angstrom)


def magnitude_range(environment: Environment, bright_mag: float) -> tuple[float, float]:
    """Return the range of mean magnitudes; a source fainter than the limit may vary above it.

    Parameters
    ----------
    environment
        Of the survey.
    bright_mag
        Bright end.
    """
    return bright_mag, environment.limit_mag + 0.8


def power_law_magnitudes(
    rng: np.random.Generator, count: int, limits: tuple[float, float], slope: float
) -> NDArray[np.float64]:
    """Draw magnitudes with dN/dm ~ 10 ** (slope m).

    Parameters
    ----------
    rng
        Source of randomness.
    count
        Number of draws.
    limits
        Bright and faint end.
    slope
        Of the logarithm of the counts.

    Returns
    -------
    ndarray, shape (count,)
    """
    low, high = (10 ** (slope * limit) for limit in limits)
    return np.asarray(np.log10(low + rng.random(count) * (high - low)) / slope)
