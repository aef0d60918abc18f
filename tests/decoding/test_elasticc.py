import numpy as np
import pytest

from service.core.alerts import Band, Kind, Survey
from service.decoding.wire.shipped import shipped_versions
from service.errors import RejectionCode
from tests.decoding.conftest import DecodeOne, RejectOne, rows_of
from tests.decoding.packets import (
    elasticc,
    elasticc_bytes,
    elasticc_forced,
    elasticc_object,
    elasticc_source,
)

SOURCE_ID = 23907342054
FLUXCAL_NJY = 10 ** (0.4 * (31.4 - 27.5))
PRERELEASE = "0.9-prerelease"


def test_a_bare_body_is_an_alert(decode_one: DecodeOne) -> None:
    alerts = decode_one(elasticc_bytes(elasticc()))
    assert alerts.survey == (Survey.ELASTICC,)
    assert alerts.object_id == ("11953671",)
    assert alerts.alert_id.tolist() == [SOURCE_ID]
    assert (alerts.mjd_tai[0], alerts.ra_deg[0], alerts.dec_deg[0]) == (60856.0645, 226.26, -9.17)
    assert not alerts.is_solar_system[0]
    assert np.isnan([alerts.real_bogus[0], alerts.star_galaxy[0]]).all()
    assert rows_of(alerts) == [(60856.0645, 3931.5, 414.5, Band.Y, Kind.DETECTION, SOURCE_ID)]


@pytest.mark.parametrize("version", shipped_versions("elasticc"))
def test_the_version_of_a_bare_body_is_the_one_that_fits_its_bytes(
    decode_one: DecodeOne, version: str
) -> None:
    previous = elasticc_source(version, diaSourceId=5, midPointTai=60850.0)
    host = elasticc_object(version, mwebv=0.25)
    alerts = decode_one(elasticc_bytes(elasticc(version, prvDiaSources=[previous], diaObject=host), version))
    assert [row[5] for row in rows_of(alerts)] == [5, SOURCE_ID]
    assert alerts.mwebv.tolist() == [0.25]


@pytest.mark.parametrize(
    ("name", "band"),
    [("u", Band.U), ("g", Band.G), ("r", Band.R), ("i", Band.I), ("z", Band.Z), ("Y", Band.Y), ("y", Band.Y)],
)
def test_band_names_are_bands_with_y_upper_case(decode_one: DecodeOne, name: str, band: Band) -> None:
    record = elasticc(diaSource=elasticc_source(filterName=name))
    assert decode_one(elasticc_bytes(record)).band.tolist() == [band]


def test_fluxes_of_the_challenge_are_in_nanojansky(decode_one: DecodeOne) -> None:
    assert rows_of(decode_one(elasticc_bytes(elasticc())))[0][1:3] == (3931.5, 414.5)


def test_fluxes_of_the_pre_release_are_in_fluxcal(decode_one: DecodeOne) -> None:
    record = elasticc(PRERELEASE, diaSource=elasticc_source(PRERELEASE, psFlux=100.0, psFluxErr=3.0))
    (row,) = rows_of(decode_one(elasticc_bytes(record, PRERELEASE)))
    assert row[1] == pytest.approx(100 * FLUXCAL_NJY, rel=1e-6)
    assert row[2] == pytest.approx(3 * FLUXCAL_NJY, rel=1e-6)


def test_the_constant_alert_id_of_the_pre_release_is_not_used(decode_one: DecodeOne) -> None:
    record = elasticc(PRERELEASE, alertId=1231321321)
    assert decode_one(elasticc_bytes(record, PRERELEASE)).alert_id.tolist() == [SOURCE_ID]


def test_forced_rows_that_repeat_detections_are_left_out(decode_one: DecodeOne) -> None:
    previous = elasticc_source(diaSourceId=5, midPointTai=60850.0, filterName="g")
    forced = [
        elasticc_forced(diaForcedSourceId=5, midPointTai=60850.0, filterName="g"),
        elasticc_forced(diaForcedSourceId=4, midPointTai=60849.0, filterName="g"),
        elasticc_forced(diaForcedSourceId=7, midPointTai=60856.0645, filterName="Y"),
    ]
    alerts = decode_one(elasticc_bytes(elasticc(prvDiaSources=[previous], prvDiaForcedSources=forced)))
    assert [(row[4], row[5]) for row in rows_of(alerts)] == [
        (Kind.FORCED, 4),
        (Kind.DETECTION, 5),
        (Kind.DETECTION, SOURCE_ID),
    ]


@pytest.mark.parametrize(
    "missing",
    [
        {"psFlux": -9.0},
        {"psFlux": -99.0},
        {"psFlux": -999.0},
        {"psFlux": -9999.0},
        {"psFlux": 999.0},
        {"psFluxErr": -9.0},
        {"psFluxErr": float("nan")},
    ],
)
def test_sentinels_are_no_photometry(decode_one: DecodeOne, missing: dict[str, float]) -> None:
    forced = elasticc_forced(diaForcedSourceId=4, **missing)
    alerts = decode_one(elasticc_bytes(elasticc(prvDiaForcedSources=[forced])))
    assert [row[5] for row in rows_of(alerts)] == [SOURCE_ID]


@pytest.mark.parametrize(
    ("zspec", "zphot", "expected"),
    [
        ((0.25, 0.001), (0.5, 0.125), (0.25, 0.001)),
        ((-9.0, -9.0), (0.5, 0.125), (0.5, 0.125)),
        ((-999.0, -999.0), (0.5, 0.125), (0.5, 0.125)),
        ((-9.0, -9.0), (-9.0, -9.0), (np.nan, np.nan)),
        ((None, None), (None, None), (np.nan, np.nan)),
        ((-99.0, -99.0), (-9999.0, 999.0), (np.nan, np.nan)),
        ((0.25, -9.0), (0.5, 0.125), (0.25, np.nan)),
    ],
)
def test_the_redshift_is_the_hosts_spectroscopic_else_photometric(
    decode_one: DecodeOne,
    zspec: tuple[float | None, float | None],
    zphot: tuple[float | None, float | None],
    expected: tuple[float, float],
) -> None:
    host = elasticc_object(
        hostgal_zspec=zspec[0], hostgal_zspec_err=zspec[1], hostgal_zphot=zphot[0], hostgal_zphot_err=zphot[1]
    )
    alerts = decode_one(elasticc_bytes(elasticc(diaObject=host)))
    np.testing.assert_equal([alerts.redshift[0], alerts.redshift_err[0]], np.array(expected, np.float32))


def test_the_redshift_of_the_pre_release_is_its_own_field(decode_one: DecodeOne) -> None:
    host = elasticc_object(PRERELEASE, hostgal_z=0.5, hostgal_z_err=0.25)
    alerts = decode_one(elasticc_bytes(elasticc(PRERELEASE, diaObject=host), PRERELEASE))
    assert (alerts.redshift[0], alerts.redshift_err[0]) == (0.5, 0.25)


@pytest.mark.parametrize(
    ("mwebv", "expected"), [(0.0, 0.0), (0.25, 0.25), (-9.0, np.nan), (999.0, np.nan), (None, np.nan)]
)
def test_extinction_is_nan_where_it_is_a_sentinel(
    decode_one: DecodeOne, mwebv: float | None, expected: float
) -> None:
    alerts = decode_one(elasticc_bytes(elasticc(diaObject=elasticc_object(mwebv=mwebv))))
    np.testing.assert_equal(alerts.mwebv, np.array([expected], np.float32))


def test_an_alert_without_an_object_record_keeps_its_object(decode_one: DecodeOne) -> None:
    alerts = decode_one(elasticc_bytes(elasticc(diaObject=None)))
    assert alerts.object_id == ("11953671",)
    assert np.isnan([alerts.redshift[0], alerts.mwebv[0]]).all()


def test_an_object_named_only_by_its_record_is_found(decode_one: DecodeOne) -> None:
    record = elasticc(diaSource=elasticc_source(diaObjectId=None))
    assert decode_one(elasticc_bytes(record)).object_id == ("11953671",)


def test_an_alert_of_no_object_is_refused(reject_one: RejectOne) -> None:
    record = elasticc(diaSource=elasticc_source(diaObjectId=None), diaObject=None)
    error = reject_one(elasticc_bytes(record))
    assert error.code is RejectionCode.MISSING_FIELD
    assert "diaObjectId" in error.message


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"diaSourceId": 0}, "diaSourceId"),
        ({"diaObjectId": -4}, "diaObjectId"),
        ({"midPointTai": 4e8}, "midPointTai"),
        ({"ra": -0.5}, "ra"),
        ({"decl": 90.5}, "decl"),
        ({"filterName": "V"}, "filterName"),
        ({"filterName": ""}, "filterName"),
    ],
)
def test_impossible_values_of_the_alert_are_named(
    reject_one: RejectOne, changes: dict[str, object], field: str
) -> None:
    error = reject_one(elasticc_bytes(elasticc(diaSource=elasticc_source(**changes))))
    assert error.code is RejectionCode.INVALID_VALUE
    assert field in error.message


def test_a_body_that_fits_no_version_is_said_to_be_none(reject_one: RejectOne) -> None:
    error = reject_one(b"not an alert")
    assert error.code is RejectionCode.MALFORMED
    assert error.message.startswith("not a bare ELAsTiCC record of any known schema: ")
