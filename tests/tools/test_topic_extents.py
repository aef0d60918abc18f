"""Where topics end is known on every broker, also where the broker does not report it."""

import pytest
from confluent_kafka import Producer

from service.embedded.broker import Broker, EmbeddedBroker
from service.errors import BrokerUnavailableError
from service.kafka.topic_ranges import OffsetRange, log_ends
from service.tools.audit.topic_extents import is_embedded, true_extents
from tests.conftest import TopicFactory
from tests.support.kafka import produce


def test_brokers_are_told_apart_by_their_cluster(broker: Broker) -> None:
    assert is_embedded({"bootstrap.servers": broker.bootstrap_servers}) is not broker.hides_aborted


def test_end_includes_every_record_of_the_last_batch_and_open_transactions(
    broker: Broker, unique_topic: TopicFactory
) -> None:
    topic, options = unique_topic(broker, partitions=2), {"bootstrap.servers": broker.bootstrap_servers}
    assert set(true_extents(options, [topic]).values()) == {OffsetRange(0, 0)}
    produce(broker.bootstrap_servers, topic, [b"plain"] * 10, partition=lambda _index: 1)
    producer = Producer(options | {"transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    for _ in range(5):
        producer.produce(topic, b"open", partition=1)
    producer.flush(10)

    extents = true_extents(options, [topic])

    producer.abort_transaction(30)
    assert extents == {(topic, 0): OffsetRange(0, 0), (topic, 1): OffsetRange(0, 15)}


def test_absent_broker_is_an_error() -> None:
    with EmbeddedBroker() as gone:
        options = {"bootstrap.servers": gone.bootstrap_servers}
    with pytest.raises(BrokerUnavailableError, match="reach Kafka at 127"):
        true_extents(options, ["topic"])


def test_end_that_cannot_be_read_is_an_error(
    broker: Broker, unique_topic: TopicFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.kafka.topic_ranges.METADATA_TIMEOUT_S", 1.0)
    topic, options = unique_topic(broker), {"bootstrap.servers": broker.bootstrap_servers}
    broker.pause()
    try:
        with pytest.raises(BrokerUnavailableError, match=f"the end of {topic}:0 could not be read"):
            log_ends(options, {(topic, 0): 0})
    finally:
        broker.resume()
