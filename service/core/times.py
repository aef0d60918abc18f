"""Time scales: from UTC, which people and some surveys use, to MJD TAI in days, which the service stores."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "SECONDS_PER_DAY",
    "TAI_MINUS_UTC_DAYS",
    "TAI_MINUS_UTC_S",
    "mjd_tai_of_mjd_utc",
    "mjd_tai_of_unix_ms",
    "mjd_tai_of_utc_exposure",
]

SECONDS_PER_DAY = 86400.0

TAI_MINUS_UTC_S = 37.0
"""Valid since 2017-01-01, hence for all of ZTF and LSST (IERS Bulletin C: no leap second since)."""

TAI_MINUS_UTC_DAYS = TAI_MINUS_UTC_S / SECONDS_PER_DAY

JD_OF_MJD_ZERO = 2400000.5

UNIX_EPOCH_MJD = 40587.0


def mjd_tai_of_mjd_utc(mjd_utc: ArrayLike) -> NDArray[np.float64]:
    """Convert MJD UTC to MJD TAI.

    Parameters
    ----------
    mjd_utc
        Days, UTC, since 2017.

    Returns
    -------
    ndarray, float64
        MJD TAI, days, in the shape of the argument.
    """
    return np.asarray(mjd_utc, np.float64) + TAI_MINUS_UTC_DAYS


def mjd_tai_of_utc_exposure(jd_utc_start: ArrayLike, exposure_s: ArrayLike) -> NDArray[np.float64]:
    """Return the middle of an exposure.

    Parameters
    ----------
    jd_utc_start
        Julian date, UTC, of the start of the exposure.
    exposure_s
        Exposure time, seconds.

    Returns
    -------
    ndarray, float64
        MJD TAI, days, in the broadcast shape of the arguments.
    """
    # The large numbers are subtracted first: one float64 step of a JD is 40 microseconds, of an MJD 0.6.
    mjd_utc_start = np.asarray(jd_utc_start, np.float64) - JD_OF_MJD_ZERO
    return mjd_utc_start + (np.asarray(exposure_s, np.float64) / 2 + TAI_MINUS_UTC_S) / SECONDS_PER_DAY


def mjd_tai_of_unix_ms(unix_ms: float) -> float:
    """Return the MJD TAI, days, of a Unix time in milliseconds since 2017."""
    return UNIX_EPOCH_MJD + (unix_ms / 1000 + TAI_MINUS_UTC_S) / SECONDS_PER_DAY
