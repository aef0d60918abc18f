"""The compiled decoder gives what the plain one gives, on whatever bytes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.alerts import DecodedBatch, Survey
from service.core.jit import compiled
from service.decoding import decoder as decoder_module
from service.decoding import ztf as ztf_mapping
from service.decoding.avro import Record, parse_schema
from service.decoding.decoder import Decoder, RawMessage
from service.decoding.memory import addresses_of, pointer
from service.decoding.primitives import BAD_NUMBER, CUT_OFF, is_utf8, read_varint
from service.decoding.program import SKIP_RUN, UnsupportedSchemaError, compile_program
from service.decoding.schemas import SchemaStore
from service.decoding.shipped import shipped_schema
from service.errors import RejectionCode
from tests.decoding.conftest import rows_of
from tests.decoding.packets import (
    BODIES,
    PACKETS,
    SCHEMAS,
    body,
    container,
    framed,
    lsst,
    lsst_bytes,
    lsst_forced,
    lsst_source,
    varint,
    ztf,
    ztf_bytes,
    ztf_prv,
)
from tests.decoding.test_broken_input import EDITS, Edit, edited

COMPILED = Decoder(SchemaStore())
PLAIN = Decoder(SchemaStore(), compiled=False)


def assert_same(ours: DecodedBatch, theirs: DecodedBatch) -> None:
    """Check that two batches are the same to the last bit, and reject the same messages."""
    assert [r.message for r in ours.rejected] == [r.message for r in theirs.rejected]
    assert [r.error.code for r in ours.rejected] == [r.error.code for r in theirs.rejected]
    assert_same_alerts(ours, theirs)


def assert_same_alerts(ours: DecodedBatch, theirs: DecodedBatch) -> None:
    for name in ours.alerts.__dataclass_fields__:
        one, other = getattr(ours.alerts, name), getattr(theirs.alerts, name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype, name
            assert one.tobytes() == other.tobytes(), name
        else:
            assert one == other, name


def test_all_real_packets_decode_the_same(shared: Path) -> None:
    paths = sorted((shared / "alerts").rglob("*.avro"))
    messages = [
        RawMessage(path.read_bytes(), Survey(path.relative_to(shared / "alerts").parts[0])) for path in paths
    ]
    # Twice, since the first packet of a kind is taken apart and the others are recognised.
    assert_same(COMPILED.decode(messages), PLAIN.decode(messages))
    assert_same(COMPILED.decode(messages[::-1]), PLAIN.decode(messages[::-1]))


def test_written_packets_of_all_surveys_in_one_batch_decode_the_same() -> None:
    messages = [RawMessage(value, survey) for survey, value in PACKETS.items()] * 3
    batch = COMPILED.decode(messages)
    assert len(batch.alerts) == len(messages)
    assert_same(batch, PLAIN.decode(messages))


@given(survey=st.sampled_from(Survey), edits=EDITS)
@settings(max_examples=600, deadline=None)
def test_what_is_accepted_of_damaged_bodies_is_what_fastavro_reads(survey: Survey, edits: list[Edit]) -> None:
    messages = [RawMessage(framed(survey, edited(BODIES[survey], edits)), survey)]
    ours = COMPILED.decode(messages)
    if not ours.rejected:
        assert_same_alerts(ours, PLAIN.decode(messages))


def test_every_place_where_a_packet_ends_is_rejected_alike() -> None:
    for survey, data in BODIES.items():
        messages = [RawMessage(framed(survey, data[:length]), survey) for length in range(1, len(data))]
        ours = COMPILED.decode(messages)
        assert len(ours.alerts) == 0
        assert {r.error.code for r in ours.rejected} <= {
            RejectionCode.MALFORMED,
            RejectionCode.UNKNOWN_SCHEMA,
        }


def test_an_error_names_the_byte_and_the_field() -> None:
    previous = lsst_source(raErr=1.0, decErr=1.0, apFlux=1.0, apFluxErr=1.0, snr=1.0, psfLnL=1.0)
    value = lsst_bytes(lsst(source=lsst_source(ra=7.25), prvDiaSources=[previous]))
    at = value.index(np.float64(7.25).tobytes())
    (rejected,) = COMPILED.decode([RawMessage(value[: at + 3], Survey.LSST)]).rejected
    assert rejected.error.message == f"the bytes end within a value, at byte {at}, near diaSource.ra"
    (rejected,) = COMPILED.decode([RawMessage(value[:-12], Survey.LSST)]).rejected
    assert "near prvDiaSources[]." in rejected.error.message
    (rejected,) = COMPILED.decode([RawMessage(value + b"\x00", Survey.LSST)]).rejected
    assert rejected.error.message.startswith(f"bytes are left after the last record, at byte {len(value)}")


def test_light_curves_longer_than_the_memory_at_hand_are_read_whole() -> None:
    previous = [lsst_source(diaSourceId=n, midpointMjdTai=60000.0 + n / 8) for n in range(1, 1200)]
    forced = [lsst_forced(diaForcedSourceId=n, midpointMjdTai=60000.1 + n / 8) for n in range(1, 2100)]
    short = RawMessage(lsst_bytes(lsst()), Survey.LSST)
    long = RawMessage(lsst_bytes(lsst(prvDiaSources=previous, prvDiaForcedSources=forced)), Survey.LSST)
    messages = [short, long, short, long]
    decoder = Decoder(SchemaStore())
    batch = decoder.decode(messages)
    assert np.diff(batch.alerts.offsets).tolist() == [1, 3299, 1, 3299]
    assert_same(batch, PLAIN.decode(messages))
    assert_same(decoder.decode(messages), batch)


def test_more_alerts_than_there_is_memory_for_at_first_are_read() -> None:
    messages = [RawMessage(PACKETS[Survey.ZTF], Survey.ZTF)] * 2500
    batch = Decoder(SchemaStore()).decode(messages)
    assert batch.alerts.message.tolist() == list(range(2500))
    assert len(set(map(bytes, batch.alerts.observations.reshape(2500, -1)))) == 1


def test_a_batch_does_not_change_when_the_next_is_decoded() -> None:
    decoder = Decoder(SchemaStore())
    first = decoder.decode([RawMessage(PACKETS[survey], survey) for survey in Survey])
    before = [np.asarray(getattr(first.alerts, name)).tobytes() for name in first.alerts.__dataclass_fields__]
    decoder.decode([RawMessage(lsst_bytes(lsst(source=lsst_source(diaSourceId=5))), Survey.LSST)])
    after = [np.asarray(getattr(first.alerts, name)).tobytes() for name in first.alerts.__dataclass_fields__]
    assert after == before


def test_messages_have_to_be_bytes() -> None:
    with pytest.raises(TypeError, match="bytes"):
        COMPILED.decode([RawMessage(bytearray(PACKETS[Survey.LSST]), Survey.LSST)])  # type: ignore[arg-type]


# Containers like one seen before


def test_containers_recognised_by_their_header_are_checked_as_the_first_was() -> None:
    decoder = Decoder(SchemaStore())
    value = PACKETS[Survey.ZTF]
    assert len(decoder.decode([RawMessage(value, Survey.ZTF)]).alerts) == 1
    broken = {
        "end of the sync marker": value[:-1] + b"\x00",
        "one byte more": value + b"\x00",
        "one byte less": value[:-1],
        "record count": framed(Survey.ZTF, BODIES[Survey.ZTF], n_records=0),
        "two records announced": framed(Survey.ZTF, BODIES[Survey.ZTF], n_records=2),
        "another block's marker": value[:-16] + bytes(16),
    }
    batch = decoder.decode([RawMessage(damage, Survey.ZTF) for damage in broken.values()])
    assert len(batch.alerts) == 0
    assert {rejected.error.code for rejected in batch.rejected} == {RejectionCode.MALFORMED}


def test_containers_of_two_schemas_and_codecs_in_turns_are_told_apart() -> None:
    values = [
        ztf_bytes(ztf(magpsf=18.0)),
        ztf_bytes(ztf("3.3", magpsf=19.0), "3.3"),
        ztf_bytes(ztf(magpsf=20.0), codec="deflate"),
        ztf_bytes(ztf("3.0", magpsf=21.0), "3.0"),
    ]
    messages = [RawMessage(value, Survey.ZTF) for value in values] * 3
    assert_same(COMPILED.decode(messages), PLAIN.decode(messages))


def test_a_flood_of_schemas_does_not_confuse_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_module, "MAX_SCHEMAS", 8)
    decoder = Decoder(SchemaStore())
    for number in range(30):
        schema = shipped_schema("lsst", "10.0")
        schema["fields"].append({"name": f"more{number}", "type": "int"})
        record = lsst(source=lsst_source(diaSourceId=1 + number)) | {f"more{number}": 1}
        messages = [
            RawMessage(container(schema, record), Survey.LSST),
            RawMessage(PACKETS[Survey.LSST], Survey.LSST),
        ]
        alerts = decoder.decode(messages).alerts
        assert alerts.alert_id.tolist() == [1 + number, 170239611403501617]
        assert len(decoder._met.schemas) <= 9


# Programs


def program_of(schema: Any) -> Any:
    tree = parse_schema(orjson.dumps(schema))
    assert isinstance(tree, Record)
    return compile_program(tree, ztf_mapping.LAYOUT)


def with_field(kind: Any) -> dict[str, Any]:
    """Give ZTF's schema with one more field."""
    schema = shipped_schema("ztf", "4.02")
    schema["fields"].append({"name": "more", "type": kind})
    return schema


UNSUPPORTED: dict[str, tuple[Any, Any]] = {
    "map": ({"type": "map", "values": "long"}, {"a": 5}),
    "enum": ({"type": "enum", "name": "e", "symbols": ["A", "B"]}, "B"),
    "fixed": ({"type": "fixed", "name": "f", "size": 3}, b"abc"),
    "union of three": (["null", "long", "string"], "text"),
}


@pytest.mark.parametrize(("kind", "value"), UNSUPPORTED.values(), ids=UNSUPPORTED.keys())
def test_what_programs_cannot_read_is_left_to_fastavro(kind: Any, value: Any) -> None:
    with pytest.raises(UnsupportedSchemaError):
        program_of(with_field(kind))
    other = RawMessage(PACKETS[Survey.ZTF], Survey.ZTF)
    odd = RawMessage(container(with_field(kind), ztf() | {"more": value}), Survey.ZTF)
    broken = RawMessage(odd.value[:-20] + bytes(20), Survey.ZTF)
    batch = COMPILED.decode([odd, other, broken, odd])
    assert batch.alerts.message.tolist() == [0, 1, 3]
    assert_same(batch, PLAIN.decode([odd, other, broken, odd]))


INNER = {"type": "record", "name": "inner", "fields": [{"name": "jd", "type": "long"}]}
SUPPORTED: dict[str, tuple[Any, Any]] = {
    "boolean": ("boolean", True),
    "single-branch union": (["double"], 2.0),
    "null last": (["float", "null"], 1.5),
    "bytes": (["null", "bytes"], b"abc"),
    "text": ("string", "naïve ☄ 😀"),
    "array of arrays": ({"type": "array", "items": {"type": "array", "items": "long"}}, [[1, 2], [], [3]]),
    "array of unions": ({"type": "array", "items": ["null", "double"]}, [None, 1.0, None]),
    "record in a record": (
        {
            "type": "record",
            "name": "outer",
            "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": INNER}],
        },
        {"a": 1, "b": {"jd": -5}},
    ),
}


@pytest.mark.parametrize(("kind", "value"), SUPPORTED.values(), ids=SUPPORTED.keys())
def test_what_is_not_asked_for_is_skipped_whatever_it_is(kind: Any, value: Any) -> None:
    program_of(with_field(kind))
    value_bytes = container(with_field(kind), ztf() | {"more": value}, ztf() | {"more": value})
    messages = [RawMessage(value_bytes, Survey.ZTF)]
    assert len(COMPILED.decode(messages).alerts) == 2
    assert_same(COMPILED.decode(messages), PLAIN.decode(messages))


def test_long_runs_of_plain_fields_are_skipped_whole() -> None:
    schema = with_field(["null", "double"])
    schema["fields"] += [{"name": f"d{n}", "type": "double"} for n in range(5000)]
    record = ztf() | {"more": 1.0} | {f"d{n}": float(n) for n in range(5000)}
    assert (program_of(schema).code[:, 0] == SKIP_RUN).sum() > 1
    messages = [RawMessage(container(schema, record), Survey.ZTF)]
    assert len(COMPILED.decode(messages).alerts) == 1
    assert_same(COMPILED.decode(messages), PLAIN.decode(messages))


def test_numbers_asked_for_may_be_written_as_other_types() -> None:
    text_of = orjson.dumps(SCHEMAS[Survey.ZTF])
    for name, old, new in (
        (b"jd", b'"double"', b'"long"'),
        (b"magpsf", b'"float"', b'["double","null"]'),
        (b"fid", b'"int"', b'["long"]'),
    ):
        pair = b'"name":"' + name + b'","type":'
        assert pair + old in text_of
        text_of = text_of.replace(pair + old, pair + new)
    value = container(orjson.loads(text_of), ztf(jd=2459408))
    alerts = COMPILED.decode([RawMessage(value, Survey.ZTF)]).alerts
    assert alerts.mjd_tai[0] == pytest.approx(59407.5 + 52 / 86400)
    assert_same_alerts(
        COMPILED.decode([RawMessage(value, Survey.ZTF)]), PLAIN.decode([RawMessage(value, Survey.ZTF)])
    )


def in_blocks(rows: list[dict[str, Any]], sized: bool) -> bytes:
    """Write ``prv_candidates`` with one row to a block, with the blocks' sizes or without."""
    written = []
    for row in rows:
        whole = body(SCHEMAS[Survey.ZTF], ztf(prv=[row]))
        empty = body(SCHEMAS[Survey.ZTF], ztf(prv=[]))
        start = next(at for at, pair in enumerate(zip(whole, empty, strict=False)) if pair[0] != pair[1])
        row_bytes = whole[start + 1 : len(whole) - (len(empty) - start)]
        written.append((varint(-1) + varint(len(row_bytes)) if sized else varint(1)) + row_bytes)
    head, tail = empty[:start], empty[start + 1 :]
    return head + b"".join(written) + varint(0) + tail


@pytest.mark.parametrize("sized", [False, True])
def test_arrays_in_several_blocks_are_read_whole(sized: bool) -> None:
    rows = [ztf_prv(jd=2459400.5 + n, fid=1, pid=n, diffmaglim=20.0) for n in range(1, 6)]
    value = framed(Survey.ZTF, in_blocks(rows, sized))
    messages = [RawMessage(value, Survey.ZTF)]
    assert len(rows_of(COMPILED.decode(messages).alerts)) == 6
    assert_same(COMPILED.decode(messages), PLAIN.decode(messages))


def test_a_block_that_is_not_as_long_as_it_says_is_rejected() -> None:
    row = ztf_prv(jd=2459400.5, fid=1, pid=1, diffmaglim=20.0)
    good = in_blocks([row], sized=True)
    at = good.index(varint(-1) + varint(57)[:0])
    size = good[at + 1]
    for wrong in (size - 2, size + 2):
        bad = good[: at + 1] + bytes([wrong]) + good[at + 2 :]
        (rejected,) = COMPILED.decode([RawMessage(framed(Survey.ZTF, bad), Survey.ZTF)]).rejected
        assert rejected.error.code is RejectionCode.MALFORMED


def test_a_text_that_is_not_utf8_is_rejected_even_where_it_is_skipped() -> None:
    record = ztf() | {"publisher": "abcdef"}
    value = ztf_bytes(record)
    assert len(COMPILED.decode([RawMessage(value, Survey.ZTF)]).alerts) == 1
    (rejected,) = COMPILED.decode([RawMessage(value.replace(b"abcdef", b"abc\xffef"), Survey.ZTF)]).rejected
    assert "UTF-8" in rejected.error.message


# Primitives


@compiled
def utf8_of(address: int, length: int) -> bool:
    return bool(is_utf8(pointer(address), 0, length))


@compiled
def varint_of(address: int, length: int) -> tuple[int, int]:
    number, position = read_varint(pointer(address), 0, length)
    return number, position


# A surrogate, a zero of two bytes and one of three, one beyond Unicode, and two good ones.
ODD_CHARACTERS = [
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xf4\x90\x80\x80",
    b"a",
    b"\xf0\x9f\x98\x80",
]

TEXTS = st.one_of(
    st.text(max_size=40).map(str.encode),
    st.binary(max_size=40),
    st.lists(st.sampled_from(ODD_CHARACTERS)).map(b"".join),
)


@given(TEXTS)
@settings(max_examples=1500, deadline=None)
def test_a_text_is_utf8_where_python_says_so(value: bytes) -> None:
    try:
        value.decode()
        expected = True
    except UnicodeDecodeError:
        expected = False
    (address,) = addresses_of([value])
    assert utf8_of(int(address), len(value)) is expected


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=3))
@settings(deadline=None)
def test_a_number_is_read_as_it_was_written(number: int, rest: bytes) -> None:
    written = varint_64(number)
    value = written + rest
    (address,) = addresses_of([value])
    assert varint_of(int(address), len(value)) == (number, len(written))
    for length in range(len(written)):
        assert varint_of(int(address), length)[1] == -CUT_OFF


@pytest.mark.parametrize("value", [b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x00", b"\xff" * 20])
def test_a_number_of_more_than_64_bits_is_none(value: bytes) -> None:
    (address,) = addresses_of([value])
    assert varint_of(int(address), len(value))[1] == -BAD_NUMBER


def varint_64(number: int) -> bytes:
    zigzag = number << 1 if number >= 0 else (-number << 1) - 1
    result = bytearray()
    while zigzag > 0x7F:
        result.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*result, zigzag])


# What could only be seen from outside


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        timeout=300,
    )


def test_damaged_packets_never_make_us_touch_memory_that_is_not_theirs() -> None:
    done = run("-X", "faulthandler", "-m", "tests.decoding.fuzz", "--count", "6000")
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    accepted, rejected = int(words[1]), int(words[3])
    assert accepted + rejected == 6000
    assert min(accepted, rejected) > 500


@pytest.mark.parametrize("place", ["memory.end", "memory.end - 1 - mmap.PAGESIZE"])
def test_guarded_memory_is_guarded(place: str) -> None:
    code = (
        "import ctypes, mmap\n"
        "from tests.decoding.guarded import GuardedMemory\n"
        "memory = GuardedMemory(mmap.PAGESIZE)\n"
        "ctypes.string_at(memory.end - mmap.PAGESIZE, mmap.PAGESIZE)\n"
        "print('inside', flush=True)\n"
        f"ctypes.string_at({place}, 1)\n"
    )
    done = run("-c", code)
    assert done.stdout == "inside\n"
    assert done.returncode != 0


def test_everything_compiles_within_20_seconds_of_one_core(tmp_path: Path) -> None:
    code = (
        "import time\n"
        "from service.decoding.decoder import Decoder\n"
        "from service.decoding.schemas import SchemaStore\n"
        "start = time.process_time()\n"
        "Decoder(SchemaStore()).warm_up()\n"
        "print(time.process_time() - start)\n"
    )
    done = run("-c", code, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert 0.5 < float(done.stdout) < 20
    assert list(tmp_path.rglob("*.nbi"))
    # The next start finds it on the disk.
    again = run("-c", code, NUMBA_CACHE_DIR=str(tmp_path))
    assert float(again.stdout) < float(done.stdout) / 2
