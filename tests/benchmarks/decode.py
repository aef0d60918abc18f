"""Cost of decoding one alert, beside fastavro's with the schema at hand.

Run as ``python -m tests.benchmarks decode --json``; the last line is one JSON object. Packets are the real
ones of ``NIGHTJAR_SHARED``, by group, or some written here where there are none. fastavro is spared all
framing: it is given the parsed schema and the place where the record begins, and gives a dictionary; ours
begins with the message and ends with the batch that the service works on. The two take turns, and medians
are of CPU time on one core.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import numpy as np

from service.core.alerts import AlertBatch, Survey
from service.decoding.decoder import Decoder, RawMessage
from service.decoding.wire.framing import (
    CONFLUENT_PREFIX_BYTES,
    Framing,
    framing_of,
    open_container,
    schema_id_of,
)
from service.decoding.wire.schemas import SchemaStore
from tests.decoding.packets import (
    elasticc,
    elasticc_bytes,
    elasticc_forced,
    elasticc_source,
    lsst,
    lsst_bytes,
    lsst_forced,
    lsst_object,
    lsst_source,
    ztf,
    ztf_bytes,
    ztf_prv,
)

BATCH = 500  # the service's own default
MAX_BYTES = 2**24
HISTORY = 100  # previous and forced sources, from which a packet counts as one with a long history

Records = list[tuple[BytesIO, Any, list[int]]]


@dataclass(frozen=True, slots=True)
class Group:
    """Packets of one kind, as messages and as records for fastavro."""

    messages: list[RawMessage]
    records: Records
    n_alerts: int


def records_of(message: RawMessage, store: SchemaStore) -> Records:
    """Find where a message's records begin, and parse its schema."""
    value = message.value
    match framing_of(value):
        case Framing.CONTAINER:
            container = open_container(value, MAX_BYTES)
            schema = store.by_content(container.schema_text)
            return [(BytesIO(b.data), schema.parsed, [b.start] * b.n_records) for b in container.blocks]
        case Framing.CONFLUENT:
            return [(BytesIO(value), store.by_id(schema_id_of(value)).parsed, [CONFLUENT_PREFIX_BYTES])]
        case Framing.BARE:
            return [(BytesIO(value), store.bare[0].parsed, [0])]


def read_with_fastavro(records: Records) -> list[Any]:
    """Decode records one after the other."""
    alerts = []
    for stream, schema, starts in records:
        stream.seek(starts[0])
        alerts += [fastavro.schemaless_reader(stream, schema, None) for _ in starts]
    return alerts


def group_of(messages: list[RawMessage], store: SchemaStore) -> Group:
    """Repeat messages until they make a batch."""
    repeated = messages * -(-BATCH // len(messages))
    records = [block for message in repeated for block in records_of(message, store)]
    return Group(repeated, records, sum(len(starts) for _, _, starts in records))


def real_groups(alerts: Path, store: SchemaStore) -> dict[str, list[RawMessage]]:
    """Give the real packets by directory, and LSST's of 10.0 by the length of their history."""
    groups: dict[str, list[RawMessage]] = {}
    for path in sorted(alerts.rglob("*.avro")):
        name = "/".join(path.parent.relative_to(alerts).parts[:2])
        if "synthetic" in path.parts:
            continue
        message = RawMessage(path.read_bytes(), Survey(path.relative_to(alerts).parts[0]))
        if name == "lsst/10.0":
            (record,) = read_with_fastavro(records_of(message, store))
            rows = len(record["prvDiaSources"] or []) + len(record["prvDiaForcedSources"] or [])
            name += "/new" if rows == 0 else "/history" if rows > HISTORY else "/short"
        groups.setdefault(name, []).append(message)
    return groups


def written_groups() -> dict[str, list[RawMessage]]:
    """Write packets like the real ones, for machines that have none."""
    star = lsst_object(diaObjectId=170028500552515710)
    previous = [lsst_source(diaSourceId=n, midpointMjdTai=60000.0 + n) for n in range(1, 301)]
    forced = [lsst_forced(diaForcedSourceId=n, midpointMjdTai=60000.5 + n) for n in range(1, 301)]
    cutouts: dict[str, Any] = dict.fromkeys(
        ("cutoutDifference", "cutoutScience", "cutoutTemplate"), bytes(36_000)
    )
    limits = [
        ztf_prv("3.3", jd=2459400.5 + n / 2, fid=1 + n % 2, pid=n, diffmaglim=20.0) for n in range(1, 26)
    ]
    sources = [elasticc_source(diaSourceId=n, midPointTai=60000.0 + n) for n in range(1, 31)]
    rows = [elasticc_forced(diaForcedSourceId=n, midPointTai=60000.5 + n) for n in range(1, 61)]
    packets = {
        "lsst/10.0/new": (lsst_bytes(lsst(diaObject=star, **cutouts)), Survey.LSST),
        "lsst/10.0/history": (
            lsst_bytes(lsst(diaObject=star, prvDiaSources=previous, prvDiaForcedSources=forced, **cutouts)),
            Survey.LSST,
        ),
        "ztf/3.3": (ztf_bytes(ztf("3.3", prv=limits), "3.3"), Survey.ZTF),
        "elasticc/0.9": (
            elasticc_bytes(elasticc(prvDiaSources=sources, prvDiaForcedSources=rows)),
            Survey.ELASTICC,
        ),
    }
    return {name: [RawMessage(value, survey)] for name, (value, survey) in packets.items()}


def cpu_seconds(work: Callable[[], object]) -> float:
    """Give the CPU time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(group: Group, decoder: Decoder, rounds: int) -> dict[str, float]:
    """Time both in turns; microseconds per alert, with the middle half of the rounds' ratios as spread."""
    decoder.decode(group.messages)
    # fastavro takes long over long histories: it gets as many of the records as fill a part of a second.
    one = cpu_seconds(lambda: read_with_fastavro(group.records[:1]))
    records = group.records[: max(1, min(len(group.records), int(0.2 / max(one, 1e-6))))]
    n_read = sum(len(starts) for _, _, starts in records)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(cpu_seconds(lambda: decoder.decode(group.messages)) / group.n_alerts * 1e6)
        theirs.append(cpu_seconds(lambda: read_with_fastavro(records)) / n_read * 1e6)
    low, middle, high = np.percentile(np.array(theirs) / np.array(ours), [25, 50, 75])
    return {
        "alerts": group.n_alerts,
        "us": statistics.median(ours),
        "fastavro_us": statistics.median(theirs),
        "speedup": float(middle),
        "speedup_low": float(low),
        "speedup_high": float(high),
    }


def count_equal(messages: list[RawMessage]) -> int:
    """Count the messages that our programs and fastavro read as the same alerts."""
    compiled, plain = Decoder(SchemaStore()), Decoder(SchemaStore(), compiled=False)
    return sum(
        same(compiled.decode([message]).alerts, plain.decode([message]).alerts) for message in messages
    )


def same(one: AlertBatch, other: AlertBatch) -> bool:
    """Whether two batches are the same to the last bit, and not empty."""
    return len(one) > 0 and all(
        np.asarray(getattr(one, name)).tobytes() == np.asarray(getattr(other, name)).tobytes()
        for name in one.__dataclass_fields__
    )


def main() -> None:
    """Measure every group."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    arguments.rounds = min(arguments.rounds, 3) if arguments.quick else arguments.rounds
    store, decoder = SchemaStore(), Decoder(SchemaStore())
    alerts = Path(os.environ.get("NIGHTJAR_SHARED", "../shared")) / "alerts"
    packets = real_groups(alerts, store) if alerts.is_dir() else written_groups()
    report: dict[str, Any] = {"packets": "real" if alerts.is_dir() else "written", "groups": {}}
    for name, messages in packets.items():
        result = measure(group_of(messages, store), decoder, arguments.rounds)
        report["groups"][name] = {key: round(value, 2) for key, value in result.items()}
        if not arguments.json:
            times = f"{result['us']:9.2f} us {result['fastavro_us']:10.1f} us"
            sys.stderr.write(f"{name:28} {times}  x {result['speedup']:.1f}\n")
    ztf_messages = [m for name, messages in packets.items() if name.startswith("ztf/") for m in messages]
    everything = [message for messages in packets.values() for message in messages]
    report |= {
        "speedup_lsst_new": report["groups"]["lsst/10.0/new"]["speedup"],
        "speedup_lsst_history": report["groups"]["lsst/10.0/history"]["speedup"],
        "speedup_ztf": round(measure(group_of(ztf_messages, store), decoder, arguments.rounds)["speedup"], 2),
        "packets_total": len(everything),
        "packets_equal": count_equal(everything),
    }
    print(json.dumps(report))  # noqa: T201  the result


if __name__ == "__main__":
    main()
