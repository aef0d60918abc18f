"""A consumer group that does not answer, although the broker does."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from service.adapters.kafka import BatchLimits, KafkaSource
from service.adapters.kafka_options import consumer_options, librdkafka_logger
from service.embedded.broker import ApacheKafka
from service.errors import BrokerUnavailableError
from service.settings import Settings
from tests.conftest import SettingsFactory, TopicFactory
from tests.faults.proxy import Proxy
from tests.support.kafka import produce, wait_until

LIMITS = BatchLimits(messages=20, size_bytes=2**20, wait=timedelta(milliseconds=200))
VALUES = [b"%03d" % number for number in range(60)]

# Kafka's keys of the requests that a group's coordinator answers, from OffsetCommit to LeaveGroup.
GROUP_REQUESTS = range(8, 14)
HEADER = struct.Struct(">ih")  # length of what follows, key of the request


class Coordinator(Proxy):
    """Passes on what a broker is asked, but requests to a group's coordinator only where it `answers`."""

    answers = True

    def _forward(self, source: socket.socket, target: socket.socket, are_replies: bool) -> None:
        if are_replies:
            return super()._forward(source, target, are_replies)
        with suppress(OSError), source.makefile("rb") as requests:
            while len(header := requests.read(HEADER.size)) == HEADER.size:
                length, key = HEADER.unpack(header)
                body = requests.read(length - 2)
                if self.answers or key not in GROUP_REQUESTS:
                    target.sendall(header + body)
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        return None


@pytest.fixture(scope="module")
def coordinator(kafka_home: Path) -> Iterator[tuple[ApacheKafka, Coordinator]]:
    """Run an Apache Kafka that clients reach only by way of a `Coordinator`."""
    kafka = ApacheKafka(kafka_home)
    with Coordinator(kafka.ports[0]) as proxy:
        kafka.properties = {
            **kafka.properties,
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{proxy.port}",
        }
        with kafka:
            yield kafka, proxy


@pytest.fixture
def source(
    coordinator: tuple[ApacheKafka, Coordinator],
    settings_factory: SettingsFactory,
    unique_topic: TopicFactory,
) -> Iterator[KafkaSource]:
    """Give a source that has polled its first batch, with a short patience."""
    kafka, _proxy = coordinator
    topic, settings = unique_topic(kafka), settings_factory(kafka)
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
    while not (batch := source.poll()):
        assert time.monotonic() < deadline, "nothing came"
    return [message.value for message in batch]


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
    coordinator: tuple[ApacheKafka, Coordinator], source: KafkaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.adapters.kafka.STUCK_AFTER", timedelta(seconds=1))
    client, proxy = source._consumer, coordinator[1]

    proxy.answers = False
    while source._consumer is client:
        assert not rewinds(source)

    proxy.answers = True
    wait_until(lambda: rewinds(source), "the group to answer")
    assert [value for _ in range(3) for value in batch_of(source)] == VALUES


def test_client_is_kept_as_long_as_no_broker_answers(
    coordinator: tuple[ApacheKafka, Coordinator], source: KafkaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.adapters.kafka.STUCK_AFTER", timedelta(seconds=4))
    client, kafka = source._consumer, coordinator[0]

    kafka.pause()
    wait_until(lambda: not answers(source), "the broker to be silent")
    assert not any(rewinds(source) for _ in range(3))
    kafka.resume()

    wait_until(lambda: rewinds(source), "the broker to be back")
    assert source._consumer is client
    assert [value for _ in range(3) for value in batch_of(source)] == VALUES
