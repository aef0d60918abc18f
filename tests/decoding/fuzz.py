"""Fuzzing the compiled decoder with damaged packets, in guarded memory, against fastavro.

Run as ``python -m tests.decoding.fuzz --count 1000000``. Every span of records lies between inaccessible
pages, and so does every array that the programs write. What the programs accept must be accepted by fastavro
with the same values; what they reject may be anything. The last line prints the counts.
"""

import argparse
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Survey
from service.decoding.columns import RawAlerts
from service.decoding.compiled_reader import CompiledReader
from service.decoding.decoder import LAYOUTS
from service.decoding.plain_reader import RecordReader, read_block
from service.decoding.wire.framing import (
    CONFLUENT_PREFIX_BYTES,
    Block,
    Framing,
    framing_of,
    open_container,
    schema_id_of,
)
from service.decoding.wire.schemas import SchemaStore, WriterSchema
from tests.decoding.guarded import GuardedMemory, guarded_empty
from tests.decoding.packets import PACKETS, varint

BATCH = 200
MAX_GROWTH = 300  # bytes that damage may add
TELLING_BYTES = (0x00, 0x01, 0x02, 0x03, 0x7F, 0x80, 0xFE, 0xFF)
TELLING_NUMBERS = (-1, 0, 1, 2**31, 2**62, -(2**63), 2**63 - 1)


@dataclass(frozen=True, slots=True)
class Span:
    """Records of a message without its framing."""

    data: bytes
    schema: WriterSchema
    n_records: int


def spans_of(value: bytes, store: SchemaStore) -> Iterator[Span]:
    """Yield the spans of a message."""
    match framing_of(value):
        case Framing.CONTAINER:
            container = open_container(value, 2**24)
            schema = store.by_content(container.schema_text)
            for block in container.blocks:
                yield without_images(Span(block.data[block.start : block.end], schema, block.n_records))
        case Framing.CONFLUENT:
            schema = store.by_id(schema_id_of(value))
            yield without_images(Span(value[CONFLUENT_PREFIX_BYTES:], schema, 1))
        case Framing.BARE:
            yield Span(value, store.bare[0], 1)


def without_images(span: Span) -> Span:
    """Remove the images from an alert, so that damage hits fields that are read."""
    if span.n_records > 1:
        return span
    (record,) = read_block(Block(span.data, 0, len(span.data), 1), span.schema)
    images = [name for name in record if name.startswith("cutout")]
    stream = BytesIO()
    fastavro.schemaless_writer(stream, span.schema.parsed, record | dict.fromkeys(images))
    return Span(stream.getvalue(), span.schema, 1)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Damage a span in one to three positions."""
    result = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        position = chance.randrange(len(result) + 1)
        match chance.randrange(7):
            case 0 | 1 if position < len(result):
                result[position] ^= 1 << chance.randrange(8)
            case 2 | 3 if position < len(result):
                result[position] = chance.choice(TELLING_BYTES)
            case 4:
                del result[position : position + chance.choice((1, 1, 2, 8, 100, len(result)))]
            case 5:
                result[position:position] = varint(chance.choice(TELLING_NUMBERS))
            case 6:
                result[position:position] = result[position : position + chance.randrange(60)]
    return bytes(result)


class Fuzzer:
    """Runs batches of damaged spans of one survey, each in its own guarded memory.

    Parameters
    ----------
    survey
        Survey of the spans.
    spans
        Undamaged spans to start from.
    """

    def __init__(self, survey: Survey, spans: list[Span]) -> None:
        self._spans = spans
        self._layout = next(layout for layout in LAYOUTS if layout.survey is survey)
        self._reader = CompiledReader(self._layout, guarded_empty)
        longest = max(len(span.data) for span in spans)
        self._memory = [GuardedMemory(longest + MAX_GROWTH) for _ in range(BATCH)]

    def run(self, chance: random.Random) -> tuple[int, int]:
        """Run one batch; return how many spans were accepted and rejected."""
        originals = chance.choices(self._spans, k=BATCH)
        values = [damaged(span.data, chance) for span in originals]
        rows = np.array(
            [
                (memory.put(value), 0, len(value), span.n_records, self._reader.program(span.schema))
                for memory, value, span in zip(self._memory, values, originals, strict=True)
            ],
            np.int64,
        )
        result = self._reader.read(rows)
        plain = RecordReader(self._layout)
        for number, (value, span) in enumerate(zip(values, originals, strict=True)):
            if number not in result.errors:
                for record in read_block(Block(value, 0, len(value), span.n_records), span.schema):
                    plain.add(record, span.schema)
        assert_same(result.raw, plain.columns())
        return BATCH - len(result.errors), len(result.errors)


def assert_same(ours: RawAlerts, theirs: RawAlerts) -> None:
    """Check that two readers returned the same values in the same rows."""
    assert ours.n_alerts == theirs.n_alerts
    assert_same_columns(ours.columns, theirs.columns)
    for path, table in theirs.tables.items():
        np.testing.assert_array_equal(ours.tables[path].offsets, table.offsets)
        assert_same_columns(ours.tables[path].columns, table.columns)


def assert_same_columns(ours: dict[str, NDArray[Any]], theirs: dict[str, NDArray[Any]]) -> None:
    assert ours.keys() == theirs.keys()
    for path, column in theirs.items():
        np.testing.assert_array_equal(ours[path], column, err_msg=path)


def fuzzers(store: SchemaStore) -> list[Fuzzer]:
    """Start from synthetic packets and, if available, the real ones of ``NIGHTJAR_SHARED``."""
    paths = sorted((Path(os.environ.get("NIGHTJAR_SHARED", "../shared")) / "alerts").rglob("*.avro"))
    values = [*PACKETS.values(), *(path.read_bytes() for path in paths)]
    spans = [span for value in values for span in spans_of(value, store)]
    by_survey = {survey: [span for span in spans if span.schema.survey is survey] for survey in Survey}
    return [Fuzzer(survey, survey_spans) for survey, survey_spans in by_survey.items()]


def main() -> None:
    """Run batches of all surveys in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)  # noqa: S311  for repeatable damage, not for secrets
    turns = fuzzers(SchemaStore())
    accepted = rejected = 0
    for number in range(-(-arguments.count // BATCH)):
        more_accepted, more_rejected = turns[number % len(turns)].run(chance)
        accepted, rejected = accepted + more_accepted, rejected + more_rejected
    print(f"accepted {accepted} rejected {rejected}")  # noqa: T201  the result


if __name__ == "__main__":
    main()
