"""From what the surveys measure to the common units: MJD TAI in days, difference flux in nJy."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "AB_ZERO_POINT_NJY",
    "FLUXCAL_ZERO_POINT",
    "TAI_MINUS_UTC_S",
    "flux_njy_of_counts",
    "flux_njy_of_magnitude",
    "magnitude_of_flux_njy",
    "mjd_tai_of_utc_exposure",
    "njy_of_fluxcal",
    "noise_njy_of_limit",
    "relative_error_of_magnitude",
]

AB_ZERO_POINT_NJY = 31.4
"""AB magnitude of 1 nJy: -2.5 log10(1 nJy / 3631 Jy), as Rubin and ZTF round it."""

FLUXCAL_ZERO_POINT = 27.5
"""AB magnitude of FLUXCAL = 1, the flux unit of SNANA and of the published networks."""

TAI_MINUS_UTC_S = 37.0
"""Leap seconds since 2017-01-01, that is for all of ZTF; none has been announced since (IERS Bulletin C)."""

MJD_ZERO_JD = 2400000.5
SECONDS_PER_DAY = 86400.0
LIMIT_SIGMAS = 5.0
"""ZTF's diffmaglim is a 5-sigma limit (schema, field diffmaglim)."""


def mjd_tai_of_utc_exposure(jd_utc_start: ArrayLike, exposure_s: ArrayLike) -> NDArray[np.float64]:
    """Give the middle of an exposure.

    Parameters
    ----------
    jd_utc_start
        Julian date, UTC, of the start of the exposure.
    exposure_s
        Its length, seconds.

    Returns
    -------
    ndarray, float64
        MJD TAI, days, in the shape of the arguments.
    """
    # The large numbers are subtracted first: one float64 step of a JD is 40 microseconds, of an MJD 0.6.
    mjd_utc_start = np.asarray(jd_utc_start, np.float64) - MJD_ZERO_JD
    return mjd_utc_start + (np.asarray(exposure_s, np.float64) / 2 + TAI_MINUS_UTC_S) / SECONDS_PER_DAY


def flux_njy_of_magnitude(magnitude: ArrayLike) -> NDArray[np.float64]:
    """Give the flux in nJy of an AB magnitude; float64, in the shape of the argument."""
    return np.asarray(10.0 ** (-0.4 * (np.asarray(magnitude, np.float64) - AB_ZERO_POINT_NJY)), np.float64)


def magnitude_of_flux_njy(flux_njy: ArrayLike) -> NDArray[np.float64]:
    """Give the AB magnitude of a positive flux in nJy; NaN for any other."""
    flux = np.asarray(flux_njy, np.float64)
    return AB_ZERO_POINT_NJY - 2.5 * np.log10(np.where(flux > 0, flux, np.nan))


def relative_error_of_magnitude(magnitude_error: ArrayLike) -> NDArray[np.float64]:
    """Give the error of the flux, in units of the flux, of an error in magnitudes (to first order)."""
    return np.asarray(magnitude_error, np.float64) * float(np.log(10.0) / 2.5)


def noise_njy_of_limit(limiting_magnitude: ArrayLike) -> NDArray[np.float64]:
    """Give the 1-sigma noise in nJy that a 5-sigma limiting magnitude stands for."""
    return flux_njy_of_magnitude(limiting_magnitude) / LIMIT_SIGMAS


def flux_njy_of_counts(counts: ArrayLike, zero_point: ArrayLike) -> NDArray[np.float64]:
    """Give the flux in nJy of detector counts (DN) in an image of this AB zero point."""
    return np.asarray(counts, np.float64) * flux_njy_of_magnitude(zero_point)


def njy_of_fluxcal() -> float:
    """Give the flux in nJy of FLUXCAL = 1: 36.308."""
    return float(flux_njy_of_magnitude(FLUXCAL_ZERO_POINT))
