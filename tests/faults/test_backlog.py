"""A worker that is far behind works off what waits without needing more memory the longer it lasts."""

import statistics
import time
from pathlib import Path

import psutil
import pytest
from confluent_kafka import TopicPartition

from service.core.alerts import Survey
from service.embedded.broker import Broker, create_topics
from tests.benchmarks._material import packets
from tests.benchmarks._runs import follower
from tests.conftest import SettingsFactory
from tests.support.kafka import produce
from tests.support.service import worker_process

N_ALERTS = 500_000
PARTITIONS = 4
AT_A_TIME = 20_000
# Until then the worker's queue of fetched messages fills up and its arrays reach their size.
WARM_UP = 0.1


@pytest.mark.timeout(5400)
def test_half_a_million_alerts_that_wait_leave_the_memory_as_it_is(
    fault_broker: Broker,
    redis_url: str,
    settings_factory: SettingsFactory,
    models: dict[str, str],
    tmp_path: Path,
    long_form: bool,
) -> None:
    if not long_form:
        pytest.skip("half a million alerts take minutes: set NIGHTJAR_LONG_TESTS=1")
    settings = settings_factory(fault_broker, redis_url, lsst_topics=("backlog",), batch_size=500, **models)
    create_topics(settings.bootstrap_servers, {"backlog": PARTITIONS})
    values = packets(Survey.LSST, N_ALERTS, cutouts="small")
    for _ in range(N_ALERTS // AT_A_TIME):
        some = [next(values) for _ in range(AT_A_TIME)]
        produce(settings.bootstrap_servers, "backlog", some, partition=lambda index: index % PARTITIONS)

    places = [TopicPartition("backlog", number) for number in range(PARTITIONS)]
    samples: list[tuple[int, float]] = []
    worker = worker_process(settings, tmp_path)
    worker.start()
    process = psutil.Process(worker.pid)
    with follower(fault_broker, settings.group_id) as watcher:
        while not samples or samples[-1][0] < N_ALERTS:
            assert worker.running, worker.output()
            done = sum(max(place.offset, 0) for place in watcher.committed(places, 30))
            samples.append((done, process.memory_info().rss))
            time.sleep(0.2)
    assert worker.stop() == 0

    early = statistics.median(rss for done, rss in samples if WARM_UP <= done / N_ALERTS <= 2 * WARM_UP)
    late = statistics.median(rss for done, rss in samples if done / N_ALERTS >= 1 - WARM_UP)
    largest = max(rss for done, rss in samples if done / N_ALERTS >= WARM_UP)
    print(f"{early / 1e6:.0f} MB, {late / 1e6:.0f} MB at the end, {largest / 1e6:.0f} MB at most")  # noqa: T201
    assert late < 1.1 * early
    assert largest < 1.2 * early
