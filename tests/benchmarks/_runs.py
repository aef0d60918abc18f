"""One run of a program over a topic that is full: how fast, and at what cost."""

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from pydantic import RedisDsn

from service.core.alerts import Survey
from service.embedded.broker import Broker, create_topics
from service.embedded.processes import ChildProcess
from service.embedded.redis import EmbeddedRedis
from service.settings import Settings
from tests.support.kafka import produce, read_topic
from tests.support.service import worker_process

__all__ = [
    "PARTITIONS",
    "Run",
    "bare_run",
    "committed",
    "fill",
    "follower",
    "program",
    "worker_run",
    "worker_settings",
]

PARTITIONS = 4
PATIENCE_S = 300.0
POLL_S = 0.05
NOT_READY = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}
START = 0.1
"""Part of a topic that is read before the clock starts: what was fetched ahead of it does not count."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took.

    Attributes
    ----------
    alerts_per_s
        Behind the first part of the topic.
    cpu_us_per_alert
        Of all of the program's processes, its threads included.
    """

    alerts_per_s: float
    cpu_us_per_alert: float


def fill(broker: Broker, topic: str, packets: Iterator[bytes]) -> int:
    """Write a topic and give how many messages it holds."""
    create_topics(broker.bootstrap_servers, {topic: PARTITIONS})
    count = 0

    def counted() -> Iterator[bytes]:
        nonlocal count
        for packet in packets:
            count += 1
            yield packet

    produce(broker.bootstrap_servers, topic, counted(), partition=lambda index: index % PARTITIONS)
    return count


def worker_settings(broker: Broker, redis: EmbeddedRedis, survey: Survey, topic: str) -> Settings:
    """Give the settings of workers that share a group and output topics of their own; all else default."""
    unique = uuid.uuid4().hex[:8]
    settings = Settings(
        bootstrap_servers=broker.bootstrap_servers,
        redis_url=RedisDsn(redis.url),
        group_id=f"group-{unique}",
        output_topic=f"output-{unique}",
        rejected_topic=f"rejected-{unique}",
        **{f"{survey.value}_topics": (topic,)},  # type: ignore[arg-type]
    )
    create_topics(broker.bootstrap_servers, {settings.output_topic: PARTITIONS, settings.rejected_topic: 1})
    return settings


def worker_run(
    broker: Broker,
    survey: Survey,
    topic: str,
    count: int,
    *,
    n_workers: int = 1,
    prepare: Callable[[EmbeddedRedis], None] = lambda _redis: None,
    start: float = START,
) -> Run:
    """Let workers read a topic to its end, on a Redis that is empty or prepared.

    What is measured begins behind the part `start` of the topic.
    """
    with EmbeddedRedis() as redis, TemporaryDirectory() as directory:
        prepare(redis)
        settings = worker_settings(broker, redis, survey, topic)
        workers = [worker_process(settings, Path(directory), f"worker-{n}") for n in range(n_workers)]
        for worker in workers:
            worker.start()
        samples = _followed(broker, settings.group_id, topic, count, workers)
        for worker in workers:
            worker.stop()
        times_ms = [r.timestamp_ms for r in read_topic(broker.bootstrap_servers, settings.output_topic)]
    if len(times_ms) != count:
        raise workers[0].failure(f"gave {len(times_ms)} results for {count} alerts")
    return Run(_rate(np.sort(times_ms), start), _cost(samples, count, start))


def bare_run(broker: Broker, topic: str, count: int, *arguments: str) -> Run:
    """Let a consumer that does nothing else read a topic to its end."""
    return program("_bare", broker, topic, count, *arguments)


def program(name: str, broker: Broker, topic: str, count: int, *arguments: str) -> Run:
    """Run a module of this package on a topic; its last line says what the run took."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", broker.bootstrap_servers, topic, str(count)]
    with TemporaryDirectory() as directory:
        child = ChildProcess(name, [*command, *arguments], Path(directory) / "log", {"OMP_NUM_THREADS": "1"})
        child.start()
        code = child.wait(timedelta(seconds=PATIENCE_S))
        if code:
            raise child.failure(f"ended with {code}")
        result: Mapping[str, float] = json.loads(child.output().splitlines()[-1])
    return Run(**result)


def _rate(times_ms: np.ndarray[tuple[int], np.dtype[np.int64]], start: float) -> float:
    """Give the rate behind the first part, from the times at which results were produced."""
    first_ms = times_ms[int(start * len(times_ms))]
    return float((times_ms > first_ms).sum() / (times_ms[-1] - first_ms) * 1000)


def _cost(samples: list[tuple[int, float]], count: int, start: float) -> float:
    """Give the CPU time of an alert behind the first part, from (alerts committed, CPU seconds)."""
    first, first_cpu_s = next(sample for sample in samples if sample[0] >= start * count)
    last, last_cpu_s = samples[-1]
    return (last_cpu_s - first_cpu_s) / (last - first) * 1e6


def _followed(
    broker: Broker, group_id: str, topic: str, count: int, workers: list[ChildProcess]
) -> list[tuple[int, float]]:
    """Wait until a group has committed a whole topic; its progress and what it took of the CPU."""
    places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    processes = [psutil.Process(worker.pid) for worker in workers]
    samples: list[tuple[int, float]] = []
    deadline = time.monotonic() + PATIENCE_S
    with follower(broker, group_id) as consumer:
        while not samples or samples[-1][0] < count:
            if time.monotonic() > deadline or not all(worker.running for worker in workers):
                raise workers[0].failure(f"came to {samples[-1:]} of {count}")
            before_s = _cpu_s(processes)
            done = committed(consumer, places)
            samples.append((done, (before_s + _cpu_s(processes)) / 2))  # to ask takes its time
            time.sleep(POLL_S)
    return samples


def _cpu_s(processes: list[psutil.Process]) -> float:
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def committed(consumer: Consumer, places: list[TopicPartition]) -> int:
    """Count what a group has committed; 0 while the broker is not ready to tell."""
    try:
        return sum(max(place.offset, 0) for place in consumer.committed(places, 10))
    except KafkaException as error:
        if error.args[0].code() not in NOT_READY:
            raise
        return 0


@contextmanager
def follower(broker: Broker, group_id: str) -> Iterator[Consumer]:
    """Give a consumer that can ask how far a group has come."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": group_id, "log_level": 0})
    try:
        yield consumer
    finally:
        consumer.close()
