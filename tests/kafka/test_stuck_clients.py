"""Clients that never find back by themselves, although the broker answers."""

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


class Unsettled(Proxy):
    """Passes on what a broker is asked, but for some requests that it swallows.

    Attributes
    ----------
    knows_group
        Whether it answers as the coordinator of a group.
    ignored
        Id of a client that gets no answers.
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
def unsettled(kafka_home: Path) -> Iterator[tuple[ApacheKafka, Unsettled]]:
    """Run an Apache Kafka that clients reach only by way of an `UncommittedBatch`."""
    kafka = ApacheKafka(kafka_home)
    with Unsettled(kafka.ports[0]) as proxy:
        kafka.properties = {
            **kafka.properties,
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{proxy.port}",
        }
        with kafka:
            yield kafka, proxy


@pytest.fixture
def settings(unsettled: tuple[ApacheKafka, Unsettled], settings_factory: SettingsFactory) -> Settings:
    kafka, proxy = unsettled
    return settings_factory(kafka).model_copy(update={"bootstrap_servers": f"{LOOPBACK}:{proxy.port}"})


@pytest.fixture
def source(
    unsettled: tuple[ApacheKafka, Unsettled], settings: Settings, unique_topic: TopicFactory
) -> Iterator[KafkaSource]:
    """Give a source that has polled its first batch, with a short patience."""
    kafka, _proxy = unsettled
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
        assert time.monotonic() < deadline, "nothing came"
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


def test_client_whose_group_stays_silent_is_replaced_and_nothing_is_lost(
    unsettled: tuple[ApacheKafka, Unsettled], source: KafkaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.kafka.watchdog.STUCK_AFTER", timedelta(seconds=1))
    client, proxy = source._consumer, unsettled[1]

    proxy.knows_group = False
    while source._consumer is client:
        assert not rewinds(source)

    proxy.knows_group = True
    wait_until(lambda: rewinds(source), "the group to answer")
    assert [value for _ in range(3) for value in batch_of(source)] == VALUES


def test_client_is_kept_as_long_as_no_broker_answers(
    unsettled: tuple[ApacheKafka, Unsettled], source: KafkaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.kafka.watchdog.STUCK_AFTER", timedelta(seconds=2))
    client, kafka = source._consumer, unsettled[0]

    kafka.pause()
    wait_until(lambda: not answers(source), "the broker to be silent")
    assert not any(rewinds(source) for _ in range(4))
    # From here on it has all the time it needs.
    monkeypatch.setattr("service.kafka.watchdog.STUCK_AFTER", timedelta(minutes=5))
    kafka.resume()

    wait_until(lambda: rewinds(source), "the broker to be back")
    assert source._consumer is client
    assert [value for _ in range(3) for value in batch_of(source)] == VALUES


@pytest.fixture
def options(unsettled: tuple[ApacheKafka, Unsettled], settings: Settings) -> Iterator[dict[str, Any]]:
    """Give the options of a client that `lose` shuts out."""
    yield {**common_options(settings), "client.id": "lost"}
    unsettled[1].ignored = b""


def lose(proxy: Unsettled, options: dict[str, Any]) -> None:
    """Answer the clients made so far no more, and those that are made from now on."""
    proxy.ignored = b"lost"
    options["client.id"] = "new"


@pytest.mark.parametrize("is_idle", [True, False])
def test_source_whose_client_gets_no_answers_goes_on_with_another(
    unsettled: tuple[ApacheKafka, Unsettled],
    source: KafkaSource,
    monkeypatch: pytest.MonkeyPatch,
    is_idle: bool,
) -> None:
    monkeypatch.setattr("service.kafka.source.QUIET_AFTER", timedelta(seconds=1))
    monkeypatch.setattr("service.kafka.watchdog.STUCK_AFTER", timedelta(seconds=1))
    for _ in range(2 if is_idle else 0):
        assert batch_of(source)
    client = source._consumer
    unsettled[1].ignored = source._options["client.id"].encode()
    source._options["client.id"] = "new"

    if is_idle:
        wait_until(lambda: polls(source) or source._consumer is not client, "a new client")
    wait_until(lambda: rewinds(source), "the group to answer")
    assert source._consumer is not client
    assert [value for _ in range(3) for value in batch_of(source)] == VALUES
    unsettled[1].ignored = b""


def test_sink_whose_client_gets_no_answers_begins_with_another(
    unsettled: tuple[ApacheKafka, Unsettled],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.kafka.watchdog.STUCK_AFTER", timedelta(seconds=1))
    sink = KafkaSink(producer_options(settings), timedelta(seconds=15), librdkafka_logger(settings))
    client = sink._producer
    unsettled[1].ignored = sink._options["client.id"].encode()
    assert not connects(sink)
    sink._options["client.id"] = "new"

    wait_until(lambda: connects(sink), "the broker to answer")
    assert sink._producer is not client
    unsettled[1].ignored = b""


def connects(sink: KafkaSink) -> bool:
    try:
        sink.connect()
    except BrokerUnavailableError:
        return False
    return True


def test_live_stream_whose_client_gets_no_answers_begins_anew(
    unsettled: tuple[ApacheKafka, Unsettled],
    options: dict[str, Any],
    unique_topic: TopicFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.kafka.watchdog.STUCK_AFTER", timedelta(seconds=1))
    kafka, proxy = unsettled
    topic = unique_topic(kafka)
    feed = KafkaResultFeed(options, topic)
    feed.open({0: 0})
    assert not feed.has_grown()
    lose(proxy, options)

    with pytest.raises(BrokerUnavailableError, match="cannot reach Kafka"):
        any(feed.has_grown() for _ in range(10))

    produce(kafka.bootstrap_servers, topic, VALUES)
    feed.open({0: 0})
    found = [record.value for record in records_of(feed, len(VALUES))]
    assert found == VALUES
    feed.close()


def records_of(feed: KafkaResultFeed, count: int) -> list[FeedRecord]:
    deadline = time.monotonic() + 60
    records: list[FeedRecord] = []
    while len(records) < count:
        assert time.monotonic() < deadline, "nothing came"
        records += feed.poll().records
    return records


def test_reader_whose_client_gets_no_answers_misses_nothing(
    unsettled: tuple[ApacheKafka, Unsettled],
    options: dict[str, Any],
    unique_topic: TopicFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.kafka.topic_reader.QUIET_AFTER", timedelta(seconds=0.5))
    monkeypatch.setattr("service.kafka.watchdog.STUCK_AFTER", timedelta(seconds=1))
    kafka, proxy = unsettled
    topic = unique_topic(kafka, partitions=2)
    produce(kafka.bootstrap_servers, topic, VALUES[:10], partition=lambda _index: 0)
    client_options = dict(options)
    with TopicReader(options, [topic], from_beginning=True) as reader:
        found: list[bytes] = []
        wait_until(lambda: reads(reader, found) and reader.at_end, "the end of the topic")
        reader._watchdog = StuckClientWatchdog(
            partial(groupless_consumer, {**client_options, "client.id": "new"})
        )
        lose(proxy, options)
        produce(kafka.bootstrap_servers, topic, VALUES[10:], partition=lambda index: index % 2)
        wait_until(lambda: reads(reader, found) and len(found) >= len(VALUES), "the rest")
    assert sorted(found) == VALUES


def reads(reader: TopicReader, found: list[bytes]) -> bool:
    found += [record.value for record in reader.read(timedelta(milliseconds=200))]
    return True


def test_topics_are_made_by_a_new_client_after_one_that_got_no_answers(
    unsettled: tuple[ApacheKafka, Unsettled], options: dict[str, Any], unique_topic: TopicFactory
) -> None:
    kafka, proxy = unsettled
    admin = TopicAdmin(options)
    topic = unique_topic(kafka)
    assert topic in admin.partitions()
    lose(proxy, admin._options)

    with pytest.raises(BrokerUnavailableError):
        admin.partitions()
    assert topic in admin.partitions()
