"""The broker restarts, is killed, or one of three is lost: no alert is lost or answered twice."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from service.embedded.broker import Broker
from tests.faults.cluster import Cluster
from tests.faults.proof import SHORT_TIMEOUTS, assert_exactly_once, assert_same_light_curves, lsst
from tests.integration.conftest import DeploymentFactory
from tests.support.crowd import crowd
from tests.support.kafka import wait_until

PACKETS = lsst(crowd(80))
BATCH = 10

# A single broker that starts after a transaction has timed out takes it to be ended without having written
# markers to partitions without a leader (Apache Kafka 4.3.1). Starting takes more than three seconds and less
# than a minute.
TIMEOUTS = [SHORT_TIMEOUTS["transaction_timeout"], timedelta(seconds=60)]


def spread(index: int) -> int:
    return index % 4


def gently(broker: Broker) -> None:
    broker.restart()


def by_kill(broker: Broker) -> None:
    broker.kill()
    broker.start()


@pytest.mark.parametrize("timeout", TIMEOUTS, ids=["timed out", "in time"])
@pytest.mark.parametrize("restart", [gently, by_kill])
def test_broker_restart_in_mid_stream_loses_and_repeats_nothing(
    durable_broker: Broker,
    redis_url: str,
    reference_url: str,
    deploy: DeploymentFactory,
    restart: Callable[[Broker], None],
    timeout: timedelta,
    long_form: bool,
) -> None:
    if (restart is gently or timeout == TIMEOUTS[0]) and not long_form:
        pytest.skip("one way of four: set NIGHTJAR_LONG_TESTS=1")
    deployment = deploy(
        durable_broker, redis_url, batch_size=BATCH, **SHORT_TIMEOUTS | {"transaction_timeout": timeout}
    )
    workers = [deployment.start_worker(f"worker-{number}") for number in range(2)]
    deployment.send(PACKETS, spread)
    deployment.wait_until_committed(len(PACKETS) // 4)

    restart(durable_broker)
    deployment.wait_until_done(timeout_s=150)
    # A transaction that was open when the broker died holds back later results until its worker abandons it.
    wait_until(lambda: len(deployment.results()) >= len(PACKETS), "all results to be visible", timeout_s=120)

    assert all(worker.running for worker in workers)
    assert_exactly_once(deployment)
    assert_same_light_curves(deployment, reference_url, PACKETS)


def test_loss_of_one_of_three_brokers_loses_and_repeats_nothing(
    kafka_home: Path,
    redis_url: str,
    reference_url: str,
    deploy: DeploymentFactory,
    long_form: bool,
) -> None:
    if not long_form:
        pytest.skip("three brokers take a minute: set NIGHTJAR_LONG_TESTS=1")
    with Cluster(kafka_home) as cluster:
        deployment = deploy(cluster, redis_url, batch_size=BATCH, **SHORT_TIMEOUTS)
        for number in range(2):
            deployment.start_worker(f"worker-{number}")
        deployment.send(PACKETS[: len(PACKETS) // 2], spread)
        deployment.wait_until_committed(len(PACKETS) // 8)
        cluster.followers[0].kill()
        deployment.send(PACKETS[len(PACKETS) // 2 :], spread)
        deployment.wait_until_done()

        assert_exactly_once(deployment)
        assert_same_light_curves(deployment, reference_url, PACKETS)
