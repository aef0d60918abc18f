"""The broker restarted, killed, or one of three lost: nothing is lost, nothing is answered twice."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from service.embedded.broker import Broker
from tests.faults.cluster import Cluster
from tests.faults.proof import BRISK, assert_exactly_once, assert_same_light_curves, lsst
from tests.integration.conftest import DeploymentFactory
from tests.support.crowd import crowd
from tests.support.kafka import wait_until

PACKETS = lsst(crowd(80))
BATCH = 10

# A lone broker that starts when the time of a transaction is over takes it for ended without having written
# so where there is no leader yet (Apache Kafka 4.3.1). Three seconds are over, a minute is not.
TIMES = [BRISK["transaction_timeout"], timedelta(seconds=60)]


def spread(index: int) -> int:
    return index % 4


def gently(broker: Broker) -> None:
    broker.restart()


def by_kill(broker: Broker) -> None:
    broker.kill()
    broker.start()


@pytest.mark.parametrize("time", TIMES, ids=["time over", "in time"])
@pytest.mark.parametrize("restart", [gently, by_kill])
def test_broker_restarted_in_mid_stream(
    durable_broker: Broker,
    redis_url: str,
    alone_url: str,
    deploy: DeploymentFactory,
    restart: Callable[[Broker], None],
    time: timedelta,
    long_form: bool,
) -> None:
    if (restart is gently or time == TIMES[0]) and not long_form:
        pytest.skip("one way of four: set NIGHTJAR_LONG_TESTS=1")
    deployment = deploy(durable_broker, redis_url, batch_size=BATCH, **BRISK | {"transaction_timeout": time})
    workers = [deployment.start_worker(f"worker-{number}") for number in range(2)]
    deployment.send(PACKETS, spread)
    deployment.wait_until_committed(len(PACKETS) // 4)

    restart(durable_broker)
    deployment.wait_until_done(timeout_s=150)
    # Results wait behind a transaction that was open when the broker died, until its worker gives it up.
    wait_until(lambda: len(deployment.results()) >= len(PACKETS), "all results to show", timeout_s=120)

    assert all(worker.running for worker in workers)
    assert_exactly_once(deployment)
    assert_same_light_curves(deployment, alone_url, PACKETS)


def test_one_of_three_brokers_killed(
    kafka_home: Path,
    redis_url: str,
    alone_url: str,
    deploy: DeploymentFactory,
    long_form: bool,
) -> None:
    if not long_form:
        pytest.skip("three brokers take a minute: set NIGHTJAR_LONG_TESTS=1")
    with Cluster(kafka_home) as cluster:
        deployment = deploy(cluster, redis_url, batch_size=BATCH, **BRISK)
        for number in range(2):
            deployment.start_worker(f"worker-{number}")
        deployment.send(PACKETS[: len(PACKETS) // 2], spread)
        deployment.wait_until_committed(len(PACKETS) // 8)
        cluster.followers[0].kill()
        deployment.send(PACKETS[len(PACKETS) // 2 :], spread)
        deployment.wait_until_done()

        assert_exactly_once(deployment)
        assert_same_light_curves(deployment, alone_url, PACKETS)
