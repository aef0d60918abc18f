import numpy as np
import pytest

from service.core.alerts import Band, Kind, Survey
from service.decoding.wire.shipped import shipped_versions
from service.errors import RejectionCode
from tests.decoding.conftest import DecodeOne, RejectOne, rows_of
from tests.decoding.packets import lsst, lsst_bytes, lsst_forced, lsst_object, lsst_source

SOURCE_ID = 170239611403501617
NAN = float("nan")


def test_an_alert_without_history_is_its_detection(decode_one: DecodeOne) -> None:
    alerts = decode_one(lsst_bytes(lsst(source=lsst_source(reliability=0.5, extendedness=1.0))))
    assert alerts.survey == (Survey.LSST,)
    assert alerts.object_id == ("170028500552515710",)
    assert alerts.alert_id.tolist() == [SOURCE_ID]
    assert (alerts.mjd_tai[0], alerts.ra_deg[0], alerts.dec_deg[0]) == (61138.08, 148.7, 1.7)
    assert alerts.band.tolist() == [Band.I]
    assert alerts.real_bogus.tolist() == [0.5]
    assert not alerts.is_solar_system[0]
    assert np.isnan([alerts.star_galaxy[0], alerts.redshift[0], alerts.mwebv[0]]).all()
    assert rows_of(alerts) == [(61138.08, 1234.5, 100.25, Band.I, Kind.DETECTION, SOURCE_ID)]


@pytest.mark.parametrize("version", shipped_versions("lsst"))
def test_every_published_version_decodes_by_its_id(decode_one: DecodeOne, version: str) -> None:
    previous = lsst_source(version, diaSourceId=5, midpointMjdTai=61130.0)
    alerts = decode_one(lsst_bytes(lsst(version, prvDiaSources=[previous]), version))
    assert [row[5] for row in rows_of(alerts)] == [5, SOURCE_ID]


@pytest.mark.parametrize(
    ("name", "band"),
    [("u", Band.U), ("g", Band.G), ("r", Band.R), ("i", Band.I), ("z", Band.Z), ("y", Band.Y)],
)
def test_band_names_are_bands(decode_one: DecodeOne, name: str, band: Band) -> None:
    assert decode_one(lsst_bytes(lsst(source=lsst_source(band=name)))).band.tolist() == [band]


def test_the_sign_is_the_fluxes_whatever_is_negative_says(decode_one: DecodeOne) -> None:
    source = lsst_source(psfFlux=-70.5, isNegative=False)
    assert rows_of(decode_one(lsst_bytes(lsst(source=source))))[0][1] == -70.5


def test_the_error_is_the_fluxes_whatever_snr_says(decode_one: DecodeOne) -> None:
    source = lsst_source(psfFlux=1000.0, psfFluxErr=50.0, snr=3.0)
    assert rows_of(decode_one(lsst_bytes(lsst(source=source))))[0][2] == 50.0


def test_flagged_photometry_that_has_a_value_stays(decode_one: DecodeOne) -> None:
    source = lsst_source(psfFlux_flag=True, centroid_flag=True, pixelFlags_edge=True)
    assert len(rows_of(decode_one(lsst_bytes(lsst(source=source))))) == 1


def test_history_is_the_union_of_detections_and_forced_rows_by_exposure(decode_one: DecodeOne) -> None:
    previous = [
        lsst_source(diaSourceId=11, midpointMjdTai=61130.0, band="g"),
        lsst_source(diaSourceId=12, midpointMjdTai=61131.0, band="g"),
    ]
    forced = [
        lsst_forced(diaForcedSourceId=21, midpointMjdTai=61130.0, band="g"),  # of detection 11
        lsst_forced(diaForcedSourceId=22, midpointMjdTai=61132.0, band="g"),
        lsst_forced(diaForcedSourceId=23, midpointMjdTai=61131.0, band="r"),
        lsst_forced(diaForcedSourceId=24, midpointMjdTai=61138.08, band="i"),  # of the trigger
    ]
    alerts = decode_one(lsst_bytes(lsst(prvDiaSources=previous, prvDiaForcedSources=forced)))
    expected = [
        (Kind.DETECTION, 11),
        (Kind.DETECTION, 12),
        (Kind.FORCED, 23),
        (Kind.FORCED, 22),
        (Kind.DETECTION, SOURCE_ID),
    ]
    assert [(row[4], row[5]) for row in rows_of(alerts)] == expected


def test_two_sources_of_one_visit_and_detector_both_stay(decode_one: DecodeOne) -> None:
    twin = lsst_source(diaSourceId=SOURCE_ID + 1)
    alerts = decode_one(lsst_bytes(lsst(prvDiaSources=[twin])))
    assert [row[5] for row in rows_of(alerts)] == [SOURCE_ID, SOURCE_ID + 1]


@pytest.mark.parametrize("nothing", [None, 0])
def test_a_forced_row_without_an_id_is_known_by_its_exposure(
    decode_one: DecodeOne, nothing: int | None
) -> None:
    # The published schemas do not allow null here; 0 is how they write it.
    forced = lsst_forced(diaForcedSourceId=nothing or 0, visit=2026040700100, detector=42)
    alerts = decode_one(lsst_bytes(lsst(prvDiaForcedSources=[forced])))
    assert rows_of(alerts)[0][5] == 2026040700100 * 1000 + 42


@pytest.mark.parametrize(
    "missing",
    [
        {"psfFlux": None},
        {"psfFlux": NAN},
        {"psfFluxErr": None},
        {"psfFluxErr": NAN},
        {"psfFluxErr": 0.0},
        {"band": None},
        {"band": "w"},
    ],
)
def test_history_without_a_measurement_is_left_out(decode_one: DecodeOne, missing: dict[str, object]) -> None:
    previous = lsst_source(diaSourceId=5, **({"midpointMjdTai": 61130.0} | missing))
    forced = lsst_forced(diaForcedSourceId=6, **({"midpointMjdTai": 61131.0} | missing))
    alerts = decode_one(lsst_bytes(lsst(prvDiaSources=[previous], prvDiaForcedSources=[forced])))
    assert [row[5] for row in rows_of(alerts)] == [SOURCE_ID]


@pytest.mark.parametrize("missing", [{"psfFlux": None}, {"psfFluxErr": NAN}])
def test_a_trigger_without_photometry_still_counts(decode_one: DecodeOne, missing: dict[str, object]) -> None:
    alerts = decode_one(lsst_bytes(lsst(source=lsst_source(**missing))))
    assert len(alerts) == 1
    assert len(alerts.observations) == 0


@pytest.mark.parametrize("nothing", [None, NAN])
def test_a_missing_reliability_is_nan(decode_one: DecodeOne, nothing: float | None) -> None:
    assert np.isnan(decode_one(lsst_bytes(lsst(source=lsst_source(reliability=nothing)))).real_bogus[0])


@pytest.mark.parametrize("no_object", [None, 0])
def test_a_solar_system_alert_is_named_after_its_ss_object(
    decode_one: DecodeOne, no_object: int | None
) -> None:
    source = lsst_source(diaObjectId=no_object, ssObjectId=21163620217073748)
    alerts = decode_one(lsst_bytes(lsst(source=source, prvDiaSources=None, prvDiaForcedSources=None)))
    assert alerts.object_id == ("ss21163620217073748",)
    assert alerts.is_solar_system.tolist() == [True]
    assert len(rows_of(alerts)) == 1


@pytest.mark.parametrize("no_object", [None, 0])
def test_an_alert_of_no_object_at_all_is_named_after_its_source(
    decode_one: DecodeOne, no_object: int | None
) -> None:
    alerts = decode_one(lsst_bytes(lsst(source=lsst_source(diaObjectId=no_object, ssObjectId=no_object))))
    assert alerts.object_id == (f"src{SOURCE_ID}",)
    assert alerts.is_solar_system.tolist() == [False]


def test_an_object_named_only_by_the_dia_object_is_found(decode_one: DecodeOne) -> None:
    record = lsst(source=lsst_source(diaObjectId=None), diaObject=lsst_object(diaObjectId=77))
    assert decode_one(lsst_bytes(record)).object_id == ("77",)


def test_a_source_of_both_kinds_of_object_keeps_its_dia_object(decode_one: DecodeOne) -> None:
    alerts = decode_one(lsst_bytes(lsst(source=lsst_source(ssObjectId=9))))
    assert alerts.object_id == ("170028500552515710",)
    assert alerts.is_solar_system.tolist() == [True]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"diaSourceId": 0}, "diaSourceId"),
        ({"diaSourceId": -1}, "diaSourceId"),
        ({"diaObjectId": -1}, "diaObjectId"),
        ({"midpointMjdTai": NAN}, "midpointMjdTai"),
        ({"midpointMjdTai": 1480360995.0}, "midpointMjdTai"),
        ({"midpointMjdTai": -1.0}, "midpointMjdTai"),
        ({"ra": 361.0}, "ra"),
        ({"ra": NAN}, "ra"),
        ({"dec": -90.5}, "dec"),
        ({"band": "q"}, "band"),
        ({"band": "iii"}, "band"),
    ],
)
def test_impossible_values_of_the_alert_are_named(
    reject_one: RejectOne, changes: dict[str, object], field: str
) -> None:
    error = reject_one(lsst_bytes(lsst(source=lsst_source(**changes))))
    assert error.code is RejectionCode.INVALID_VALUE
    assert field in error.message


def test_a_trigger_without_a_band_is_refused(reject_one: RejectOne) -> None:
    error = reject_one(lsst_bytes(lsst(source=lsst_source(band=None))))
    assert error.code is RejectionCode.MISSING_FIELD
    assert "band" in error.message


@pytest.mark.parametrize("changes", [{"midpointMjdTai": 1e12}, {"diaSourceId": -3}])
def test_impossible_times_and_ids_in_the_history_are_named(
    reject_one: RejectOne, changes: dict[str, float]
) -> None:
    previous = lsst_source(**({"diaSourceId": 5, "midpointMjdTai": 61130.0} | changes))
    error = reject_one(lsst_bytes(lsst(prvDiaSources=[previous])))
    assert error.code is RejectionCode.INVALID_VALUE
    assert "prvDiaSources" in error.message
