import pytest

from service.core.times import mjd_tai_of_mjd_utc, mjd_tai_of_utc_exposure


def test_an_exposure_is_timed_at_its_middle_in_tai() -> None:
    # 2017-08-17T12:41:04 UTC, JD 2457983.0285185: 60 s of exposure put the middle 30 s + 37 s later.
    mjd = mjd_tai_of_utc_exposure(2457983.0285185, 60.0)
    assert mjd == pytest.approx(57982.5285185 + 67 / 86400, abs=1e-9)


def test_tai_is_ahead_of_utc_by_37_seconds() -> None:
    assert (mjd_tai_of_mjd_utc(60000.0) - 60000.0) * 86400.0 == pytest.approx(37.0, abs=1e-5)
