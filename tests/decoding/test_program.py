"""Which schemas have programs, and what these skip."""

from typing import Any

import orjson
import pytest

from service.core.alerts import Survey
from service.decoding.decoder import Decoder, RawMessage
from service.decoding.surveys import ztf as ztf_mapping
from service.decoding.vm.program import SKIP_RUN, UnsupportedSchemaError, compile_program
from service.decoding.wire.avro import Record, parse_schema
from service.decoding.wire.schemas import SchemaStore
from service.decoding.wire.shipped import shipped_schema
from service.errors import RejectionCode
from tests.decoding.comparing import assert_same, assert_same_alerts
from tests.decoding.conftest import rows_of
from tests.decoding.packets import (
    PACKETS,
    SCHEMAS,
    body,
    container,
    framed,
    varint,
    ztf,
    ztf_bytes,
    ztf_prv,
)

COMPILED = Decoder(SchemaStore())
PLAIN = Decoder(SchemaStore(), compiled=False)


def program_of(schema: Any) -> Any:
    tree = parse_schema(orjson.dumps(schema))
    assert isinstance(tree, Record)
    return compile_program(tree, ztf_mapping.LAYOUT)


def with_field(kind: Any) -> dict[str, Any]:
    """Return ZTF's schema with one more field."""
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
    """Encode ``prv_candidates`` in blocks of one row, with or without block sizes."""
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
