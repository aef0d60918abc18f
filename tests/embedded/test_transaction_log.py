"""A partition's log read with its transaction markers gives what was committed, on either broker."""

import pytest
from confluent_kafka import Producer

from service.embedded.broker import Broker, EmbeddedBroker
from service.embedded.transaction_log import EMBEDDED_CLUSTER_ID, TransactionLog
from service.errors import BrokerUnavailableError
from service.kafka.topic_ranges import cluster_id, offset_ranges
from tests.conftest import TopicFactory
from tests.support.kafka import produce, read_topic


def transactional(broker: Broker, name: str, codec: str = "lz4") -> Producer:
    options = {
        "bootstrap.servers": broker.bootstrap_servers,
        "transactional.id": name,
        "compression.type": codec,
    }
    producer = Producer(options)
    producer.init_transactions(30)
    return producer


@pytest.mark.parametrize("codec", ["none", "gzip", "lz4", "zstd"])
def test_interleaved_transactions_are_told_apart(
    broker: Broker, unique_topic: TopicFactory, codec: str
) -> None:
    topic = unique_topic(broker)
    first, second = (transactional(broker, f"{topic}-{name}", codec) for name in "ab")
    for turn in range(4):
        for producer in (first, second):
            producer.begin_transaction()
        for number in range(6):
            for name, producer in (("first", first), ("second", second)):
                value = f"{name} {turn} {number} ".encode() * 20
                producer.produce(topic, value, b"key", headers=[("source", f"{turn}:{number}".encode())])
                if number == 3:
                    producer.flush(10)
        for producer in (first, second):
            producer.flush(10)
        committed, aborted = (first, second) if turn % 2 else (second, first)
        committed.commit_transaction(30)
        aborted.abort_transaction(30)
    produce(broker.bootstrap_servers, topic, [b"plain"])

    (extent,) = offset_ranges({"bootstrap.servers": broker.bootstrap_servers}, [topic]).values()
    with TransactionLog(broker.bootstrap_servers) as log:
        records = list(log.committed(topic, 0, range(extent.low, extent.high)))
        assert (log.aborted, log.open_at) == (24, None)

    expected = {f"{'first' if turn % 2 else 'second'} {turn} {n} " for turn in range(4) for n in range(6)}
    assert {record.value[: len(record.value) // 20].decode() for record in records[:-1]} == expected
    assert len(records) == 25
    assert records[-1] == (records[-1].offset, b"plain", {})
    assert {record.headers["source"] for record in records[:6]} == {b"0:%d" % n for n in range(6)}
    if broker.hides_aborted:
        plain = read_topic(broker.bootstrap_servers, topic)
        assert sorted((r.offset, r.value, r.headers) for r in plain) == sorted(map(tuple, records))


def test_open_transaction_does_not_count_and_is_told(broker: Broker, unique_topic: TopicFactory) -> None:
    topic = unique_topic(broker)
    produce(broker.bootstrap_servers, topic, [b"plain"])
    producer = transactional(broker, topic)
    producer.begin_transaction()
    producer.produce(topic, b"open")
    producer.flush(10)
    (extent,) = offset_ranges({"bootstrap.servers": broker.bootstrap_servers}, [topic]).values()
    with TransactionLog(broker.bootstrap_servers) as log:
        span = range(extent.low, extent.high)
        assert [record.value for record in log.committed(topic, 0, span)] == [b"plain"]
        assert log.open_at == 1
        producer.commit_transaction(30)
        (extent,) = offset_ranges({"bootstrap.servers": broker.bootstrap_servers}, [topic]).values()
        span = range(extent.low, extent.high)
        assert [record.value for record in log.committed(topic, 0, span)] == [b"plain", b"open"]
        assert log.open_at is None


def test_long_log_is_read_in_many_answers(broker: Broker, unique_topic: TopicFactory) -> None:
    topic = unique_topic(broker)
    values = [b"%06d" % number + bytes(20_000) for number in range(300)]
    produce(broker.bootstrap_servers, topic, values)
    with TransactionLog(broker.bootstrap_servers) as log:
        assert [record.value for record in log.committed(topic, 0, range(300))] == values


def test_brokers_are_told_apart_by_their_cluster(broker: Broker) -> None:
    is_embedded = cluster_id({"bootstrap.servers": broker.bootstrap_servers}) == EMBEDDED_CLUSTER_ID
    assert is_embedded is not broker.hides_aborted


def test_absent_broker_is_an_error() -> None:
    with EmbeddedBroker() as gone:
        address = gone.bootstrap_servers
    with pytest.raises(BrokerUnavailableError, match=f"no answer from Kafka at {address}"):
        TransactionLog(address)


def test_absent_topic_is_an_error(apache_kafka: Broker) -> None:
    with (
        TransactionLog(apache_kafka.bootstrap_servers) as log,
        pytest.raises(BrokerUnavailableError, match="cannot read no-such-topic:0:0"),
    ):
        list(log.committed("no-such-topic", 0, range(1)))
