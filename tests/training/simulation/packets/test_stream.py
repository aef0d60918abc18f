from collections import defaultdict
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pytest

from service.core.alerts import AlertBatch, Kind, Survey
from service.decoding.decoder import Decoder, RawMessage
from service.decoding.wire.schemas import SchemaStore
from training.simulation.light_curves import SimulatedLightCurves
from training.simulation.packets import Packet, make_packets, shifted, write_packets


def decoded(packets: list[Packet]) -> AlertBatch:
    batch = Decoder(SchemaStore()).decode([RawMessage(p.value, p.survey) for p in packets])
    assert batch.rejected == ()
    return batch.alerts


@pytest.fixture(scope="module")
def ztf_alerts(ztf_sample: SimulatedLightCurves) -> AlertBatch:
    return decoded(sky_packets(ztf_sample, Survey.ZTF))


@pytest.fixture(scope="module")
def lsst_alerts(lsst_sample: SimulatedLightCurves) -> AlertBatch:
    return decoded(sky_packets(lsst_sample, Survey.LSST))


def sky_packets(sample: SimulatedLightCurves, survey: Survey, seed: int = 1) -> list[Packet]:
    return list(make_packets([(survey, sample)], seed, extras=False))


def test_every_detection_becomes_one_alert_at_its_time(
    ztf_sample: SimulatedLightCurves,
    lsst_sample: SimulatedLightCurves,
    ztf_alerts: AlertBatch,
    lsst_alerts: AlertBatch,
) -> None:
    for alerts, sample in ((ztf_alerts, ztf_sample), (lsst_alerts, lsst_sample)):
        expected = np.sort(sample.mjd_tai[sample.kind == Kind.DETECTION])
        # A Julian date resolves 40 microseconds.
        np.testing.assert_allclose(alerts.mjd_tai, expected, rtol=0, atol=1e-9)
        assert len(set(alerts.object_id)) == len(sample)
        assert len(set(alerts.alert_id.tolist())) == len(alerts)


def test_packets_come_in_order_of_time(
    ztf_sample: SimulatedLightCurves, lsst_sample: SimulatedLightCurves
) -> None:
    both = [(Survey.ZTF, ztf_sample), (Survey.LSST, shifted(lsst_sample, 59_000.0, 30.0, 1))]
    times = [packet.mjd_tai for packet in make_packets(both, 1)]
    assert times == sorted(times)


def test_ztf_packets_decode_to_the_last_thirty_days_of_the_light_curve(
    ztf_sample: SimulatedLightCurves, ztf_alerts: AlertBatch
) -> None:
    alerts = ztf_alerts
    by_object = match_objects(alerts, ztf_sample)
    for i in range(len(alerts)):
        index = by_object[alerts.object_id[i]]
        rows = slice(ztf_sample.offsets[index], ztf_sample.offsets[index + 1])
        mjd, kind = ztf_sample.mjd_tai[rows], ztf_sample.kind[rows]
        now = alerts.mjd_tai[i]
        earlier = (mjd >= now - 30 + 1e-6) & (mjd < now - 1e-6)
        trigger = (kind == Kind.DETECTION) & (np.abs(mjd - now) < 1e-6)
        expected = earlier | trigger
        seen = alerts.light_curve(i)
        for each in (Kind.DETECTION, Kind.UPPER_LIMIT):
            np.testing.assert_allclose(
                seen["mjd_tai"][seen["kind"] == each], mjd[expected & (kind == each)], rtol=0, atol=1e-9
            )
            np.testing.assert_allclose(
                seen["flux_njy"][seen["kind"] == each],
                ztf_sample.flux_njy[rows][expected & (kind == each)],
                rtol=1e-5,
            )
            np.testing.assert_allclose(
                seen["flux_err_njy"][seen["kind"] == each],
                ztf_sample.flux_err_njy[rows][expected & (kind == each)],
                rtol=1e-5,
            )
        forced = seen[seen["kind"] == Kind.FORCED]
        forced_rows = kind == Kind.FORCED
        known = dict(zip(mjd[forced_rows].round(6), ztf_sample.flux_njy[rows][forced_rows], strict=True))
        # One in a hundred fails and is left out.
        assert len(forced) >= 0.8 * np.sum(earlier & (kind == Kind.FORCED)) - 2
        for row in forced:
            assert row["flux_njy"] == pytest.approx(known[round(float(row["mjd_tai"]), 6)], rel=1e-4)


def test_lsst_packets_decode_to_the_light_curve_since_the_first_detection(
    lsst_sample: SimulatedLightCurves, lsst_alerts: AlertBatch
) -> None:
    alerts = lsst_alerts
    by_object = match_objects(alerts, lsst_sample)
    for i in range(len(alerts)):
        index = by_object[alerts.object_id[i]]
        rows = slice(lsst_sample.offsets[index], lsst_sample.offsets[index + 1])
        mjd, kind, flux = lsst_sample.mjd_tai[rows], lsst_sample.kind[rows], lsst_sample.flux_njy[rows]
        now = alerts.mjd_tai[i]
        seen = alerts.light_curve(i)
        detection = (kind == Kind.DETECTION) & (mjd <= now) & (mjd > now - 365)
        np.testing.assert_array_equal(
            np.sort(seen["mjd_tai"][seen["kind"] == Kind.DETECTION]), np.sort(mjd[detection])
        )
        np.testing.assert_array_equal(
            np.sort(seen["flux_njy"][seen["kind"] == Kind.DETECTION]), np.sort(flux[detection])
        )
        forced = (kind == Kind.FORCED) & (mjd >= lsst_sample.trigger_mjd_tai[index])
        forced &= (mjd <= now) & (mjd > now - 30) & (detection.sum() > 1)
        np.testing.assert_array_equal(
            np.sort(seen["mjd_tai"][seen["kind"] == Kind.FORCED]), np.sort(mjd[forced])
        )


def match_objects(alerts: AlertBatch, sample: SimulatedLightCurves) -> dict[str, int]:
    """Find the sample's object of each name by its position."""
    result: dict[str, int] = {}
    for i, name in enumerate(alerts.object_id):
        distance = np.hypot(sample.ra_deg - alerts.ra_deg[i], sample.dec_deg - alerts.dec_deg[i])
        result.setdefault(name, int(np.argmin(distance)))
        assert distance[result[name]] < 1e-3
    return result


def test_alerts_of_one_object_repeat_their_shared_rows_exactly(ztf_alerts: AlertBatch) -> None:
    alerts = ztf_alerts
    rows: dict[tuple[str, int, int], set[tuple[float, float]]] = defaultdict(set)
    for i, name in enumerate(alerts.object_id):
        for row in alerts.light_curve(i):
            rows[name, int(row["kind"]), int(row["source_id"])].add(
                (float(row["mjd_tai"]), float(row["flux_njy"]))
            )
    assert all(len(versions) == 1 for versions in rows.values())
    assert len({key[2] // 10**6 for key in rows if key[1] == Kind.DETECTION}) > 100


def test_ztf_ids_hold_together(ztf_sample: SimulatedLightCurves) -> None:
    packets = sky_packets(ztf_sample, Survey.ZTF)
    for packet in packets[:50]:
        record: Any = next(iter(fastavro.reader(BytesIO(packet.value))))
        assert record["candid"] == record["candidate"]["candid"]
        assert record["candid"] // 10**6 == record["candidate"]["pid"]
        for row in record["prv_candidates"] or ():
            assert row["jd"] < record["candidate"]["jd"]
            assert row["candid"] is None or row["candid"] // 10**6 == row["pid"]


def test_extras_are_asteroids_and_artefacts(
    ztf_sample: SimulatedLightCurves, lsst_sample: SimulatedLightCurves
) -> None:
    for survey, sample in ((Survey.ZTF, ztf_sample), (Survey.LSST, lsst_sample)):
        alerts = decoded(list(make_packets([(survey, sample)], 1)))
        assert alerts.is_solar_system.sum() == len(sample) // 8
        assert np.sum(alerts.real_bogus < 0.2) == len(sample) // 16


def test_variable_stars_sit_on_stars(ztf_sample: SimulatedLightCurves, ztf_alerts: AlertBatch) -> None:
    alerts = ztf_alerts
    by_object = match_objects(alerts, ztf_sample)
    star = np.array([ztf_sample.class_name[by_object[name]] == "Other" for name in alerts.object_id])
    assert np.all(alerts.star_galaxy[star] > 0.9)
    assert np.nanmedian(alerts.star_galaxy[~star]) < 0.5


def test_equal_seeds_give_equal_bytes(ztf_sample: SimulatedLightCurves, tmp_path: Path) -> None:
    few = ztf_sample.take(np.arange(4))
    for name in ("a", "b"):
        write_packets(make_packets([(Survey.ZTF, few)], 5, cutouts="small"), tmp_path / f"{name}.tar.xz")
    assert (tmp_path / "a.tar.xz").read_bytes() == (tmp_path / "b.tar.xz").read_bytes()
    other = list(make_packets([(Survey.ZTF, few)], 6, cutouts="small"))
    assert other[0].value != next(make_packets([(Survey.ZTF, few)], 5, cutouts="small")).value


def test_full_cutouts_give_packets_of_the_usual_size(
    ztf_sample: SimulatedLightCurves, lsst_sample: SimulatedLightCurves
) -> None:
    for survey, sample, low, high in (
        (Survey.ZTF, ztf_sample, 60_000, 90_000),
        (Survey.LSST, lsst_sample, 110_000, 130_000),
    ):
        few = sample.take(np.arange(6))
        sizes = [len(p.value) for p in make_packets([(survey, few)], 1, cutouts="full")]
        assert low < np.median(sizes) < high


def test_shifting_keeps_the_light_curves(ztf_sample: SimulatedLightCurves) -> None:
    moved = shifted(ztf_sample, 61_000.0, 30.0, seed=1)
    assert np.all((moved.trigger_mjd_tai > 60_999) & (moved.trigger_mjd_tai < 61_030))
    back = moved.mjd_tai - np.repeat(
        moved.trigger_mjd_tai - ztf_sample.trigger_mjd_tai, np.diff(moved.offsets)
    )
    np.testing.assert_allclose(back, ztf_sample.mjd_tai, rtol=0, atol=1e-9)
    whole_days = moved.trigger_mjd_tai - ztf_sample.trigger_mjd_tai
    np.testing.assert_allclose(whole_days, np.round(whole_days), rtol=0, atol=1e-9)
