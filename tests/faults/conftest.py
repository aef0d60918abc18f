"""A broker that tests may kill, and services upon it; long forms by ``NIGHTJAR_LONG_TESTS=1``."""

import os
from collections.abc import Iterator

import pytest

from service.embedded.broker import ApacheKafka, Broker, EmbeddedBroker, find_kafka
from service.errors import InputError
from tests.conftest import ROOT

# Services under test are made as in the integration tests.
from tests.integration.conftest import deploy, models

__all__ = ["deploy", "models"]

# So that a member's silence and a transaction's age are noticed within a second or two.
IMPATIENT = {
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}


@pytest.fixture(scope="session")
def fault_broker() -> Iterator[Broker]:
    """Run Apache Kafka where there is one, else the embedded broker; tests leave it running."""
    try:
        kafka_home = find_kafka(ROOT / os.environ.get("NIGHTJAR_KAFKA_HOME", "../shared/kafka"))
    except InputError:
        found: Broker = EmbeddedBroker()
    else:
        found = ApacheKafka(kafka_home, IMPATIENT)
    with found:
        yield found


@pytest.fixture
def durable_broker(fault_broker: Broker) -> Broker:
    """Give the broker, if it keeps its data when it is killed."""
    if not fault_broker.durable:
        pytest.skip("the embedded broker holds its data in memory: set NIGHTJAR_KAFKA_HOME")
    return fault_broker


@pytest.fixture
def fencing_broker(fault_broker: Broker) -> Broker:
    """Give the broker, if it ends the transactions of the silent and shuts them out of their group."""
    if not fault_broker.hides_aborted:
        pytest.skip("the embedded broker waits for a frozen worker for ever: set NIGHTJAR_KAFKA_HOME")
    return fault_broker


@pytest.fixture
def alone_url(redis_url: str) -> str:
    """Give a database for the undisturbed run."""
    return redis_url.removesuffix("/0") + "/1"
