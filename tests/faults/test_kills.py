"""kill -9 of one of two workers at random times: no alert is lost or answered twice."""

import time

import numpy as np
import pytest

from service.embedded.broker import Broker
from tests.faults.proof import (
    SHORT_TIMEOUTS,
    aborted_records,
    assert_exactly_once,
    assert_same_light_curves,
    lsst,
)
from tests.integration.conftest import DeploymentFactory
from tests.integration.deployment import Deployment
from tests.support.crowd import crowd

# Small, so that there are many transactions that a kill can hit.
BATCH = 10
WORKERS = 2
# Two or three transactions: the kill can hit any point of them.
LONGEST_DELAY_S = 0.05


@pytest.mark.timeout(1800)
def test_kills_at_random_times_lose_and_repeat_nothing(
    fault_broker: Broker,
    redis_url: str,
    reference_url: str,
    deploy: DeploymentFactory,
    long_form: bool,
) -> None:
    n_kills, n_alerts = (50, 20_000) if long_form else (4, 1200)
    packets = lsst(crowd(n_alerts // 8)[:n_alerts])
    chance = np.random.default_rng()  # other times in every run
    deployment = deploy(fault_broker, redis_url, batch_size=BATCH, **SHORT_TIMEOUTS)
    workers = [deployment.start_worker(f"worker-{number}") for number in range(WORKERS)]
    per_kill, hit = len(packets) // n_kills, 0

    for kill in range(n_kills):
        for worker in workers:
            deployment.wait_until_logged(worker, "partitions assigned")
        deployment.send(packets[kill * per_kill : (kill + 1) * per_kill], lambda index: index % 4)
        n_before = kill * per_kill + int(chance.integers(1, per_kill // 4))
        wait_closely(deployment, n_before)
        time.sleep(chance.uniform(0, LONGEST_DELAY_S))
        hit += deployment.committed() < deployment.sent.total()
        victim = int(chance.integers(WORKERS))
        workers[victim].kill()
        # Some restart under another name, like a new container: only the broker can then abort what the
        # old one left open. The embedded broker never does.
        is_renamed = fault_broker.hides_aborted and chance.random() < 0.25
        name = f"worker-{victim}-{kill}" if is_renamed else workers[victim].name
        workers[victim] = deployment.start_worker(name)
    deployment.send(packets[n_kills * per_kill :], lambda index: index % 4)
    deployment.wait_until_done(timeout_s=300)

    aborted = aborted_records(fault_broker, deployment.settings.output_topic)
    print(f"{n_kills} kills, {hit} during a transaction; {len(packets)} alerts; {aborted} records aborted")  # noqa: T201
    assert_exactly_once(deployment)
    assert_same_light_curves(deployment, reference_url, packets)


def wait_closely(deployment: Deployment, count: int) -> None:
    """Wait until `count` messages are committed, polling so often that few more are by then."""
    deadline = time.monotonic() + 90
    while deployment.committed() < count:
        assert time.monotonic() < deadline, [worker.output() for worker in deployment.workers]
        time.sleep(0.002)
