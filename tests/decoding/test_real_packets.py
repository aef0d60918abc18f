"""Every real packet of the public test material, against a simple reader of the same bytes."""

from pathlib import Path

import numpy as np
import pytest

from service.core.alerts import BAND_NAMES, AlertBatch, Kind, Survey
from service.decoding.decoder import Decoder, RawMessage
from tests.decoding.packets import elasticc_bytes
from tests.decoding.plain import PlainAlert, PlainReader

CONTEXT = ("real_bogus", "star_galaxy", "star_distance_arcsec", "redshift", "redshift_err", "mwebv")


@pytest.fixture(scope="module")
def packets(shared: Path) -> dict[Path, bytes]:
    paths = sorted((shared / "alerts").rglob("*.avro"))
    return {path: path.read_bytes() for path in paths if "synthetic" not in path.parts}


@pytest.fixture(scope="module")
def reader(shared: Path) -> PlainReader:
    return PlainReader(shared)


def messages_of(packets: dict[Path, bytes]) -> list[RawMessage]:
    return [RawMessage(value, survey_of(path)) for path, value in packets.items()]


def survey_of(path: Path) -> Survey:
    return next(survey for survey in Survey if survey.value in path.parts)


def assert_same(alerts: AlertBatch, index: int, plain: PlainAlert) -> None:
    assert alerts.survey[index].value == plain.survey
    assert alerts.object_id[index] == plain.object_id
    assert alerts.alert_id[index] == plain.alert_id
    assert alerts.mjd_tai[index] == pytest.approx(plain.mjd_tai, abs=1e-9)
    assert alerts.ra_deg[index] == plain.ra_deg
    assert alerts.dec_deg[index] == plain.dec_deg
    assert BAND_NAMES[alerts.band[index]] == plain.band
    assert alerts.is_solar_system[index] == plain.solar_system
    context = [getattr(alerts, name)[index] for name in CONTEXT]
    np.testing.assert_equal(
        context, np.array([plain.context.get(name, np.nan) for name in CONTEXT], np.float32)
    )
    rows = alerts.light_curve(index)
    decoded = {(Kind(row["kind"]).name.lower(), int(row["source_id"])): row for row in rows}
    assert len(decoded) == len(rows)
    assert decoded.keys() == plain.rows.keys()
    for key, (mjd_tai, flux_njy, flux_err_njy, band) in plain.rows.items():
        assert decoded[key]["mjd_tai"] == pytest.approx(mjd_tai, abs=1e-9)
        assert decoded[key]["flux_njy"] == pytest.approx(flux_njy, rel=1e-6)
        assert decoded[key]["flux_err_njy"] == pytest.approx(flux_err_njy, rel=1e-6)
        assert BAND_NAMES[decoded[key]["band"]] == band


def test_all_real_packets_decode_to_what_a_plain_reading_gives(
    decoder: Decoder, packets: dict[Path, bytes], reader: PlainReader
) -> None:
    batch = decoder.decode(messages_of(packets))
    assert batch.rejected == ()
    expected = [reader.alerts(value) for value in packets.values()]
    message = [index for index, alerts in enumerate(expected) for _ in alerts]
    assert batch.alerts.message.tolist() == message
    for index, plain in enumerate(plain for alerts in expected for plain in alerts):
        assert_same(batch.alerts, index, plain)


def test_light_curves_of_real_packets_are_sorted_and_usable(
    decoder: Decoder, packets: dict[Path, bytes]
) -> None:
    alerts = decoder.decode(messages_of(packets)).alerts
    for index in range(len(alerts)):
        rows = alerts.light_curve(index)
        order = np.lexsort((rows["source_id"], rows["kind"], rows["mjd_tai"]))
        assert order.tolist() == list(range(len(rows)))
        assert np.isfinite(rows["flux_njy"]).all()
        assert (rows["flux_err_njy"] > 0).all()
        assert alerts.alert_id[index] in rows["source_id"]


def test_a_batch_gives_what_its_messages_give_alone(decoder: Decoder, packets: dict[Path, bytes]) -> None:
    messages = messages_of(packets)[::7]
    together = decoder.decode(messages).alerts
    for index, message in enumerate(messages):
        alone = decoder.decode([message]).alerts
        chosen = np.flatnonzero(together.message == index)
        assert [together.object_id[i] for i in chosen] == list(alone.object_id)
        for position, i in enumerate(chosen):
            assert together.light_curve(int(i)).tobytes() == alone.light_curve(position).tobytes()


def test_synthetic_packets_of_versions_with_possible_times_decode(decoder: Decoder, shared: Path) -> None:
    paths = sorted((shared / "alerts" / "lsst" / "synthetic").rglob("*.avro"))
    batch = decoder.decode([RawMessage(path.read_bytes(), Survey.LSST) for path in paths])
    rejected = {paths[error.message].parent.name for error in batch.rejected}
    # Those before 8.0 hold a Unix time where the date belongs.
    assert rejected == {
        path.parent.name for path in paths if path.parent.name < "8" and len(path.parent.name) == 3
    }
    assert all("midpointMjdTai" in error.error.message for error in batch.rejected)


def test_bare_bodies_of_the_pre_release_are_told_from_the_challenges(
    decoder: Decoder, packets: dict[Path, bytes], reader: PlainReader
) -> None:
    prerelease = [path for path in packets if "0.9-prerelease" in path.parts]
    assert prerelease
    for path in prerelease:
        (record,) = reader.records(packets[path])
        bare = elasticc_bytes(record, "0.9-prerelease")
        batch = decoder.decode([RawMessage(bare, Survey.ELASTICC)])
        assert_same(batch.alerts, 0, reader.alert(record))


def test_bodies_of_the_challenge_written_as_0_9_1_are_told_apart(
    decoder: Decoder, packets: dict[Path, bytes], reader: PlainReader
) -> None:
    for path in (path for path in packets if path.match("elasticc/0.9/schemaless*/*.avro")):
        (record,) = reader.records(packets[path])
        newer = elasticc_bytes(record, "0.9.1")  # fields that 0.9.1 dropped are not written
        batch = decoder.decode([RawMessage(newer, Survey.ELASTICC)])
        assert_same(batch.alerts, 0, reader.alert(record))
