"""Redis killed, emptied, full, read-only or slow: nothing is lost, and light curves are unaffected."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import pytest
from redis import Redis

from service.core.alerts import Survey
from service.decoding.decoder import RawMessage
from service.embedded.broker import Broker
from service.embedded.processes import LOOPBACK
from service.embedded.redis import EmbeddedRedis
from service.redis.store import RedisStore
from service.settings import Settings
from service.wiring.decoding import decoder
from tests.faults.proof import SHORT_TIMEOUTS, assert_exactly_once, assert_same_light_curves, lsst
from tests.faults.proxy import Proxy
from tests.integration.conftest import DeploymentFactory
from tests.integration.deployment import Deployment
from tests.support.crowd import crowd
from tests.support.kafka import wait_until

PACKETS = lsst(crowd(70))
# Small, so that every worker is in the middle of a batch when Redis fails.
BATCH = 10


def by_partition(index: int) -> int:
    return index % 4


def last_of_each_object() -> list[bool]:
    """Return for each packet whether it is the last one of its object."""
    alerts = decoder(Settings()).decode([RawMessage(value, Survey.LSST) for _, value in PACKETS]).alerts
    last = dict(zip(alerts.object_id, alerts.message.tolist(), strict=True))
    is_last = np.zeros(len(PACKETS), np.bool_)
    is_last[list(last.values())] = True
    return is_last.tolist()


def test_killed_redis_with_an_append_only_file_loses_nothing(
    fault_broker: Broker, own_redis: EmbeddedRedis, redis_url: str, deploy: DeploymentFactory
) -> None:
    deployment = deploy(fault_broker, own_redis.url, batch_size=BATCH, **SHORT_TIMEOUTS)
    for number in range(2):
        deployment.start_worker(f"worker-{number}")
    deployment.send(PACKETS, by_partition)

    for part in (0.15, 0.45, 0.75):
        deployment.wait_until_committed(int(part * len(PACKETS)))
        own_redis.kill()
        own_redis.start()
    deployment.wait_until_done()

    assert_exactly_once(deployment)
    assert_same_light_curves(deployment, redis_url, PACKETS)


def test_objects_of_a_redis_that_lost_its_data_are_rebuilt_from_packets(
    fault_broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    flags = last_of_each_object()
    earlier = [packet for packet, is_last in zip(PACKETS, flags, strict=True) if not is_last]
    last = [packet for packet, is_last in zip(PACKETS, flags, strict=True) if is_last]
    with EmbeddedRedis() as forgetful:
        deployment = deploy(fault_broker, forgetful.url, batch_size=BATCH, **SHORT_TIMEOUTS)
        deployment.start_worker()
        deployment.send(earlier, by_partition)
        deployment.wait_until_committed(len(earlier) // 2)
        forgetful.kill()
        forgetful.start()
        deployment.wait_until_done()
        deployment.send(last, by_partition)
        deployment.wait_until_done()

        assert_exactly_once(deployment)
        assert_same_light_curves(deployment, redis_url, PACKETS)
        # The models that results refer to are stored again too.
        assert stored_models(forgetful.url) == stored_models(redis_url)


def stored_models(url: str) -> set[str]:
    store = RedisStore.connect(url, timeout=timedelta(seconds=5), expiry=timedelta(days=1))
    try:
        return {model.name for model in store.models().values()}
    finally:
        store.close()


def full(client: Redis) -> Iterator[str]:
    """Allow no more memory; yield what the worker should log."""
    client.config_set("maxmemory", client.info("memory")["used_memory"])
    yield "is out of memory"
    client.config_set("maxmemory", 0)


def read_only(client: Redis) -> Iterator[str]:
    """Make it a replica of an absent master, as in the middle of a failover."""
    client.replicaof(LOOPBACK, 1)
    yield "is a read-only replica"
    client.replicaof("NO", "ONE")


@pytest.mark.parametrize("refuse", [full, read_only])
def test_worker_waits_for_a_redis_that_rejects_writes(
    fault_broker: Broker,
    redis_server: EmbeddedRedis,
    redis_url: str,
    reference_url: str,
    deploy: DeploymentFactory,
    refuse: Callable[[Redis], Iterator[str]],
    long_form: bool,
) -> None:
    if refuse is read_only and not long_form:
        pytest.skip("only a full one: set NIGHTJAR_LONG_TESTS=1")
    deployment = deploy(fault_broker, redis_url, batch_size=BATCH, **SHORT_TIMEOUTS)
    worker = deployment.start_worker()
    deployment.send(PACKETS[:300], by_partition)
    deployment.wait_until_done()

    with Redis.from_url(redis_server.url) as client, contextmanager(refuse)(client) as reason:
        deployment.send(PACKETS[300:], by_partition)
        deployment.wait_until_logged(worker, reason)
        assert deployment.committed() < len(PACKETS)
    deployment.wait_until_done()

    assert_exactly_once(deployment)
    assert_same_light_curves(deployment, reference_url, PACKETS)
    assert "Traceback" not in worker.output()


def test_slow_redis_with_broken_connections_costs_only_time(
    fault_broker: Broker,
    redis_server: EmbeddedRedis,
    redis_url: str,
    reference_url: str,
    deploy: DeploymentFactory,
) -> None:
    with Proxy(redis_server.ports[0]) as proxy:
        url = redis_url.replace(str(redis_server.ports[0]), str(proxy.port))
        deployment = deploy(
            fault_broker, url, batch_size=BATCH, redis_timeout=timedelta(seconds=1), **SHORT_TIMEOUTS
        )
        for number in range(2):
            deployment.start_worker(f"worker-{number}")
        deployment.send(PACKETS[:400], by_partition)
        proxy.delay_s = 0.03
        for part in range(1, 6):
            deployment.wait_until_committed(part * 60)
            proxy.cut()
        deployment.wait_until_done()
        proxy.delay_s = 1.5  # longer than a worker waits for a reply
        deployment.send(PACKETS[400:], by_partition)
        wait_until(lambda: any_logged(deployment, "does not answer in time"), "a worker to wait")
        assert deployment.committed() < len(PACKETS)
        proxy.delay_s = 0.0
        deployment.wait_until_done()

    deployment.settings = deployment.settings.model_copy(update={"redis_url": redis_url})
    assert proxy.n_cut > 0
    assert_exactly_once(deployment)
    assert_same_light_curves(deployment, reference_url, PACKETS)


def any_logged(deployment: Deployment, text: str) -> bool:
    return any(text in worker.output() for worker in deployment.workers)
