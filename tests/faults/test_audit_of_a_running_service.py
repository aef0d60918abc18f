"""An audit beside a service at work finds nothing wrong at any moment."""

from service.embedded.broker import Broker
from tests.faults.proof import BRISK, assert_exactly_once, audit, lsst
from tests.integration.conftest import DeploymentFactory
from tests.support.crowd import crowd

PACKETS = lsst(crowd(250))


def test_audit_beside_working_workers_is_clean_each_time(
    fault_broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    deployment = deploy(fault_broker, redis_url, batch_size=2, **BRISK)
    deployment.start_worker()
    deployment.send(PACKETS, lambda index: index % 4)

    consumed = []
    for goal in (1, len(PACKETS) // 3):
        deployment.wait_until_committed(goal)
        code, found = audit(deployment)
        assert code == 0, found
        consumed.append(found["totals"]["consumed"])
    deployment.wait_until_done()

    assert 0 < consumed[0] < consumed[1] <= len(PACKETS)
    assert consumed[0] < len(PACKETS)  # it was at work indeed
    assert_exactly_once(deployment)
