"""Plain producing and reading for tests, apart from the service's own clients."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from service.errors import TransientError

MARKS_S = 5.0
PARTITION_UNASSIGNED = -1  # librdkafka's RD_KAFKA_PARTITION_UA: the partitioner chooses

Answer = TypeVar("Answer")

__all__ = ["Record", "group_lag", "patiently", "produce", "read_topic", "wait_for_records", "wait_until"]


@dataclass(frozen=True, slots=True)
class Record:
    """One message of a topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    timestamp_ms: int
    headers: dict[str, bytes] = field(default_factory=dict)


def produce(
    bootstrap_servers: str,
    topic: str,
    values: Iterable[bytes],
    *,
    keys: Iterable[bytes | None] | None = None,
    partition: Callable[[int], int] | None = None,
) -> None:
    """Write messages and wait until the broker has all of them; `partition` maps a message's index."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "enable.idempotence": True,
            "message.max.bytes": 20 * 2**20,
            "linger.ms": 5,
        }
    )
    failures: list[str] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failures.append(str(error))

    key_of = iter(keys) if keys is not None else None
    for index, value in enumerate(values):
        key = next(key_of) if key_of is not None else None
        target = PARTITION_UNASSIGNED if partition is None else partition(index)
        while True:
            try:
                producer.produce(topic, value, key, target, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)  # the queue is full: let it drain
        producer.poll(0)
    assert producer.flush(60) == 0, "the broker did not take every message"
    assert not failures, failures[0]


def read_topic(bootstrap_servers: str, topic: str, *, isolation: str = "read_committed") -> list[Record]:
    """Read everything a topic holds now, by partition and offset.

    A broker answers a commit before it has marked it in every partition: those who read what is committed
    first wait a little for open transactions to end.
    """
    consumer = _reader(bootstrap_servers, isolation)
    try:
        partitions = list(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
        places = [TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions]
        if isolation == "read_committed":
            _await_marks(bootstrap_servers, consumer, places)
        consumer.assign(places)
        return sorted(_read_to_end(consumer, set(partitions)), key=lambda r: (r.partition, r.offset))
    finally:
        consumer.close()


def _reader(bootstrap_servers: str, isolation: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "tests-read-topic",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "fetch.wait.max.ms": 10,
        }
    )


def _await_marks(bootstrap_servers: str, committed: Consumer, places: list[TopicPartition]) -> None:
    everything = _reader(bootstrap_servers, "read_uncommitted")
    deadline = time.monotonic() + MARKS_S
    try:
        while not _end_alike(committed, everything, places) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        everything.close()


def _end_alike(one: Consumer, other: Consumer, places: list[TopicPartition]) -> bool:
    """Tell whether two consumers are told of the same ends; a topic that was just made has none yet."""
    try:
        first, second = (
            [c.get_watermark_offsets(place, timeout=30)[1] for place in places] for c in (one, other)
        )
    except KafkaException:
        return False
    return first == second


def _read_to_end(consumer: Consumer, open_partitions: set[int]) -> Iterable[Record]:
    deadline = time.monotonic() + 60
    while open_partitions:
        assert time.monotonic() < deadline, f"partitions {open_partitions} did not end"
        for message in consumer.consume(500, timeout=0.2):
            error = message.error()
            if error is None:
                yield _record(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                open_partitions.discard(message.partition())
            else:
                assert error.retriable(), str(error)


def _record(message: Message) -> Record:
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        key=message.key(),
        value=message.value() or b"",
        timestamp_ms=message.timestamp()[1],
        headers=dict(_headers(message)),
    )


def _headers(message: Message) -> list[tuple[str, bytes]]:
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [(name, value.encode() if isinstance(value, str) else value or b"") for name, value in pairs]


def wait_for_records(
    bootstrap_servers: str,
    topic: str,
    count: int,
    *,
    timeout_s: float = 60.0,
    isolation: str = "read_committed",
) -> list[Record]:
    """Read a topic until it holds at least `count` records; all that it then holds."""
    deadline = time.monotonic() + timeout_s
    while True:
        records = read_topic(bootstrap_servers, topic, isolation=isolation)
        if len(records) >= count:
            return records
        assert time.monotonic() < deadline, f"{topic} holds {len(records)} of {count} after {timeout_s:g} s"
        time.sleep(0.2)


def group_lag(bootstrap_servers: str, group_id: str, topic: str) -> int:
    """Count the messages of a topic that a consumer group has not committed yet."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group_id})
    try:
        partitions = list(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
        committed = consumer.committed([TopicPartition(topic, p) for p in partitions], timeout=30)
        total = len(read_topic(bootstrap_servers, topic))
        return total - sum(max(position.offset, 0) for position in committed)
    finally:
        consumer.close()


def wait_until(condition: Callable[[], bool], what: str, *, timeout_s: float = 60.0) -> None:
    """Wait for a condition, asking ten times a second."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.1)


def patiently(ask: Callable[[], Answer], *, timeout_s: float = 60.0) -> Answer:
    """Ask as the worker's loop does: again, where a server did not answer in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return ask()
        except TransientError:
            if time.monotonic() > deadline:
                raise
