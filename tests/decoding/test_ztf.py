import numpy as np
import pytest

from service.core.alerts import Band, Kind, Survey
from service.decoding.wire.shipped import shipped_versions
from service.errors import RejectionCode
from tests.decoding.conftest import DecodeOne, RejectOne, rows_of
from tests.decoding.packets import ztf, ztf_bytes, ztf_forced, ztf_prv

JD = 2459408.9368056
MJD_TAI = JD - 2400000.5 + (15 + 37) / 86400
FLUX_18 = 10 ** (-0.4 * (18.0 - 31.4))
CANDID = 1655436960815015008


def flux_of(magnitude: float) -> float:
    return float(10 ** (-0.4 * (magnitude - 31.4)))


def test_an_alert_without_history_is_its_detection_in_common_units(decode_one: DecodeOne) -> None:
    alerts = decode_one(ztf_bytes(ztf(exptime=30.0)))
    assert alerts.survey == (Survey.ZTF,)
    assert alerts.object_id == ("ZTF21abiuvdk",)
    assert alerts.alert_id.tolist() == [CANDID]
    assert alerts.mjd_tai[0] == pytest.approx(MJD_TAI, abs=1e-9)
    assert (alerts.ra_deg[0], alerts.dec_deg[0]) == (244.8, -5.4)
    assert alerts.band.tolist() == [Band.G]
    ((mjd, flux, error, band, kind, source_id),) = rows_of(alerts)
    assert mjd == alerts.mjd_tai[0]
    assert flux == pytest.approx(FLUX_18, rel=1e-6)
    assert error == pytest.approx(FLUX_18 * 0.1 * np.log(10) / 2.5, rel=1e-6)
    assert (band, kind, source_id) == (Band.G, Kind.DETECTION, CANDID)


@pytest.mark.parametrize("version", shipped_versions("ztf"))
def test_every_published_version_decodes(decode_one: DecodeOne, version: str) -> None:
    alerts = decode_one(
        ztf_bytes(ztf(version, prv=[ztf_prv(version, jd=JD - 1, fid=2, pid=7, diffmaglim=20.0)]), version)
    )
    assert [row[4] for row in rows_of(alerts)] == [Kind.UPPER_LIMIT, Kind.DETECTION]


@pytest.mark.parametrize(("fid", "band"), [(1, Band.G), (2, Band.R), (3, Band.I)])
def test_filter_ids_are_bands(decode_one: DecodeOne, fid: int, band: Band) -> None:
    assert decode_one(ztf_bytes(ztf(fid=fid))).band.tolist() == [band]


@pytest.mark.parametrize(
    ("exptime", "middle_s"), [(30.0, 15), (60.0, 30), (None, 15), (0.0, 15), (float("nan"), 15)]
)
def test_the_time_is_the_middle_of_the_exposure_of_30_s_unless_given(
    decode_one: DecodeOne, exptime: float | None, middle_s: float
) -> None:
    alerts = decode_one(ztf_bytes(ztf(exptime=exptime)))
    assert alerts.mjd_tai[0] == pytest.approx(JD - 2400000.5 + (middle_s + 37) / 86400, abs=1e-9)


@pytest.mark.parametrize(("isdiffpos", "sign"), [("t", 1), ("1", 1), ("f", -1), ("0", -1)])
def test_both_spellings_of_the_sign_count_for_trigger_and_history(
    decode_one: DecodeOne, isdiffpos: str, sign: int
) -> None:
    previous = ztf_prv(jd=JD - 1, fid=1, pid=7, candid=3, isdiffpos=isdiffpos, magpsf=18.0, sigmapsf=0.1)
    alerts = decode_one(ztf_bytes(ztf(isdiffpos=isdiffpos, prv=[previous])))
    assert [np.sign(row[1]) for row in rows_of(alerts)] == [sign, sign]


@pytest.mark.parametrize("isdiffpos", ["", "x", "true"])
def test_a_trigger_without_a_sign_is_refused(reject_one: RejectOne, isdiffpos: str) -> None:
    error = reject_one(ztf_bytes(ztf(isdiffpos=isdiffpos)))
    assert error.code is RejectionCode.INVALID_VALUE
    assert "isdiffpos" in error.message


def test_an_upper_limit_is_no_flux_with_a_fifth_of_the_limit_as_error(decode_one: DecodeOne) -> None:
    limit = ztf_prv(jd=JD - 3, fid=2, pid=1652436960815, diffmaglim=20.5)
    (row, _) = rows_of(decode_one(ztf_bytes(ztf(prv=[limit]))))
    assert row[0] == pytest.approx(MJD_TAI - 3, abs=1e-9)
    assert row[1] == 0
    assert row[2] == pytest.approx(flux_of(20.5) / 5, rel=1e-6)
    assert row[3:] == (Band.R, Kind.UPPER_LIMIT, 1652436960815)


@pytest.mark.parametrize("diffmaglim", [None, float("nan"), float("inf"), -1006.94, -999.0, 0.0, 40.0])
def test_a_limit_with_a_bad_magnitude_is_left_out(decode_one: DecodeOne, diffmaglim: float | None) -> None:
    limit = ztf_prv(jd=JD - 3, fid=2, pid=5, diffmaglim=diffmaglim)
    assert len(rows_of(decode_one(ztf_bytes(ztf(prv=[limit]))))) == 1


@pytest.mark.parametrize("prv", [None, []])
def test_history_may_be_null_or_empty(decode_one: DecodeOne, prv: object) -> None:
    assert len(rows_of(decode_one(ztf_bytes(ztf(prv=prv))))) == 1


def test_history_is_sorted_in_time(decode_one: DecodeOne) -> None:
    prv = [ztf_prv(jd=JD - days, fid=1, pid=int(days), diffmaglim=20.0) for days in (2, 9, 1, 5)]
    times = [row[0] for row in rows_of(decode_one(ztf_bytes(ztf(prv=prv))))]
    assert times == sorted(times)


def test_two_detections_of_one_exposure_both_stay(decode_one: DecodeOne) -> None:
    same = {"jd": JD - 1, "fid": 1, "pid": 7, "isdiffpos": "t", "sigmapsf": 0.1}
    prv = [ztf_prv(candid=11, magpsf=18.0, **same), ztf_prv(candid=12, magpsf=18.1, **same)]
    assert [row[5] for row in rows_of(decode_one(ztf_bytes(ztf(prv=prv))))] == [11, 12, CANDID]


def test_the_same_row_twice_counts_once(decode_one: DecodeOne) -> None:
    row = ztf_prv(jd=JD - 1, fid=1, pid=7, candid=11, isdiffpos="t", magpsf=18.0, sigmapsf=0.1)
    limit = ztf_prv(jd=JD - 2, fid=1, pid=6, diffmaglim=20.0)
    assert [row[5] for row in rows_of(decode_one(ztf_bytes(ztf(prv=[row, limit, limit, row]))))] == [
        6,
        11,
        CANDID,
    ]


@pytest.mark.parametrize(
    "missing", [{"magpsf": None}, {"sigmapsf": None}, {"isdiffpos": None}, {"sigmapsf": 0.0}]
)
def test_a_previous_detection_without_photometry_is_left_out(
    decode_one: DecodeOne, missing: dict[str, object]
) -> None:
    values = {
        "jd": JD - 1,
        "fid": 1,
        "pid": 7,
        "candid": 11,
        "isdiffpos": "t",
        "magpsf": 18.0,
        "sigmapsf": 0.1,
    }
    prv = [ztf_prv(**(values | missing))]
    assert [row[5] for row in rows_of(decode_one(ztf_bytes(ztf(prv=prv))))] == [CANDID]


def test_forced_photometry_is_in_counts_at_its_own_zero_point(decode_one: DecodeOne) -> None:
    forced = ztf_forced(
        jd=JD - 1,
        fid=2,
        pid=99,
        forcediffimflux=-150.0,
        forcediffimfluxunc=10.0,
        magzpsci=26.4,
        procstatus="0",
        exptime=30.0,
    )
    (row, _) = rows_of(decode_one(ztf_bytes(ztf(fp=[forced]))))
    assert row[0] == pytest.approx(MJD_TAI - 1, abs=1e-9)
    assert row[1] == pytest.approx(-15000.0, rel=1e-6)
    assert row[2] == pytest.approx(1000.0, rel=1e-6)
    assert row[3:] == (Band.R, Kind.FORCED, 99)


@pytest.mark.parametrize(
    ("changes", "n_rows"),
    [
        ({}, 1),
        ({"procstatus": "56"}, 1),
        ({"procstatus": "57"}, 1),
        ({"procstatus": None}, 1),
        ({"procstatus": "61", "forcediffimflux": -99999.0, "forcediffimfluxunc": -99999.0}, 0),
        ({"forcediffimflux": -99999.0}, 0),
        ({"forcediffimfluxunc": -99999.0}, 0),
        ({"procstatus": "55"}, 0),
        ({"procstatus": "56,61"}, 0),
        ({"forcediffimflux": None}, 0),
        ({"forcediffimfluxunc": None}, 0),
        ({"magzpsci": None}, 0),
        ({"magzpsci": -999.0}, 0),
        ({"fid": 9}, 0),
    ],
)
def test_failed_forced_photometry_is_left_out(
    decode_one: DecodeOne, changes: dict[str, object], n_rows: int
) -> None:
    good = {
        "jd": JD - 1,
        "fid": 2,
        "pid": 99,
        "forcediffimflux": 150.0,
        "forcediffimfluxunc": 10.0,
        "magzpsci": 26.4,
        "procstatus": "0",
    }
    alerts = decode_one(ztf_bytes(ztf(fp=[ztf_forced(**(good | changes))])))
    assert len(rows_of(alerts)) == 1 + n_rows


def test_forced_photometry_stays_beside_the_detection_of_its_exposure(decode_one: DecodeOne) -> None:
    same = {"jd": JD - 1, "fid": 1, "pid": 7}
    prv = ztf_prv(candid=11, isdiffpos="t", magpsf=18.0, sigmapsf=0.1, **same)
    forced = ztf_forced(forcediffimflux=150.0, forcediffimfluxunc=10.0, magzpsci=26.4, **same)
    rows = rows_of(decode_one(ztf_bytes(ztf(prv=[prv], fp=[forced]))))
    assert [(row[4], row[5]) for row in rows] == [
        (Kind.DETECTION, 11),
        (Kind.FORCED, 7),
        (Kind.DETECTION, CANDID),
    ]


def test_the_alert_without_usable_photometry_still_counts(decode_one: DecodeOne) -> None:
    alerts = decode_one(ztf_bytes(ztf(magpsf=float("nan"))))
    assert len(alerts) == 1
    assert len(alerts.observations) == 0


@pytest.mark.parametrize(
    ("name", "distance", "expected"),
    [
        ("null", -999.0, False),
        ("null", None, False),
        (None, None, False),
        ("", None, False),
        ("110778", 0.0, True),
        ("110778", None, True),
        ("110778", -999.0, True),
        ("a name that is longer", 1.0, True),
        ("292631", 15.0, False),
    ],
)
def test_a_named_asteroid_at_this_place_makes_a_solar_system_alert(
    decode_one: DecodeOne, name: str | None, distance: float | None, expected: bool
) -> None:
    alerts = decode_one(ztf_bytes(ztf(ssnamenr=name, ssdistnr=distance)))
    assert alerts.is_solar_system.tolist() == [expected]


@pytest.mark.parametrize(
    ("rb", "drb", "expected"),
    [
        (0.5, 0.75, 0.75),
        (0.5, None, 0.5),
        (None, 0.25, 0.25),
        (0.5, -999.0, 0.5),
        (None, None, np.nan),
        (1.5, None, np.nan),
    ],
)
def test_real_bogus_is_the_deep_score_else_the_forests(
    decode_one: DecodeOne, rb: float | None, drb: float | None, expected: float
) -> None:
    np.testing.assert_equal(
        decode_one(ztf_bytes(ztf(rb=rb, drb=drb))).real_bogus, np.array([expected], np.float32)
    )


def test_real_bogus_of_versions_without_a_deep_score_is_the_forests(decode_one: DecodeOne) -> None:
    assert decode_one(ztf_bytes(ztf("3.0", rb=0.25), "3.0")).real_bogus.tolist() == [0.25]


@pytest.mark.parametrize(
    ("score", "distance", "expected"),
    [
        (0.75, 0.5, (0.75, 0.5)),
        (-999.0, -999.0, (np.nan, np.nan)),
        (None, None, (np.nan, np.nan)),
        (0.5, -999.0, (np.nan, np.nan)),
    ],
)
def test_the_nearest_star_is_missing_where_it_is_minus_999(
    decode_one: DecodeOne, score: float | None, distance: float | None, expected: tuple[float, float]
) -> None:
    alerts = decode_one(ztf_bytes(ztf(sgscore1=score, distpsnr1=distance)))
    star = [alerts.star_galaxy[0], alerts.star_distance_arcsec[0]]
    np.testing.assert_equal(star, np.array(expected, np.float32))


def test_ztf_gives_no_redshift_and_no_extinction(decode_one: DecodeOne) -> None:
    alerts = decode_one(ztf_bytes(ztf()))
    assert np.isnan([alerts.redshift[0], alerts.redshift_err[0], alerts.mwebv[0]]).all()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"jd": float("nan")}, "jd"),
        ({"jd": 0.0}, "jd"),
        ({"jd": 1e300}, "jd"),
        ({"fid": 0}, "fid"),
        ({"fid": 4}, "fid"),
        ({"fid": -1}, "fid"),
        ({"ra": -1.0}, "ra"),
        ({"ra": float("inf")}, "ra"),
        ({"dec": 91.0}, "dec"),
        ({"candid": 0}, "candid"),
        ({"candid": -5}, "candid"),
    ],
)
def test_impossible_values_of_the_alert_are_named(
    reject_one: RejectOne, changes: dict[str, float], field: str
) -> None:
    error = reject_one(ztf_bytes(ztf(**changes)))
    assert error.code is RejectionCode.INVALID_VALUE
    assert field in error.message


@pytest.mark.parametrize("changes", [{"jd": 5e6}, {"pid": -1}])
def test_impossible_times_and_ids_in_the_history_are_named(
    reject_one: RejectOne, changes: dict[str, float]
) -> None:
    limit = ztf_prv(**({"jd": JD - 3, "fid": 2, "pid": 5, "diffmaglim": 20.0} | changes))
    error = reject_one(ztf_bytes(ztf(prv=[limit])))
    assert error.code is RejectionCode.INVALID_VALUE
    assert "prv_candidates" in error.message


@pytest.mark.parametrize("name", ["ZTF{21}", "a b", "x" * 65, "../etc", "ZTF21é", "-"])
def test_a_name_that_could_mean_something_in_a_key_is_refused(reject_one: RejectOne, name: str) -> None:
    error = reject_one(ztf_bytes(ztf() | {"objectId": name}))
    assert error.code is RejectionCode.INVALID_VALUE
    assert "objectId" in error.message


def test_a_nameless_object_is_refused(reject_one: RejectOne) -> None:
    assert reject_one(ztf_bytes(ztf() | {"objectId": ""})).code is RejectionCode.MISSING_FIELD
