"""Alerts per second through one worker, beside a bare consumer of the same topic.

Run as ``python -m tests.benchmarks.pipeline [--copies 10] [--broker embedded|kafka]``; the last line is one
JSON object. The alerts are those of the demo, copied under other names so that every copy is an object of
its own. The worker is timed from its first committed batch to its last: its start and the group's forming
are not in it.
"""

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import fastavro

from service.adapters.topics import TopicReader
from service.commands.packets import packets_of_archive
from service.core.alerts import Survey
from service.embedded.broker import ApacheKafka, Broker, EmbeddedBroker, create_topics, find_kafka
from service.embedded.processes import ChildProcess
from service.embedded.redis import EmbeddedRedis
from tests.support.command import command_line
from tests.support.kafka import produce, read_topic

ARCHIVE = Path(__file__).parents[2] / "service" / "embedded" / "demo_packets.tar.xz"
TOPICS = {Survey.ZTF: "ztf", Survey.LSST: "lsst"}
PARTITIONS = 4
PATIENCE_S = 300.0


def copies(value: bytes, count: int, schema: Any) -> Iterator[bytes]:
    """Give a ZTF packet again and again, each time as another object's."""
    record: Any = next(fastavro.reader(io.BytesIO(value)))
    name = record["objectId"]
    for number in range(count):
        record["objectId"] = f"{name}{number}"
        packet = io.BytesIO()
        fastavro.writer(packet, schema, [record])
        yield packet.getvalue()


def make_alerts(count: int) -> list[bytes]:
    """Give the demo's ZTF packets, each `count` times, in the order of time."""
    packets = [p.read() for p in packets_of_archive(ARCHIVE).packets if p.survey is Survey.ZTF]
    schema = fastavro.parse_schema(fastavro.reader(io.BytesIO(packets[0])).writer_schema)
    return [copy for packet in packets for copy in copies(packet, count, schema)]


def bare_rate_hz(broker: Broker) -> float:
    """Read the topic with a consumer that does nothing else."""
    with TopicReader({"bootstrap.servers": broker.bootstrap_servers}, ["ztf"], from_beginning=True) as reader:
        count = sum(1 for _ in reader.read(timedelta(seconds=5), limit=1))  # the connection is not measured
        started_s = time.perf_counter()
        first = count
        while not reader.at_end:
            count += sum(1 for _ in reader.read(timedelta(milliseconds=100)))
        return (count - first) / (time.perf_counter() - started_s)


def worker_rate_hz(broker: Broker, expected: int) -> float:
    """Let one worker read the topic; time its output."""
    with EmbeddedRedis() as redis, tempfile.TemporaryDirectory() as directory:
        worker = ChildProcess(
            "worker",
            command_line("worker"),
            Path(directory) / "log",
            {
                "NIGHTJAR_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
                "NIGHTJAR_REDIS_URL": redis.url,
                "NIGHTJAR_ZTF_TOPICS": "ztf",
                "NIGHTJAR_SESSION_TIMEOUT": "6",
                "NIGHTJAR_WORKER_ID": "benchmark",
            },
        )
        worker.start()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            times_ms = [
                r.timestamp_ms for r in read_topic(broker.bootstrap_servers, "nightjar.classifications")
            ]
            if len(times_ms) == expected:
                break
            if not worker.running or time.monotonic() > deadline:
                raise worker.failure(f"gave {len(times_ms)} of {expected} results")
            time.sleep(1.0)
        worker.stop()
    # A batch's records carry the time at which it was produced: the first batch only starts the clock.
    first_ms = min(times_ms)
    timed = sum(1 for moment in times_ms if moment > first_ms)
    return timed / (max(times_ms) - first_ms) * 1000


def main() -> None:
    """Measure, print, and give one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--broker", choices=["embedded", "kafka"], default="embedded")
    options = parser.parse_args()
    alerts = make_alerts(options.copies)
    kafka_home = Path(os.environ.get("NIGHTJAR_KAFKA_HOME", "../shared/kafka"))
    broker: Broker = EmbeddedBroker() if options.broker == "embedded" else ApacheKafka(find_kafka(kafka_home))
    with broker:
        topics = {"ztf": PARTITIONS, "nightjar.classifications": PARTITIONS, "nightjar.rejected": 1}
        create_topics(broker.bootstrap_servers, topics)
        produce(broker.bootstrap_servers, "ztf", alerts, partition=lambda index: index % PARTITIONS)
        sys.stderr.write(f"{len(alerts)} alerts of {sum(map(len, alerts)) / len(alerts) / 1000:.0f} kB\n")
        bare_rate_hz(broker)  # the broker's own caches
        bare_hz, worker_hz = bare_rate_hz(broker), worker_rate_hz(broker, len(alerts))
    result = {"broker": options.broker, "alerts": len(alerts), "bare_hz": bare_hz, "worker_hz": worker_hz}
    sys.stdout.write(json.dumps(result | {"ratio": worker_hz / bare_hz}) + "\n")


if __name__ == "__main__":
    main()
