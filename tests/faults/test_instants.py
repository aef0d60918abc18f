"""A worker that dies or freezes at each point of its loop: what it left unfinished does no harm."""

import signal
from pathlib import Path

import pytest

from service.embedded.broker import Broker
from service.embedded.processes import ChildProcess
from tests.faults.proof import (
    SHORT_TIMEOUTS,
    aborted_records,
    assert_exactly_once,
    assert_same_light_curves,
    lsst,
)
from tests.faults.sabotage import INSTANTS, start_saboteur
from tests.integration.conftest import DeploymentFactory
from tests.support.crowd import crowd
from tests.support.kafka import wait_until

PACKETS = lsst(crowd(60))
# Half of the store written, an open transaction without and with offsets: few, because starts are slow.
BRIEFLY = ("amid save", "after produce", "after send_offsets")
FIRST, SECOND = PACKETS[:300], PACKETS[300:]


def by_partition(index: int) -> int:
    return index % 4


def test_worker_killed_at_each_step_of_the_loop_loses_and_repeats_nothing(
    fault_broker: Broker, redis_url: str, reference_url: str, deploy: DeploymentFactory, long_form: bool
) -> None:
    deployment = deploy(fault_broker, redis_url, batch_size=10, **SHORT_TIMEOUTS)
    deployment.send(PACKETS, by_partition)

    for instant in INSTANTS if long_form else BRIEFLY:
        worker = start_saboteur(deployment, "worker", instant, signal.SIGKILL)
        wait_until(lambda: not worker.running, f"a death {instant}")  # noqa: B023  called within the iteration
        assert worker.exit_code == -signal.SIGKILL, worker.output()
    assert deployment.committed() < len(PACKETS)
    deployment.start_worker("worker")
    deployment.wait_until_done()

    # It did die with an open transaction.
    assert aborted_records(fault_broker, deployment.settings.output_topic) > 0
    assert_exactly_once(deployment)
    assert_same_light_curves(deployment, reference_url, PACKETS)


@pytest.mark.parametrize("instant", ["before save", "after produce", "after send_offsets"])
def test_worker_frozen_past_its_session_is_fenced_and_rejoins(
    fencing_broker: Broker,
    redis_url: str,
    reference_url: str,
    deploy: DeploymentFactory,
    instant: str,
    long_form: bool,
) -> None:
    if instant != "after produce" and not long_form:
        pytest.skip("one instant of three: set NIGHTJAR_LONG_TESTS=1")
    deployment = deploy(fencing_broker, redis_url, batch_size=10, **SHORT_TIMEOUTS)
    deployment.send(FIRST, by_partition)
    zombie = start_saboteur(deployment, "zombie", instant, signal.SIGSTOP)
    wait_until(lambda: _is_frozen(zombie.pid), f"the worker to freeze {instant}")
    successor = deployment.start_worker("successor")
    deployment.wait_until_done()

    zombie.resume()
    wait_until(lambda: is_fenced(zombie), "the broker to fence the worker")
    deployment.send(SECOND, by_partition)
    deployment.wait_until_done()

    assert_exactly_once(deployment)
    assert_same_light_curves(deployment, reference_url, PACKETS)
    # It is a member of the group again, like the other.
    wait_until(lambda: zombie.output().count("partitions assigned") > 1, "the worker to get partitions again")
    assert (zombie.stop(), successor.stop()) == (0, 0)


def is_fenced(worker: ChildProcess) -> bool:
    assert worker.running, worker.output()
    return any(text in worker.output() for text in ("restarting after being fenced", "waiting"))


def _is_frozen(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
