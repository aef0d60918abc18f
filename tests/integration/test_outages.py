"""Redis or the broker down, at startup or in mid-stream: the worker waits, logs it once, loses nothing."""

import re
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from service.embedded.broker import Broker
from service.embedded.processes import ChildProcess
from service.embedded.redis import EmbeddedRedis
from tests.integration.conftest import DeploymentFactory
from tests.integration.deployment import Deployment, undisturbed_light_curves
from tests.support.kafka import wait_until
from tests.support.service import light_curves
from tests.support.streams import simulated_packets

PACKETS = simulated_packets()[:240]
FIRST, SECOND = PACKETS[:120], PACKETS[120:]

# Longer than every timeout of the client, and than several retries of the worker.
OUTAGE_S = 20.0


def by_partition(index: int) -> int:
    return index * 7 % 4


def assert_nothing_is_lost_or_repeated(deployment: Deployment, redis_url: str) -> None:
    """Compare with an undisturbed run in this process."""
    assert len(deployment.answers()) == len(PACKETS)
    assert deployment.dead_letters() == []
    undisturbed = undisturbed_light_curves(deployment.settings, redis_url, PACKETS)
    assert light_curves(str(deployment.settings.redis_url)) == undisturbed


def assert_waiting_logged_once(worker: ChildProcess, *, times: int = 1) -> None:
    wait_until_recovered(worker)
    assert events(worker).count("waiting") == times, worker.output()
    assert "Traceback" not in worker.output()


def events(worker: ChildProcess) -> list[str]:
    """Return the events that it has logged, without causes, which may contain the same words."""
    return re.findall(r"\] (\S.*?) +\[service\.", worker.output())


def wait_until_recovered(worker: ChildProcess) -> None:
    """Wait until it logs that it no longer waits, which is after its results are visible."""

    def has_recovered() -> bool:
        last = [event for event in events(worker) if event in {"waiting", "recovered", "ready"}][-1:]
        return last != ["waiting"]

    wait_until(has_recovered, f"{worker.name} to recover")


def test_worker_waits_for_redis_at_startup(
    embedded_broker: Broker, own_redis: EmbeddedRedis, redis_url: str, deploy: DeploymentFactory
) -> None:
    own_redis.stop()
    deployment = deploy(embedded_broker, own_redis.url)
    deployment.send(PACKETS, by_partition)
    worker = deployment.start_worker()
    deployment.wait_until_logged(worker, "waiting")
    time.sleep(2)

    own_redis.start()
    deployment.wait_until_done()

    assert_waiting_logged_once(worker)
    assert_nothing_is_lost_or_repeated(deployment, redis_url)
    assert worker.stop() == 0


@pytest.mark.parametrize("rough_broker", ["kafka"], indirect=True)  # the other one loses its topics
def test_worker_waits_for_the_broker_at_startup(
    rough_broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    deployment = deploy(rough_broker, redis_url)
    deployment.send(PACKETS, by_partition)
    rough_broker.stop()
    worker = deployment.start_worker()
    deployment.wait_until_logged(worker, "waiting")
    time.sleep(2)

    rough_broker.start()
    deployment.wait_until_done()

    assert_waiting_logged_once(worker)
    assert_nothing_is_lost_or_repeated(deployment, redis_url.removesuffix("/0") + "/1")
    assert worker.stop() == 0


def redis_killed(redis: EmbeddedRedis) -> Callable[[], None]:
    redis.kill()
    return redis.start


def redis_frozen(redis: EmbeddedRedis) -> Callable[[], None]:
    redis.pause()
    return redis.resume


@pytest.mark.parametrize("disturb", [redis_killed, redis_frozen])
def test_redis_outage_in_mid_stream_loses_and_repeats_nothing(
    broker: Broker,
    own_redis: EmbeddedRedis,
    redis_url: str,
    deploy: DeploymentFactory,
    disturb: Callable[[EmbeddedRedis], Callable[[], None]],
) -> None:
    if (broker.name == "embedded") != (disturb is redis_frozen):
        pytest.skip("one kind of outage on each broker is enough")
    deployment = deploy(broker, own_redis.url, batch_size=20, redis_timeout=timedelta(seconds=1))
    worker = deployment.start_worker()
    deployment.send(FIRST, by_partition)
    deployment.wait_until_done()

    restore = disturb(own_redis)
    deployment.send(SECOND, by_partition)
    deployment.wait_until_logged(worker, "waiting")
    time.sleep(OUTAGE_S)
    restore()
    deployment.wait_until_done()

    wait_until(lambda: "recovered" in events(worker), "the worker to log that it recovered")
    assert_waiting_logged_once(worker)
    assert_nothing_is_lost_or_repeated(deployment, redis_url)
    assert worker.stop() == 0


def broker_killed(broker: Broker) -> Callable[[], None]:
    broker.kill()
    return broker.start


def broker_frozen(broker: Broker) -> Callable[[], None]:
    broker.pause()
    return broker.resume


def test_broker_outage_in_mid_stream_loses_and_repeats_nothing(
    rough_broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    # Small batches, so that the broker fails while one is in flight.
    # A session that outlasts the outage: a group that has to form again after it is another outage.
    deployment = deploy(
        rough_broker, redis_url, batch_size=5, session_timeout=2 * timedelta(seconds=OUTAGE_S)
    )
    deployment.send(PACKETS, by_partition)
    worker = deployment.start_worker()
    deployment.wait_until_committed(20)

    restore = broker_killed(rough_broker) if rough_broker.durable else broker_frozen(rough_broker)
    time.sleep(OUTAGE_S)
    restore()
    deployment.wait_until_done()

    assert worker.running
    wait_until_recovered(worker)
    assert events(worker).count("waiting") <= 1, worker.output()
    assert_nothing_is_lost_or_repeated(deployment, redis_url.removesuffix("/0") + "/1")
    assert worker.stop() == 0


# The embedded broker never times transactions out.
@pytest.mark.parametrize("rough_broker", ["kafka"], indirect=True)
def test_broker_frozen_longer_than_the_transaction_timeout_loses_and_repeats_nothing(
    rough_broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    deployment = deploy(rough_broker, redis_url, batch_size=5, transaction_timeout=timedelta(seconds=2))
    deployment.send(PACKETS, by_partition)
    worker = deployment.start_worker()
    deployment.wait_until_committed(20)

    rough_broker.pause()
    time.sleep(OUTAGE_S)
    rough_broker.resume()
    deployment.wait_until_done()

    assert worker.running
    assert_nothing_is_lost_or_repeated(deployment, redis_url.removesuffix("/0") + "/1")
    assert worker.stop() == 0
