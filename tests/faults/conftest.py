"""A broker that tests may kill, and services that use it; long forms with ``NIGHTJAR_LONG_TESTS=1``."""

import os
from collections.abc import Iterator

import pytest

from service.embedded.broker import ApacheKafka, Broker, EmbeddedBroker, find_kafka
from service.errors import InputError
from tests.conftest import ROOT

# Deployments are created as in the integration tests.
from tests.integration.conftest import deploy, models

__all__ = ["deploy", "models"]

# So that silent members and old transactions are noticed within a second or two.
SHORT_INTERVALS = {
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}


@pytest.fixture(scope="session")
def fault_broker() -> Iterator[Broker]:
    """Run Apache Kafka if it is installed, else the embedded broker; tests leave it running."""
    try:
        kafka_home = find_kafka(ROOT / os.environ.get("NIGHTJAR_KAFKA_HOME", "../shared/kafka"))
    except InputError:
        broker: Broker = EmbeddedBroker()
    else:
        broker = ApacheKafka(kafka_home, SHORT_INTERVALS)
    with broker:
        yield broker


@pytest.fixture
def durable_broker(fault_broker: Broker) -> Broker:
    """Return the broker if it keeps its data when it is killed."""
    if not fault_broker.durable:
        pytest.skip("the embedded broker holds its data in memory: set NIGHTJAR_KAFKA_HOME")
    return fault_broker


@pytest.fixture
def fencing_broker(fault_broker: Broker) -> Broker:
    """Return the broker if it aborts the transactions of silent workers and fences them."""
    if not fault_broker.hides_aborted:
        pytest.skip("the embedded broker waits forever for a frozen worker: set NIGHTJAR_KAFKA_HOME")
    return fault_broker


@pytest.fixture
def reference_url(redis_url: str) -> str:
    """Return the URL of a database for the undisturbed run."""
    return redis_url.removesuffix("/0") + "/1"
