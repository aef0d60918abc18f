"""Redis or the broker away, at the start or in mid-stream: the worker waits, says so once, loses nothing."""

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

# Longer than every timeout of the client, and than several pauses of the worker.
AWAY_S = 20.0


def spread(index: int) -> int:
    return index * 7 % 4


def assert_nothing_is_lost_or_repeated(deployment: Deployment, redis_url: str) -> None:
    """Compare with a run in this process that nothing disturbed."""
    assert len(deployment.answers()) == len(PACKETS)
    assert deployment.dead_letters() == []
    undisturbed = undisturbed_light_curves(deployment.settings, redis_url, PACKETS)
    assert light_curves(str(deployment.settings.redis_url)) == undisturbed


def assert_said_once(worker: ChildProcess, *, times: int = 1) -> None:
    wait_until_it_goes_on(worker)
    assert said(worker).count("waiting") == times, worker.output()
    assert "Traceback" not in worker.output()


def said(worker: ChildProcess) -> list[str]:
    """List what it has said, without causes: theirs are words of librdkafka, which waits too."""
    return re.findall(r"\] (\S.*?) +\[service\.", worker.output())


def wait_until_it_goes_on(worker: ChildProcess) -> None:
    """Wait until it says that it no longer waits: others see what it commits before it does."""

    def goes_on() -> bool:
        last = [event for event in said(worker) if event in {"waiting", "recovered", "ready"}][-1:]
        return last != ["waiting"]

    wait_until(goes_on, f"{worker.name} to go on")


def test_no_redis_at_the_start(
    embedded_broker: Broker, own_redis: EmbeddedRedis, redis_url: str, deploy: DeploymentFactory
) -> None:
    own_redis.stop()
    deployment = deploy(embedded_broker, own_redis.url)
    deployment.send(PACKETS, spread)
    worker = deployment.start_worker()
    deployment.wait_until_said(worker, "waiting")
    time.sleep(2)

    own_redis.start()
    deployment.wait_until_done()

    assert_said_once(worker)
    assert_nothing_is_lost_or_repeated(deployment, redis_url)
    assert worker.stop() == 0


@pytest.mark.parametrize("rough_broker", ["kafka"], indirect=True)  # the other forgets its topics
def test_no_broker_at_the_start(rough_broker: Broker, redis_url: str, deploy: DeploymentFactory) -> None:
    deployment = deploy(rough_broker, redis_url)
    deployment.send(PACKETS, spread)
    rough_broker.stop()
    worker = deployment.start_worker()
    deployment.wait_until_said(worker, "waiting")
    time.sleep(2)

    rough_broker.start()
    deployment.wait_until_done()

    assert_said_once(worker)
    assert_nothing_is_lost_or_repeated(deployment, redis_url.removesuffix("/0") + "/1")
    assert worker.stop() == 0


def redis_killed(redis: EmbeddedRedis) -> Callable[[], None]:
    redis.kill()
    return redis.start


def redis_frozen(redis: EmbeddedRedis) -> Callable[[], None]:
    redis.pause()
    return redis.resume


@pytest.mark.parametrize("disturb", [redis_killed, redis_frozen])
def test_redis_away_in_mid_stream(
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
    deployment.send(FIRST, spread)
    deployment.wait_until_done()

    come_back = disturb(own_redis)
    deployment.send(SECOND, spread)
    deployment.wait_until_said(worker, "waiting")
    time.sleep(AWAY_S)
    come_back()
    deployment.wait_until_done()

    wait_until(lambda: "recovered" in said(worker), "the worker to say that it recovered")
    assert_said_once(worker)
    assert_nothing_is_lost_or_repeated(deployment, redis_url)
    assert worker.stop() == 0


def broker_killed(broker: Broker) -> Callable[[], None]:
    broker.kill()
    return broker.start


def broker_frozen(broker: Broker) -> Callable[[], None]:
    broker.pause()
    return broker.resume


def test_broker_away_in_mid_stream(rough_broker: Broker, redis_url: str, deploy: DeploymentFactory) -> None:
    # Small batches, so that the broker goes while one is on its way.
    deployment = deploy(rough_broker, redis_url, batch_size=5)
    deployment.send(PACKETS, spread)
    worker = deployment.start_worker()
    deployment.wait_until_committed(20)

    come_back = broker_killed(rough_broker) if rough_broker.durable else broker_frozen(rough_broker)
    time.sleep(AWAY_S)
    come_back()
    deployment.wait_until_done()

    assert worker.running
    wait_until_it_goes_on(worker)
    assert said(worker).count("waiting") <= 1, worker.output()
    assert_nothing_is_lost_or_repeated(deployment, redis_url.removesuffix("/0") + "/1")
    assert worker.stop() == 0


# The embedded broker lets transactions last for ever.
@pytest.mark.parametrize("rough_broker", ["kafka"], indirect=True)
def test_broker_frozen_for_longer_than_a_transaction_may_last(
    rough_broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    deployment = deploy(rough_broker, redis_url, batch_size=5, transaction_timeout=timedelta(seconds=2))
    deployment.send(PACKETS, spread)
    worker = deployment.start_worker()
    deployment.wait_until_committed(20)

    rough_broker.pause()
    time.sleep(AWAY_S)
    rough_broker.resume()
    deployment.wait_until_done()

    assert worker.running
    assert_nothing_is_lost_or_repeated(deployment, redis_url.removesuffix("/0") + "/1")
    assert worker.stop() == 0
