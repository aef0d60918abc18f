"""A worker that is far behind works off what waits without needing more memory the longer it lasts."""

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
# Each object comes back twelve times; a packet has some 4 kB.
N_OBJECTS, N_ALERTS = 500, 12
# Of the long form, whose 504,000 alerts take the broker 2 GB of disk, and of the short one.
MANY, FEW = 84, 2
# Until then the worker's queue of fetched messages fills up and its arrays reach their size.
WARM_UP = 5_000
EDGE = 0.1


@dataclass(frozen=True, slots=True)
class Sample:
    """What a worker has done and needs for it."""

    alerts: int
    rss_bytes: int


@pytest.mark.timeout(1800)
def test_worker_that_is_far_behind_needs_no_more_memory_as_it_goes_on(
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
    samples = followed(fault_broker, settings, worker, count)
    assert worker.stop() == 0

    warm = [sample for sample in samples if sample.alerts >= WARM_UP]
    early = statistics.median(s.rss_bytes for s in warm if s.alerts <= WARM_UP + EDGE * count)
    late = statistics.median(s.rss_bytes for s in warm if s.alerts >= (1 - EDGE) * count)
    largest = max(sample.rss_bytes for sample in warm)
    print(f"{early / 1e6:.0f} MB, {late / 1e6:.0f} MB at the end, {largest / 1e6:.0f} MB at most")  # noqa: T201
    assert late < 1.1 * early
    assert largest < 1.2 * early


def followed(broker: Broker, settings: Settings, worker: ChildProcess, count: int) -> list[Sample]:
    """Watch a worker until it has committed so many alerts."""
    places = [TopicPartition("backlog", number) for number in range(PARTITIONS)]
    process = psutil.Process(worker.pid)
    samples: list[Sample] = []
    with follower(broker, settings.group_id) as watcher:
        while not samples or samples[-1].alerts < count:
            assert worker.running, worker.output()
            samples.append(Sample(committed(watcher, places), process.memory_info().rss))
            time.sleep(0.1)
    return samples
