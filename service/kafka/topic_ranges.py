"""Ranges of offsets, read once from end to end: for tools that examine what a topic contains."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Self

from confluent_kafka import KafkaException, TopicPartition

from service.core.ports.messages import MessagePosition, Partition
from service.errors import BrokerUnavailableError
from service.kafka.consumers import METADATA_TIMEOUT_S, groupless_consumer, partitions_of
from service.kafka.errors import translate
from service.kafka.records import Delivery, TopicRecord, deliveries, raise_unless_transient

__all__ = [
    "Isolation",
    "OffsetRange",
    "RangeReader",
    "cluster_id",
    "log_ends",
    "offset_ranges",
    "offsets_at",
]

CHUNK = 500
POLL_S = 0.2

Isolation = Literal["read_committed", "read_uncommitted"]
"""Which records a reader is shown: those of committed transactions, or all."""


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Offsets that a partition contains.

    Attributes
    ----------
    low
        The first offset.
    high
        The offset after the last one.
    """

    low: int
    high: int


def offset_ranges(
    options: Mapping[str, Any], topics: Sequence[str], *, isolation: Isolation = "read_uncommitted"
) -> dict[Partition, OffsetRange]:
    """Return where the partitions of some topics begin and end.

    Parameters
    ----------
    options
        librdkafka options, including the brokers: `service.kafka.options.common_options`.
    topics
        Existing topics.
    isolation
        For a reader of committed records a partition ends before its first open transaction.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer, or a topic does not exist.
    """
    address = options["bootstrap.servers"]
    consumer = groupless_consumer({**options, "isolation.level": isolation})
    try:
        partitions = [part for topic in topics for part in partitions_of(consumer, topic, address)]
        return {
            part: OffsetRange(*consumer.get_watermark_offsets(TopicPartition(*part), METADATA_TIMEOUT_S))
            for part in partitions
        }
    except KafkaException as error:
        raise translate(error, f"reach Kafka at {address}") from error
    finally:
        consumer.close()


def offsets_at(
    options: Mapping[str, Any], partitions: Sequence[Partition], unix_ms: int
) -> dict[Partition, int | None]:
    """Return the first offset written at or after a time; None where there is none.

    Parameters
    ----------
    options
        As for `offset_ranges`.
    partitions
        (topic, partition) of interest.
    unix_ms
        The time, Unix milliseconds.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer.
    """
    consumer = groupless_consumer(options)
    try:
        asked = [TopicPartition(topic, number, unix_ms) for topic, number in partitions]
        answers = consumer.offsets_for_times(asked, METADATA_TIMEOUT_S)
        return {
            (answer.topic, answer.partition): answer.offset if answer.offset >= 0 else None
            for answer in answers
        }
    except KafkaException as error:
        raise translate(error, "find the offsets of a time") from error
    finally:
        consumer.close()


def log_ends(options: Mapping[str, Any], starts: Mapping[Partition, int]) -> dict[Partition, int]:
    """Return where partitions end, open transactions included, by reading to the ends.

    For brokers that do not report them; others answer `offset_ranges` faster.

    Parameters
    ----------
    options
        As for `offset_ranges`.
    starts
        Offset of each partition at which to start.

    Raises
    ------
    BrokerUnavailableError
        The ends were not reached in time.
    """
    ours = {"enable.partition.eof": True, "isolation.level": "read_uncommitted", "fetch.wait.max.ms": 50}
    consumer = groupless_consumer({**ours, **options})
    ends: dict[Partition, int] = {}
    deadline = time.monotonic() + METADATA_TIMEOUT_S
    try:
        consumer.assign([TopicPartition(*partition, offset) for partition, offset in starts.items()])
        while ends.keys() != starts.keys():
            for delivery in deliveries(consumer.consume(CHUNK, POLL_S), raise_unless_transient):
                if delivery.message is None:
                    ends[delivery.partition] = delivery.offset
            if time.monotonic() > deadline:
                topic, number = min(starts.keys() - ends.keys())
                raise BrokerUnavailableError(f"the end of {topic}:{number} could not be read")
        return ends
    finally:
        consumer.close()


def cluster_id(options: Mapping[str, Any]) -> str:
    """Return the id of the cluster; empty if it has none.

    Parameters
    ----------
    options
        As for `offset_ranges`.

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


class RangeReader:
    """Reads the records of some ranges of offsets, then ends.

    A reader of committed records waits for the end of each transaction that is open within a range.

    Parameters
    ----------
    options
        As for `offset_ranges`.
    ranges
        What to read; empty ranges cost nothing.
    timeout
        Longest wait without progress.
    isolation
        Which records to return.

    Attributes
    ----------
    read_offsets
        Progress, as part of the sum of the ranges' lengths.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        ranges: Mapping[Partition, range],
        timeout: timedelta,
        *,
        isolation: Isolation = "read_committed",
    ) -> None:
        ours = {
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "fetch.wait.max.ms": 50,
            # If the beginning of a range expires while we read, we read what remains.
            "auto.offset.reset": "earliest",
        }
        self._timeout_s = timeout.total_seconds()
        self._next_offsets = {partition: span.start for partition, span in ranges.items() if span}
        self._stops = {partition: span.stop for partition, span in ranges.items() if span}
        self.read_offsets = 0
        self._consumer = groupless_consumer({**ours, **options})
        starts = [TopicPartition(*partition, offset) for partition, offset in self._next_offsets.items()]
        self._consumer.assign(starts)

    def __iter__(self) -> Iterator[TopicRecord]:
        """Yield every record.

        Raises
        ------
        BrokerUnavailableError
            No progress within the timeout: no broker answers, or a transaction stays open.
        """
        progress_s = time.monotonic()
        while self._stops:
            before = self.read_offsets
            for delivery in deliveries(self._consumer.consume(CHUNK, POLL_S), raise_unless_transient):
                if self._advance(delivery) and delivery.message is not None:
                    yield TopicRecord.from_message(delivery.message)
            if self.read_offsets > before:
                progress_s = time.monotonic()
            elif time.monotonic() - progress_s > self._timeout_s:
                partition = min(self._stops)
                position = MessagePosition(*partition, self._next_offsets[partition])
                raise BrokerUnavailableError(
                    f"nothing more came from {position} for {self._timeout_s:g} s: "
                    "no broker answers, or a transaction is open there"
                )

    def _advance(self, delivery: Delivery) -> bool:
        """Record the progress that a delivery means; return whether it lies within its range."""
        partition, offset = delivery.partition, delivery.offset
        stop = self._stops.get(partition)
        if stop is None:
            return False  # fetched ahead
        reached = offset if delivery.message is None else offset + 1
        self.read_offsets += max(min(reached, stop) - self._next_offsets[partition], 0)
        self._next_offsets[partition] = max(reached, self._next_offsets[partition])
        if reached >= stop:
            del self._stops[partition]
            self._consumer.incremental_unassign([TopicPartition(*partition)])
        return offset < stop

    def close(self) -> None:
        """Disconnect from the broker."""
        self._consumer.close()

    def __enter__(self) -> Self:
        """Return the reader, which is already open."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Disconnect from the broker."""
        self.close()
