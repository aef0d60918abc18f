"""Readers that see the records of aborted transactions can drop repetitions by the source header."""

import signal

from service.embedded.broker import Broker
from tests.faults.proof import SHORT_TIMEOUTS, lsst
from tests.faults.sabotage import start_saboteur
from tests.integration.conftest import DeploymentFactory
from tests.support.crowd import crowd
from tests.support.kafka import read_topic, wait_until
from tests.support.service import without_timestamps

PACKETS = lsst(crowd(20))


def test_subscriber_that_drops_repetitions_by_source_has_every_result_once(
    fault_broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    deployment = deploy(fault_broker, redis_url, batch_size=10, **SHORT_TIMEOUTS)
    deployment.send(PACKETS, lambda index: index % 4)
    worker = start_saboteur(deployment, "worker", "after produce", signal.SIGKILL)
    wait_until(lambda: not worker.running, "the worker to die with an open transaction")
    deployment.start_worker("worker")
    deployment.wait_until_done()

    # As a broker without full transactions shows them; any broker does to uncommitted readers.
    records = read_topic(deployment.servers, deployment.settings.output_topic, isolation="read_uncommitted")
    kept: dict[tuple[bytes, bytes], bytes] = {}
    for record in records:
        source = record.headers["source"], record.headers.get("record", b"")
        answer = without_timestamps(record.value)
        assert kept.setdefault(source, answer) == answer
    assert len(records) > len(kept) == len(PACKETS)
