"""From an alert's publication to its committed result, and the time that a visit takes.

Run as ``python -m tests.benchmarks latency [--json] [--quick]``; the last line is one JSON object. One
worker at work; packets as large as LSST's come at 333/s, evenly, and a reader of committed records notes
when it sees each result. Then a whole visit, 10,000 alerts, is published at once, as fast as the broker
takes it, and the clock runs from the first alert's publication to the last result's arrival; how much of that
the publication took, by one producer on the same processors, is told beside it. The baseline is the broker's
own: the same alerts at the same rate, seen by the same reader.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

import numpy as np
import orjson
from confluent_kafka import Producer
from numpy.typing import NDArray

from service.core.alerts import Survey
from service.embedded.broker import Broker, create_topics
from service.embedded.redis import EmbeddedRedis
from service.kafka.topic_reader import TopicReader
from tests.benchmarks._material import packets
from tests.benchmarks._report import options, publish, say
from tests.benchmarks._runs import PARTITIONS, worker_settings
from tests.benchmarks._servers import any_broker
from tests.support.service import worker_process

RATE_HZ = 333.0  # LSST's mean
VISIT = 10_000
TOPIC = "lsst"
PATIENCE_S = 180.0
WARM_UP_S = 5.0


class Watch:
    """Reads a topic from now on and notes when each record was seen, in a thread of its own."""

    def __init__(self, broker: Broker, topic: str, *, holds_results: bool) -> None:
        options = {"bootstrap.servers": broker.bootstrap_servers, "fetch.wait.max.ms": 10}
        self._reader = TopicReader(options, [topic], from_beginning=True)
        self._holds_results = holds_results
        self._end = Event()
        self.published_ms: list[int] = []
        self.seen_ms: list[float] = []
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._end.is_set():
            for record in self._reader.read(timedelta(milliseconds=100), limit=1):  # at once
                now_ms = time.time() * 1000
                if self._holds_results:
                    times = orjson.loads(record.value)["timestamps"]
                    self.published_ms.append(times["alert_published"])
                else:
                    self.published_ms.append(record.timestamp_ms)
                self.seen_ms.append(now_ms)

    def wait(self, count: int) -> None:
        """Wait until so many records were seen."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.seen_ms) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.seen_ms)} of {count} results after {PATIENCE_S:g} s")
            time.sleep(0.01)

    def close(self) -> None:
        """Stop reading."""
        self._end.set()
        self._thread.join()
        self._reader.close()

    def latencies_ms(self, first: int) -> NDArray[np.float64]:
        """Give the time of each record from `first` on."""
        seen_ms = np.array(self.seen_ms[first:])
        return np.asarray(seen_ms - np.array(self.published_ms[first:], np.float64))


@contextmanager
def watching(broker: Broker, topic: str, *, holds_results: bool) -> Iterator[Watch]:
    """Watch a topic for a while."""
    watch = Watch(broker, topic, holds_results=holds_results)
    try:
        yield watch
    finally:
        watch.close()


def publish_evenly(producer: Producer, topic: str, alerts: Sequence[bytes], rate_hz: float) -> None:
    """Publish alerts at a rate; those that are late follow at once."""
    started_s = time.perf_counter()
    for index, alert in enumerate(alerts):
        wait_s = started_s + index / rate_hz - time.perf_counter()
        if wait_s > 0:
            time.sleep(wait_s)
        send(producer, topic, alert, index)
    producer.flush()


def send(producer: Producer, topic: str, alert: bytes, index: int) -> None:
    """Hand an alert over, waiting where the queue is full."""
    while True:
        try:
            producer.produce(topic, alert, partition=index % PARTITIONS)
            producer.poll(0)
            return
        except BufferError:
            producer.poll(0.01)


def percentiles(name: str, latencies_ms: NDArray[np.float64]) -> dict[str, float]:
    """Give the usual three."""
    values = np.percentile(latencies_ms, [50, 95, 99]).round(1).tolist()
    return dict(zip((f"{name}p50_ms", f"{name}p95_ms", f"{name}p99_ms"), values, strict=True))


def measure(broker: Broker, alerts: Sequence[bytes], visit: Sequence[bytes]) -> dict[str, Any]:
    """Measure the broker alone, then with a worker at work."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "linger.ms": 0})
    in_bulk = Producer({"bootstrap.servers": broker.bootstrap_servers, "linger.ms": 5, "batch.size": 2**21})
    create_topics(broker.bootstrap_servers, {TOPIC: PARTITIONS, "bare": PARTITIONS})
    warm_up = int(WARM_UP_S * RATE_HZ)
    report: dict[str, Any] = {}
    with watching(broker, "bare", holds_results=False) as watch:
        publish_evenly(producer, "bare", alerts, RATE_HZ)
        watch.wait(len(alerts))
        report |= percentiles("broker_", watch.latencies_ms(warm_up))
    with EmbeddedRedis() as redis, TemporaryDirectory() as directory:
        settings = worker_settings(broker, redis, Survey.LSST, TOPIC)
        worker = worker_process(settings, Path(directory))
        worker.start()
        with watching(broker, settings.output_topic, holds_results=True) as watch:
            send(producer, TOPIC, alerts[0], 0)
            watch.wait(1)  # the worker is there
            publish_evenly(producer, TOPIC, alerts[1:], RATE_HZ)
            watch.wait(len(alerts))
            report |= percentiles("", watch.latencies_ms(warm_up))
            say(f"at {RATE_HZ:g}/s: {report}")
            publish_evenly(in_bulk, TOPIC, visit, np.inf)
            published_ms = time.time() * 1000
            watch.wait(len(alerts) + len(visit))
            first_ms = min(watch.published_ms[len(alerts) :])
            report["drain_s"] = round((watch.seen_ms[-1] - first_ms) / 1000, 2)
            report["visit_published_s"] = round((published_ms - first_ms) / 1000, 2)
            say(f"visit of {len(visit)}: {report['drain_s']} s")
        worker.stop()
    return report


def main() -> None:
    """Measure, and give the time of a whole visit even where a part was measured."""
    chosen = options(__doc__)
    seconds, n_visit = (15, 4_000) if chosen.quick else (60, VISIT)
    made = packets(Survey.LSST, int(seconds * RATE_HZ) + n_visit)
    everything = list(made)
    alerts, visit = everything[:-n_visit], everything[-n_visit:]
    with any_broker() as broker:
        report: dict[str, Any] = {"broker": broker.name, "alerts": len(alerts), "visit": n_visit}
        report |= measure(broker, alerts, visit)
    report["drain_10000_s"] = round(report["drain_s"] * VISIT / n_visit, 2)
    publish(report)


if __name__ == "__main__":
    main()
