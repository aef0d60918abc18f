"""A worker with a large backlog processes it in constant memory."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from confluent_kafka import TopicPartition

from service.embedded.broker import Broker, create_topics
from service.embedded.processes import ChildProcess
from service.settings import Settings
from tests.benchmarks._runs import committed, follower
from tests.conftest import SettingsFactory
from tests.support.crowd import multitude
from tests.support.kafka import produce
from tests.support.service import worker_process

PARTITIONS = 4
# Each object has twelve alerts; a packet has some 4 kB.
N_OBJECTS, N_ALERTS = 500, 12
# Of the long form, whose 504,000 alerts need 2 GB of the broker's disk, and of the short one.
MANY, FEW = 84, 2
# During these alerts the worker's queue of fetched messages fills and its arrays reach their size.
WARM_UP = 5_000
EDGE = 0.1


@dataclass(frozen=True, slots=True)
class Sample:
    """A worker's progress and memory."""

    alerts: int
    rss_bytes: int


@pytest.mark.timeout(1800)
def test_memory_of_a_worker_with_a_large_backlog_does_not_grow(
    fault_broker: Broker,
    redis_url: str,
    settings_factory: SettingsFactory,
    models: dict[str, str],
    tmp_path: Path,
    long_form: bool,
) -> None:
    if long_form and not fault_broker.durable:
        pytest.skip("the embedded broker would hold the backlog in memory: set NIGHTJAR_KAFKA_HOME")
    copies = MANY if long_form else FEW
    settings = settings_factory(fault_broker, redis_url, lsst_topics=("backlog",), batch_size=500, **models)
    create_topics(settings.bootstrap_servers, {"backlog": PARTITIONS})
    packets = multitude(N_OBJECTS, N_ALERTS, copies)
    produce(settings.bootstrap_servers, "backlog", packets, partition=lambda index: index % PARTITIONS)

    count = N_OBJECTS * N_ALERTS * copies
    worker = worker_process(settings, tmp_path)
    worker.start()
    samples = sample_until_done(fault_broker, settings, worker, count)
    assert worker.stop() == 0

    warm = [sample for sample in samples if sample.alerts >= WARM_UP]
    early = statistics.median(s.rss_bytes for s in warm if s.alerts <= WARM_UP + EDGE * count)
    late = statistics.median(s.rss_bytes for s in warm if s.alerts >= (1 - EDGE) * count)
    largest = max(sample.rss_bytes for sample in warm)
    print(f"{early / 1e6:.0f} MB, {late / 1e6:.0f} MB at the end, {largest / 1e6:.0f} MB at most")  # noqa: T201
    assert late < 1.1 * early
    assert largest < 1.2 * early


def sample_until_done(broker: Broker, settings: Settings, worker: ChildProcess, count: int) -> list[Sample]:
    """Sample a worker until it has committed `count` alerts."""
    partitions = [TopicPartition("backlog", number) for number in range(PARTITIONS)]
    process = psutil.Process(worker.pid)
    samples: list[Sample] = []
    with follower(broker, settings.group_id) as watcher:
        while not samples or samples[-1].alerts < count:
            assert worker.running, worker.output()
            samples.append(Sample(committed(watcher, partitions), process.memory_info().rss))
            time.sleep(0.1)
    return samples
