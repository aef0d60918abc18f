"""Whatever the bytes: an alert or a rejection, soon, and nothing else."""

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.alerts import DecodedBatch, Survey
from service.decoding.decoder import Decoder, RawMessage
from service.decoding.surveys.mapping import FIRST_MJD_TAI, LAST_MJD_TAI
from service.decoding.wire.schemas import SchemaStore
from service.errors import RejectionCode
from tests.decoding.conftest import RejectOne
from tests.decoding.packets import (
    BODIES,
    JD,
    PACKETS,
    SCHEMAS,
    container,
    framed,
    lsst,
    lsst_source,
    text,
    varint,
)

DECODER = Decoder(SchemaStore())


def one_fate(batch: DecodedBatch, n_messages: int) -> None:
    """Check that every message is an alert or a rejection, and alerts hold possible values only."""
    fates = [*np.unique(batch.alerts.message).tolist(), *(rejected.message for rejected in batch.rejected)]
    assert sorted(fates) == list(range(n_messages))
    for rejected in batch.rejected:
        assert rejected.error.message
    alerts = batch.alerts
    assert ((alerts.mjd_tai >= FIRST_MJD_TAI) & (alerts.mjd_tai <= LAST_MJD_TAI)).all()
    assert ((alerts.ra_deg >= 0) & (alerts.ra_deg <= 360) & (np.abs(alerts.dec_deg) <= 90)).all()
    assert (alerts.alert_id > 0).all()
    rows = alerts.observations
    assert alerts.offsets[-1] == len(rows)
    assert np.isfinite(rows["flux_njy"]).all()
    assert (np.isfinite(rows["flux_err_njy"]) & (rows["flux_err_njy"] > 0)).all()
    assert ((rows["mjd_tai"] >= FIRST_MJD_TAI) & (rows["mjd_tai"] <= LAST_MJD_TAI)).all()
    assert (rows["band"] < 6).all()
    assert (rows["source_id"] > 0).all()


@pytest.mark.parametrize("survey", Survey)
def test_a_packet_cut_off_anywhere_is_rejected(decoder: Decoder, survey: Survey) -> None:
    value = PACKETS[survey]
    # Every length near both ends, and some hundred between.
    ends = {*range(60), *range(len(value) - 60, len(value))}
    lengths = sorted({*ends, *range(60, len(value), max(1, len(value) // 300))})
    batch = decoder.decode([RawMessage(value[:length], survey) for length in lengths])
    assert len(batch.alerts) == 0
    one_fate(batch, len(lengths))
    assert batch.rejected[0].error.code is RejectionCode.EMPTY


@pytest.mark.parametrize("survey", Survey)
def test_bytes_behind_a_packet_are_not_overlooked(reject_one: RejectOne, survey: Survey) -> None:
    assert reject_one(PACKETS[survey] + b"\x00", survey).code is RejectionCode.MALFORMED


def test_one_bad_record_rejects_its_whole_container(reject_one: RejectOne) -> None:
    good, bad = lsst(), lsst(source=lsst_source(ra=400.0))
    error = reject_one(container(SCHEMAS[Survey.LSST], good, bad, good))
    assert error.code is RejectionCode.INVALID_VALUE


def test_bad_messages_leave_the_others_of_the_batch_alone(decoder: Decoder) -> None:
    messages = []
    for survey, value in PACKETS.items():
        messages += [RawMessage(value, survey), RawMessage(value[:-7], survey), RawMessage(b"junk", survey)]
    batch = decoder.decode(messages)
    assert batch.alerts.message.tolist() == [0, 3, 6]
    assert [rejected.message for rejected in batch.rejected] == [1, 2, 4, 5, 7, 8]
    assert batch.alerts.survey == tuple(Survey)


def test_an_empty_batch_is_an_empty_batch(decoder: Decoder) -> None:
    one_fate(decoder.decode([]), 0)


def test_too_large_a_message_is_refused_unread() -> None:
    decoder = Decoder(SchemaStore(), max_message_bytes=1000)
    (rejected,) = decoder.decode([RawMessage(PACKETS[Survey.ZTF], Survey.ZTF)]).rejected
    assert rejected.error.code is RejectionCode.TOO_LARGE
    assert "1000" in rejected.error.message


@pytest.mark.parametrize(
    "value", [b"{}", b"\x89PNG\r\n\x1a\n", b"hello", bytes(200), b"\xff" * 200, b"Obj\x01"]
)
@pytest.mark.parametrize("survey", Survey)
def test_what_is_not_avro_is_rejected(reject_one: RejectOne, survey: Survey, value: bytes) -> None:
    assert reject_one(value, survey).code in {
        RejectionCode.FRAMING,
        RejectionCode.MALFORMED,
        RejectionCode.UNKNOWN_SCHEMA,
    }


# Each begins with a number of so many bytes, and occurs where the packet says how much follows.
NUMBERS = {
    "name of a ZTF object": (Survey.ZTF, text(b"ZTF21abiuvdk"), 1),
    "count of previous ZTF candidates": (Survey.ZTF, varint(2) + np.float64(JD - 1).tobytes(), 1),
    "count of previous LSST sources": (Survey.LSST, varint(1) + varint(987654321), 1),
    "cutout of LSST": (Survey.LSST, text(bytes(300)), 2),
    "band of ELAsTiCC": (Survey.ELASTICC, text(b"Y"), 1),
    "count of previous ELAsTiCC sources": (Survey.ELASTICC, varint(1) + varint(987654321), 1),
}


@pytest.mark.parametrize("number", [2**30, 2**62, -(2**62), -3])
@pytest.mark.parametrize(("survey", "encoded", "n_bytes"), NUMBERS.values(), ids=NUMBERS.keys())
def test_a_declared_gigabyte_is_rejected_at_once_and_without_the_memory(
    reject_one: RejectOne, survey: Survey, encoded: bytes, n_bytes: int, number: int
) -> None:
    assert encoded in BODIES[survey]
    broken = framed(survey, BODIES[survey].replace(encoded, varint(number) + encoded[n_bytes:], 1))
    tracemalloc.start()
    start = time.perf_counter()
    error = reject_one(broken, survey)
    seconds = time.perf_counter() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.code in {RejectionCode.MALFORMED, RejectionCode.INVALID_VALUE}
    assert seconds < 5
    assert peak < 10 * 2**20


def test_records_announced_but_not_there_are_missed(reject_one: RejectOne) -> None:
    error = reject_one(framed(Survey.ZTF, BODIES[Survey.ZTF], n_records=3))
    assert error.code is RejectionCode.MALFORMED


def test_a_container_that_grows_beyond_the_limit_is_refused() -> None:
    decoder = Decoder(SchemaStore(), max_message_bytes=200_000)
    alert = lsst(cutoutDifference=bytes(300_000))
    value = container(SCHEMAS[Survey.LSST], alert, codec="deflate")
    assert len(value) < 200_000
    (rejected,) = decoder.decode([RawMessage(value, Survey.LSST)]).rejected
    assert rejected.error.code is RejectionCode.TOO_LARGE


Edit = tuple[str, float, int]

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "set", "cut", "insert", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 2**40),
    ),
    min_size=1,
    max_size=4,
)


def edited(value: bytes, edits: list[Edit]) -> bytes:
    """Damage bytes: flip a bit, set a byte, cut some out, put a number in, repeat some."""
    data = bytearray(value)
    for kind, where, number in edits:
        at = int(where * len(data))
        match kind:
            case "flip" if data:
                data[at] ^= 1 << (number % 8)
            case "set" if data:
                data[at] = number % 256
            case "cut":
                del data[at : at + number % 40]
            case "insert":
                data[at:at] = varint(number - 2**39)
            case "repeat":
                data[at:at] = data[at : at + number % 200]
    return bytes(data)


@given(survey=st.sampled_from(Survey), expected=st.sampled_from(Survey), edits=EDITS)
@settings(max_examples=400)
def test_a_damaged_body_is_an_alert_or_a_rejection(
    survey: Survey, expected: Survey, edits: list[Edit]
) -> None:
    messages = [RawMessage(framed(survey, edited(BODIES[survey], edits)), expected)]
    one_fate(DECODER.decode(messages), 1)


@given(survey=st.sampled_from(Survey), edits=EDITS)
@settings(max_examples=400)
def test_a_damaged_packet_is_an_alert_or_a_rejection(survey: Survey, edits: list[Edit]) -> None:
    one_fate(DECODER.decode([RawMessage(edited(PACKETS[survey], edits), survey)]), 1)


@given(beginning=st.sampled_from([b"", b"\x00\x00\x00\x03\xe8", b"Obj\x01"]), rest=st.binary(max_size=300))
@settings(max_examples=200)
def test_arbitrary_bytes_are_an_alert_or_a_rejection(beginning: bytes, rest: bytes) -> None:
    for survey in Survey:
        one_fate(DECODER.decode([RawMessage(beginning + rest, survey)]), 1)


def test_damaged_real_packets_are_alerts_or_rejections(shared: Path) -> None:
    paths = sorted((shared / "alerts").rglob("*.avro"))
    random = np.random.default_rng(3)
    messages = []
    for path in paths:
        value = bytearray(path.read_bytes())
        # Most of a real packet is cutouts; damage its first half more often than its second.
        value[int(len(value) * random.random() ** 2)] ^= 1 << int(random.integers(8))
        messages.append(RawMessage(bytes(value), Survey.ELASTICC))
    one_fate(DECODER.decode(messages), len(messages))
