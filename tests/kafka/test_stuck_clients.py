"""Clients that never reconnect on their own although the broker answers are replaced."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.core.ports.result_feed import FeedRecord
from service.embedded.broker import ApacheKafka
from service.embedded.processes import LOOPBACK
from service.errors import BrokerUnavailableError
from service.kafka.consumers import groupless_consumer
from service.kafka.options import (
    common_options,
    consumer_options,
    librdkafka_logger,
    producer_options,
)
from service.kafka.result_feed import KafkaResultFeed
from service.kafka.sink import KafkaSink
from service.kafka.source import BatchLimits, KafkaSource
from service.kafka.topic_admin import TopicAdmin
from service.kafka.topic_reader import TopicReader
from service.kafka.watchdog import StuckClientWatchdog
from service.settings import Settings
from tests.conftest import SettingsFactory, TopicFactory
from tests.faults.proxy import Proxy
from tests.support.kafka import produce, wait_until

LIMITS = BatchLimits(messages=20, size_bytes=2**20, wait=timedelta(milliseconds=200))
VALUES = [b"%03d" % number for number in range(60)]

# Kafka's keys of the requests that a group's coordinator answers, from OffsetCommit to LeaveGroup.
GROUP_REQUESTS = range(8, 14)
LENGTH = struct.Struct(">i")
HEADER = struct.Struct(">hhih")  # key, version and number of a request, length of the client's id


class SelectiveProxy(Proxy):
    """Forwards requests to a broker, except some that it drops.

    Attributes
    ----------
    knows_group
        Whether it forwards requests to a group's coordinator.
    ignored
        Id of a client whose requests it drops.
    """

    knows_group = True
    ignored = b""

    def _forward(self, source: socket.socket, target: socket.socket, are_replies: bool) -> None:
        if are_replies:
            return super()._forward(source, target, are_replies)
        with suppress(OSError), source.makefile("rb") as requests:
            while len(size := requests.read(LENGTH.size)) == LENGTH.size:
                request = requests.read(*LENGTH.unpack(size))
                key, _version, _number, length = HEADER.unpack_from(request)
                client = request[HEADER.size :][:length]
                if client != self.ignored and (self.knows_group or key not in GROUP_REQUESTS):
                    target.sendall(size + request)
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        return None


@pytest.fixture(scope="module")
def proxied_kafka(kafka_home: Path) -> Iterator[tuple[ApacheKafka, SelectiveProxy]]:
    """Run an Apache Kafka that clients reach only through a `SelectiveProxy`."""
    kafka = ApacheKafka(kafka_home)
    with SelectiveProxy(kafka.ports[0]) as proxy:
        kafka.properties = {
            **kafka.properties,
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{proxy.port}",
        }
        with kafka:
            yield kafka, proxy


@pytest.fixture
def settings(
    proxied_kafka: tuple[ApacheKafka, SelectiveProxy], settings_factory: SettingsFactory
) -> Settings:
    kafka, proxy = proxied_kafka
    return settings_factory(kafka).model_copy(update={"bootstrap_servers": f"{LOOPBACK}:{proxy.port}"})


@pytest.fixture
def source(
    proxied_kafka: tuple[ApacheKafka, SelectiveProxy], settings: Settings, unique_topic: TopicFactory
) -> Iterator[KafkaSource]:
    """Yield a source that has polled its first batch."""
    kafka, _proxy = proxied_kafka
    topic = unique_topic(kafka)
    produce(kafka.bootstrap_servers, topic, VALUES)
    source = open_source(settings, topic)
    assert batch_of(source)
    yield source
    source.close()


def open_source(settings: Settings, topic: str) -> KafkaSource:
    source = KafkaSource(consumer_options(settings), [topic], LIMITS, librdkafka_logger(settings))
    source.open()
    return source


def batch_of(source: KafkaSource) -> list[bytes | None]:
    deadline = time.monotonic() + 60
    while not polls(source):
        assert time.monotonic() < deadline, "no messages arrived"
    return [message.value for message in source._batch]


def polls(source: KafkaSource) -> bool:
    try:
        return bool(source.poll())
    except BrokerUnavailableError:
        return False


def rewinds(source: KafkaSource) -> bool:
    try:
        source.rewind()
    except BrokerUnavailableError:
        return False
    return True


def answers(source: KafkaSource) -> bool:
    try:
        source.check()
    except BrokerUnavailableError:
        return False
    return True


def test_client_without_answers_from_its_group_is_replaced_and_nothing_is_lost(
    proxied_kafka: tuple[ApacheKafka, SelectiveProxy], source: KafkaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.kafka.watchdog.STUCK_AFTER", timedelta(seconds=1))
    client, proxy = source._consumer, proxied_kafka[1]

    proxy.knows_group = False
    while source._consumer is client:
        assert not rewinds(source)

    proxy.knows_group = True
    wait_until(lambda: rewinds(source), "the group to answer")
    assert [value for _ in range(3) for value in batch_of(source)] == VALUES


def test_client_is_kept_while_no_broker_answers(
    proxied_kafka: tuple[ApacheKafka, SelectiveProxy], source: KafkaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.kafka.watchdog.STUCK_AFTER", timedelta(seconds=2))
    client, kafka = source._consumer, proxied_kafka[0]

    kafka.pause()
    wait_until(lambda: not answers(source), "the broker not to answer")
    assert not any(rewinds(source) for _ in range(4))
    # From now on the client is not replaced.
    monkeypatch.setattr("service.kafka.watchdog.STUCK_AFTER", timedelta(minutes=5))
    kafka.resume()

    wait_until(lambda: rewinds(source), "the broker to answer")
    assert source._consumer is client
    assert [value for _ in range(3) for value in batch_of(source)] == VALUES


@pytest.fixture
def options(
    proxied_kafka: tuple[ApacheKafka, SelectiveProxy], settings: Settings
) -> Iterator[dict[str, Any]]:
    """Yield the options of a client that `isolate` cuts off."""
    yield {**common_options(settings), "client.id": "lost"}
    proxied_kafka[1].ignored = b""


def isolate(proxy: SelectiveProxy, options: dict[str, Any]) -> None:
    """Cut off the clients created so far, but not those created from now on."""
    proxy.ignored = b"lost"
    options["client.id"] = "new"


@pytest.mark.parametrize("is_idle", [True, False])
def test_source_replaces_a_client_that_gets_no_answers(
    proxied_kafka: tuple[ApacheKafka, SelectiveProxy],
    source: KafkaSource,
    monkeypatch: pytest.MonkeyPatch,
    is_idle: bool,
) -> None:
    monkeypatch.setattr("service.kafka.source.QUIET_AFTER", timedelta(seconds=1))
    monkeypatch.setattr("service.kafka.watchdog.STUCK_AFTER", timedelta(seconds=1))
    for _ in range(2 if is_idle else 0):
        assert batch_of(source)
    client = source._consumer
    proxied_kafka[1].ignored = source._options["client.id"].encode()
    source._options["client.id"] = "new"

    if is_idle:
        wait_until(lambda: polls(source) or source._consumer is not client, "a new client")
    wait_until(lambda: rewinds(source), "the group to answer")
    assert source._consumer is not client
    assert [value for _ in range(3) for value in batch_of(source)] == VALUES
    proxied_kafka[1].ignored = b""


def test_sink_replaces_a_client_that_gets_no_answers(
    proxied_kafka: tuple[ApacheKafka, SelectiveProxy],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.kafka.watchdog.STUCK_AFTER", timedelta(seconds=1))
    sink = KafkaSink(producer_options(settings), timedelta(seconds=15), librdkafka_logger(settings))
    client = sink._producer
    proxied_kafka[1].ignored = sink._options["client.id"].encode()
    assert not connects(sink)
    sink._options["client.id"] = "new"

    wait_until(lambda: connects(sink), "the broker to answer")
    assert sink._producer is not client
    proxied_kafka[1].ignored = b""


def connects(sink: KafkaSink) -> bool:
    try:
        sink.connect()
    except BrokerUnavailableError:
        return False
    return True


def test_live_stream_replaces_a_client_that_gets_no_answers(
    proxied_kafka: tuple[ApacheKafka, SelectiveProxy],
    options: dict[str, Any],
    unique_topic: TopicFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.kafka.watchdog.STUCK_AFTER", timedelta(seconds=1))
    kafka, proxy = proxied_kafka
    topic = unique_topic(kafka)
    feed = KafkaResultFeed(options, topic)
    feed.open({0: 0})
    assert not feed.has_grown()
    isolate(proxy, options)

    with pytest.raises(BrokerUnavailableError, match="cannot reach Kafka"):
        any(feed.has_grown() for _ in range(10))

    produce(kafka.bootstrap_servers, topic, VALUES)
    feed.open({0: 0})
    values = [record.value for record in records_of(feed, len(VALUES))]
    assert values == VALUES
    feed.close()


def records_of(feed: KafkaResultFeed, count: int) -> list[FeedRecord]:
    deadline = time.monotonic() + 60
    records: list[FeedRecord] = []
    while len(records) < count:
        assert time.monotonic() < deadline, "no messages arrived"
        records += feed.poll().records
    return records


def test_reader_replaces_a_client_that_gets_no_answers_and_misses_nothing(
    proxied_kafka: tuple[ApacheKafka, SelectiveProxy],
    options: dict[str, Any],
    unique_topic: TopicFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.kafka.topic_reader.QUIET_AFTER", timedelta(seconds=0.5))
    monkeypatch.setattr("service.kafka.watchdog.STUCK_AFTER", timedelta(seconds=1))
    kafka, proxy = proxied_kafka
    topic = unique_topic(kafka, partitions=2)
    produce(kafka.bootstrap_servers, topic, VALUES[:10], partition=lambda _index: 0)
    client_options = dict(options)
    with TopicReader(options, [topic], from_beginning=True) as reader:
        values: list[bytes] = []
        wait_until(lambda: reads(reader, values) and reader.at_end, "the end of the topic")
        reader._watchdog = StuckClientWatchdog(
            partial(groupless_consumer, {**client_options, "client.id": "new"})
        )
        isolate(proxy, options)
        produce(kafka.bootstrap_servers, topic, VALUES[10:], partition=lambda index: index % 2)
        wait_until(lambda: reads(reader, values) and len(values) >= len(VALUES), "the rest")
    assert sorted(values) == VALUES


def reads(reader: TopicReader, values: list[bytes]) -> bool:
    values += [record.value for record in reader.read(timedelta(milliseconds=200))]
    return True


def test_topic_admin_replaces_a_client_that_got_no_answer(
    proxied_kafka: tuple[ApacheKafka, SelectiveProxy], options: dict[str, Any], unique_topic: TopicFactory
) -> None:
    kafka, proxy = proxied_kafka
    admin = TopicAdmin(options)
    topic = unique_topic(kafka)
    assert topic in admin.partitions()
    isolate(proxy, admin._options)

    with pytest.raises(BrokerUnavailableError):
        admin.partitions()
    assert topic in admin.partitions()
