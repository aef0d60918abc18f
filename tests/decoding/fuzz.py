"""Damaged packets through the compiled decoder, in guarded memory, against fastavro.

Run as ``python -m tests.decoding.fuzz --count 1000000``. Every body lies between pages that may not be
touched, and so does every array that the programs write. A body that the programs accept has to be accepted
by fastavro with the same values; what they reject may be anything. The last line says how many were which.
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
class Body:
    """Records as they are in a message, without its framing."""

    data: bytes
    schema: WriterSchema
    n_records: int


def bodies_of(value: bytes, store: SchemaStore) -> Iterator[Body]:
    """Give the bodies of a message."""
    match framing_of(value):
        case Framing.CONTAINER:
            container = open_container(value, 2**24)
            schema = store.by_content(container.schema_text)
            for block in container.blocks:
                yield without_images(Body(block.data[block.start : block.end], schema, block.n_records))
        case Framing.CONFLUENT:
            schema = store.by_id(schema_id_of(value))
            yield without_images(Body(value[CONFLUENT_PREFIX_BYTES:], schema, 1))
        case Framing.BARE:
            yield Body(value, store.bare[0], 1)


def without_images(body: Body) -> Body:
    """Take the images out of an alert, so that damage hits what is read."""
    if body.n_records > 1:
        return body
    (record,) = read_block(Block(body.data, 0, len(body.data), 1), body.schema)
    images = [name for name in record if name.startswith("cutout")]
    stream = BytesIO()
    fastavro.schemaless_writer(stream, body.schema.parsed, record | dict.fromkeys(images))
    return Body(stream.getvalue(), body.schema, 1)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Damage a body in one to three places."""
    result = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(result) + 1)
        match chance.randrange(7):
            case 0 | 1 if at < len(result):
                result[at] ^= 1 << chance.randrange(8)
            case 2 | 3 if at < len(result):
                result[at] = chance.choice(TELLING_BYTES)
            case 4:
                del result[at : at + chance.choice((1, 1, 2, 8, 100, len(result)))]
            case 5:
                result[at:at] = varint(chance.choice(TELLING_NUMBERS))
            case 6:
                result[at:at] = result[at : at + chance.randrange(60)]
    return bytes(result)


class Fuzzer:
    """Runs batches of damaged bodies of one survey, each body in guarded memory of its own.

    Parameters
    ----------
    survey
        Whose.
    bodies
        Undamaged ones to begin with.
    """

    def __init__(self, survey: Survey, bodies: list[Body]) -> None:
        self._bodies = bodies
        self._layout = next(layout for layout in LAYOUTS if layout.survey is survey)
        self._reader = CompiledReader(self._layout, guarded_empty)
        longest = max(len(body.data) for body in bodies)
        self._memory = [GuardedMemory(longest + MAX_GROWTH) for _ in range(BATCH)]

    def run(self, chance: random.Random) -> tuple[int, int]:
        """Run one batch; give how many bodies were accepted and rejected."""
        originals = chance.choices(self._bodies, k=BATCH)
        values = [damaged(body.data, chance) for body in originals]
        places = np.array(
            [
                (memory.put(value), 0, len(value), body.n_records, self._reader.program(body.schema))
                for memory, value, body in zip(self._memory, values, originals, strict=True)
            ],
            np.int64,
        )
        result = self._reader.read(places)
        plain = RecordReader(self._layout)
        for number, (value, body) in enumerate(zip(values, originals, strict=True)):
            if number not in result.errors:
                for record in read_block(Block(value, 0, len(value), body.n_records), body.schema):
                    plain.add(record, body.schema)
        assert_same(result.raw, plain.columns())
        return BATCH - len(result.errors), len(result.errors)


def assert_same(ours: RawAlerts, theirs: RawAlerts) -> None:
    """Check that two readings gave the same values in the same rows."""
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
    """Begin with the real packets of ``NIGHTJAR_SHARED`` where there are any, and with written ones."""
    paths = sorted((Path(os.environ.get("NIGHTJAR_SHARED", "../shared")) / "alerts").rglob("*.avro"))
    values = [*PACKETS.values(), *(path.read_bytes() for path in paths)]
    bodies = [body for value in values for body in bodies_of(value, store)]
    by_survey = {survey: [body for body in bodies if body.schema.survey is survey] for survey in Survey}
    return [Fuzzer(survey, found) for survey, found in by_survey.items()]


def main() -> None:
    """Run batches of all surveys in turns."""
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
