"""Times in the API: MJD TAI for computing, UTC for reading."""

from datetime import UTC, datetime, timedelta

from service.core.times import TAI_MINUS_UTC_S

__all__ = ["mjd_tai_of_utc", "utc_of_mjd_tai", "utc_of_unix_ms"]

_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)
_UNIX_ZERO = datetime(1970, 1, 1, tzinfo=UTC)


def utc_of_mjd_tai(mjd_tai: float) -> datetime | None:
    """Return a time in UTC, to the millisecond; None for NaN, and outside of the years 1 to 9999.

    Parameters
    ----------
    mjd_tai
        MJD TAI, days.
    """
    try:
        return _MJD_ZERO + timedelta(milliseconds=round(mjd_tai * 86_400_000 - TAI_MINUS_UTC_S * 1000))
    except (OverflowError, ValueError):
        return None


def utc_of_unix_ms(unix_ms: int) -> datetime:
    """Return a time of the service's clock, Unix milliseconds, in UTC.

    Parameters
    ----------
    unix_ms
        Milliseconds.
    """
    return _UNIX_ZERO + timedelta(milliseconds=unix_ms)


def mjd_tai_of_utc(moment: datetime) -> float:
    """Return the MJD TAI of a time with a zone.

    Parameters
    ----------
    moment
        A time with a zone.
    """
    return ((moment - _MJD_ZERO).total_seconds() + TAI_MINUS_UTC_S) / 86_400
