"""Stretches of topics, read once from end to end: for tools that judge what a topic holds."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from service.errors import BrokerUnavailableError
from service.kafka.errors import translate
from service.kafka.topic_writer import (
    METADATA_TIMEOUT_S,
    TRANSIENT_CODES,
    TopicRecord,
    groupless_consumer,
    to_topic_record,
)

__all__ = ["OffsetRange", "Partition", "RangeReader", "cluster_id", "offset_ranges", "offsets_at"]

CHUNK = 500
POLL_S = 0.2

Partition = tuple[str, int]
"""(topic, partition)"""

Isolation = Literal["read_committed", "read_uncommitted"]


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """What a partition holds: offsets from `low` to before `high`."""

    low: int
    high: int


def offset_ranges(
    options: Mapping[str, Any], topics: Sequence[str], *, isolation: Isolation = "read_uncommitted"
) -> dict[Partition, OffsetRange]:
    """Ask where the partitions of some topics begin and end.

    Parameters
    ----------
    options
        librdkafka options, the brokers among them: `service.kafka.options.common_options`.
    topics
        Existing topics.
    isolation
        Of whom: a reader of committed records is told of an end before the first open transaction.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer, or a topic does not exist.
    """
    consumer = groupless_consumer({**options, "isolation.level": isolation})
    try:
        found: dict[Partition, OffsetRange] = {}
        for topic in topics:
            for number in _partitions(consumer, topic):
                place = TopicPartition(topic, number)
                found[topic, number] = OffsetRange(*consumer.get_watermark_offsets(place, METADATA_TIMEOUT_S))
        return found
    except KafkaException as error:
        raise translate(error, f"reach Kafka at {options['bootstrap.servers']}") from error
    finally:
        consumer.close()


def offsets_at(
    options: Mapping[str, Any], partitions: Sequence[Partition], unix_ms: int
) -> dict[Partition, int | None]:
    """Ask for the first offset written at a time or later; None where there is none.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer.
    """
    consumer = groupless_consumer(options)
    try:
        asked = [TopicPartition(topic, number, unix_ms) for topic, number in partitions]
        answers = consumer.offsets_for_times(asked, METADATA_TIMEOUT_S)
        return {(one.topic, one.partition): one.offset if one.offset >= 0 else None for one in answers}
    except KafkaException as error:
        raise translate(error, "find the offsets of a time") from error
    finally:
        consumer.close()


def cluster_id(options: Mapping[str, Any]) -> str:
    """Ask for the name that the cluster has given itself; empty where it has none.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer.
    """
    consumer = groupless_consumer(options)
    try:
        return consumer.list_topics(timeout=METADATA_TIMEOUT_S).cluster_id or ""
    except KafkaException as error:
        raise translate(error, f"reach Kafka at {options['bootstrap.servers']}") from error
    finally:
        consumer.close()


def _partitions(consumer: Consumer, topic: str) -> Sequence[int]:
    found = consumer.list_topics(topic, timeout=METADATA_TIMEOUT_S).topics[topic]
    if found.error is not None or not found.partitions:
        raise BrokerUnavailableError(f"topic {topic} does not exist")
    return sorted(found.partitions)


class RangeReader:
    """Reads the records of some ranges of offsets, and ends.

    A reader of committed records waits, where a transaction is open within a range, for its end.

    Parameters
    ----------
    options
        As for `offset_ranges`.
    ranges
        What to read; empty ranges cost nothing.
    patience
        Longest wait in which nothing comes.
    isolation
        Which records it gives.

    Attributes
    ----------
    read_offsets
        How far it has come, of the sum of the ranges' lengths.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        ranges: Mapping[Partition, range],
        patience: timedelta,
        *,
        isolation: Isolation = "read_committed",
    ) -> None:
        ours = {
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "fetch.wait.max.ms": 50,
            # Of a range whose beginning expires while we read, we read what is left.
            "auto.offset.reset": "earliest",
        }
        self._patience_s = patience.total_seconds()
        self._next = {place: span.start for place, span in ranges.items() if span}
        self._stops = {place: span.stop for place, span in ranges.items() if span}
        self.read_offsets = 0
        self._consumer = groupless_consumer({**ours, **options})
        starts = [TopicPartition(*place, offset) for place, offset in self._next.items()]
        self._consumer.assign(starts)

    def __iter__(self) -> Iterator[TopicRecord]:
        """Give every record.

        Raises
        ------
        BrokerUnavailableError
            Nothing came for too long: no broker answers, or a transaction stays open.
        """
        heard_s = time.monotonic()
        while self._stops:
            before = self.read_offsets
            for message in self._consumer.consume(CHUNK, POLL_S):
                record = self._take(message)
                if record is not None:
                    yield record
            if self.read_offsets > before:
                heard_s = time.monotonic()
            elif time.monotonic() - heard_s > self._patience_s:
                topic, number = min(self._stops)
                place = f"{topic}:{number}:{self._next[topic, number]}"
                raise BrokerUnavailableError(
                    f"nothing more came from {place} for {self._patience_s:g} s: "
                    "no broker answers, or a transaction is open there"
                )

    def _take(self, message: Message) -> TopicRecord | None:
        """Note how far a message brings us; gives its record if that is asked for."""
        place, error = (message.topic() or "", message.partition() or 0), message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            if error.code() not in TRANSIENT_CODES and (error.fatal() or not error.retriable()):
                raise translate(error, f"read {place[0]}")
            return None
        stop, offset = self._stops.get(place), message.offset() or 0
        if stop is None:
            return None  # fetched ahead
        # The end of a partition is told as the offset of the record to come.
        reached = offset if error is not None else offset + 1
        self.read_offsets += max(min(reached, stop) - self._next[place], 0)
        self._next[place] = max(reached, self._next[place])
        if reached >= stop:
            del self._stops[place]
            self._consumer.incremental_unassign([TopicPartition(*place)])
        return to_topic_record(message) if error is None and offset < stop else None

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def __enter__(self) -> Self:
        """Use it in a with statement."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the broker."""
        self.close()
