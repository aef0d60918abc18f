"""An audit of a running service finds no problem at any time."""

from service.embedded.broker import Broker
from tests.faults.proof import SHORT_TIMEOUTS, assert_exactly_once, audit, lsst
from tests.integration.conftest import DeploymentFactory
from tests.support.crowd import crowd

PACKETS = lsst(crowd(250))


def test_audit_of_a_running_service_is_always_clean(
    fault_broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    deployment = deploy(fault_broker, redis_url, batch_size=2, **SHORT_TIMEOUTS)
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
    assert consumed[0] < len(PACKETS)  # it was in fact running
    assert_exactly_once(deployment)
