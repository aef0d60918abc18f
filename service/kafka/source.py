"""Kafka as a source of batches.

It translates and decides nothing: when to rewind, wait or stop is up to the worker. The same holds for
`service.kafka.sink`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from logging import Logger
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from service.core.ports.messages import MessagePosition, Partition, SourceMessage
from service.errors import BrokerUnavailableError, FencedError
from service.kafka.errors import describe, translate, translate_configuration
from service.kafka.group_offsets import GroupOffsets
from service.kafka.records import deliveries
from service.kafka.watchdog import ANSWER_TIMEOUT, QUIET_AFTER, StuckClientWatchdog, close_in_background

__all__ = ["BatchLimits", "KafkaSource"]

log = structlog.get_logger(__name__)

# Messages taken from librdkafka's queue at once: few enough that a batch stays near its limit in bytes.
CHUNK = 50

# The topic does not exist (yet, or any more): the others continue.
UNKNOWN_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is full.

    Attributes
    ----------
    messages
        Largest number of messages.
    size_bytes
        Size of the values at which no further chunk is added.
    wait
        Longest wait for a full batch.
    """

    messages: int
    size_bytes: int
    wait: timedelta


class KafkaSource:
    """Read batches of messages from the source topics as a member of a consumer group.

    Parameters
    ----------
    options
        librdkafka's options.
    topics
        Names; those that begin with ^ are patterns.
    limits
        When a batch is full.
    logger
        Receives librdkafka's own messages.

    Raises
    ------
    SettingsError
        librdkafka rejects the options.
    """

    def __init__(
        self, options: Mapping[str, Any], topics: Sequence[str], limits: BatchLimits, logger: Logger
    ) -> None:
        self._options = {**options, "error_cb": self._on_client_error}
        self._topics = list(topics)
        self._limits = limits
        self._logger = logger
        self._batch: list[SourceMessage] = []
        self._first_uncommitted: dict[Partition, int] = {}  # first offset read since the last commit
        self._unknown_topics: set[str] = set()
        self._last_error: KafkaError | None = None
        self._assigned: list[TopicPartition] = []
        self._last_message_s = time.monotonic()
        self._watchdog = StuckClientWatchdog(self._new_consumer)
        self._is_new = True  # the consumer: it has no partitions yet
        self._consumer = self._new_consumer()

    def open(self) -> None:
        """Join the group; from now on `poll` must be called often enough to stay a member."""
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def poll(self) -> Sequence[SourceMessage]:
        """Wait for a batch.

        Messages of partitions that were revoked meanwhile are left out, and partitions are revoked only
        within this call: a batch stays ours until the next.

        Returns
        -------
        sequence of SourceMessage
            Empty if nothing arrived within the time limit.

        Raises
        ------
        BrokerUnavailableError
            Nothing arrived and no broker answers.
        FatalError
            Reading is not permitted.
        """
        self._batch = []
        deadline = time.monotonic() + self._limits.wait.total_seconds()
        size_bytes = 0
        while (room := self._limits.messages - len(self._batch)) > 0 and size_bytes < self._limits.size_bytes:
            asked = min(CHUNK, room)
            chunk = self._consumer.consume(asked, max(0.0, deadline - time.monotonic()))
            size_bytes += self._add(chunk)
            if len(chunk) < asked:
                break
        if self._batch:
            self._last_message_s = time.monotonic()
        elif self._last_error is not None or self._is_quiet():
            self.check()
        for message in self._batch:
            self._first_uncommitted.setdefault((message.topic, message.partition), message.offset)
        return self._batch

    def _add(self, chunk: Sequence[Message]) -> int:
        """Add messages to the batch; return the size of their values in bytes."""
        size_bytes = 0
        for (topic, partition), offset, message in deliveries(chunk, self._on_message_error):
            if message is None:
                continue
            value = message.value()
            self._batch.append(
                SourceMessage(topic, partition, offset, message.timestamp()[1], message.key(), value)
            )
            size_bytes += len(value or b"")
        return size_bytes

    def _is_quiet(self) -> bool:
        return time.monotonic() - self._last_message_s > QUIET_AFTER.total_seconds()

    def positions(self) -> GroupOffsets:
        """Return where the batch just polled ends."""
        return GroupOffsets(self._batch_ends(), self._consumer.consumer_group_metadata())

    def mark_committed(self) -> None:
        """Record that the batch just polled was committed."""
        self._first_uncommitted.clear()

    def rewind(self) -> bool:
        """Return to the group's last commit.

        Returns
        -------
        bool
            Whether the last batch turned out to be committed: a commit whose answer was lost.

        Raises
        ------
        BrokerUnavailableError
            Not possible at the moment; call again.
        FencedError
            No longer possible: create a new source.
        """
        ends = {_partition(end): end.offset for end in self._batch_ends()}
        is_committed = bool(self._first_uncommitted)
        for target in self._committed([TopicPartition(*part) for part in self._first_uncommitted]):
            partition = _partition(target)
            is_committed &= target.offset == ends.get(partition)
            # A group without a commit restarts where we started, whatever auto.offset.reset says.
            target.offset = max(target.offset, self._first_uncommitted[partition])
            if not self._is_new:
                self._seek(target)
        self._first_uncommitted.clear()
        return is_committed

    def check(self) -> None:
        """Check that a broker and the group's coordinator answer.

        Raises
        ------
        BrokerUnavailableError
            One of them does not.
        """
        self._query_broker()
        self._committed(self._assigned)
        self._last_error = None
        self._last_message_s = time.monotonic()

    def lag(self) -> dict[Partition, int]:
        """Return the number of messages after our position by partition, as of the last fetches."""
        lags = {}
        for position in self._consumer.position(self._consumer.assignment()):
            _low, high = self._consumer.get_watermark_offsets(position, cached=True)
            if high >= 0 and position.offset >= 0:
                lags[_partition(position)] = max(high - position.offset, 0)
        return lags

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _query_broker(self) -> None:
        try:
            self._consumer.list_topics(timeout=ANSWER_TIMEOUT.total_seconds())
        except KafkaException as error:
            self._replace_if_stuck()
            cause = describe(self._last_error or error.args[0])
            servers = self._options["bootstrap.servers"]
            raise BrokerUnavailableError(f"no answer from Kafka at {servers}: {cause}") from error
        if not self._assigned:
            self._watchdog.record_answer()

    def _batch_ends(self) -> list[TopicPartition]:
        ends = {(message.topic, message.partition): message.offset + 1 for message in self._batch}
        return [TopicPartition(topic, partition, offset) for (topic, partition), offset in ends.items()]

    def _committed(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Return the group's committed offsets."""
        if not partitions:
            return []
        try:
            committed = self._consumer.committed(partitions, ANSWER_TIMEOUT.total_seconds())
        except KafkaException as error:
            self._replace_if_stuck()
            raise translate(error, "read the last commit") from error
        self._watchdog.record_answer()
        return committed

    def _replace_if_stuck(self) -> None:
        replacement = self._watchdog.replacement()
        if replacement is not None:
            self._replace_consumer(replacement)

    def _replace_consumer(self, replacement: Consumer) -> None:
        stuck, self._consumer = [self._consumer], replacement
        self._is_new = True
        close_in_background(stuck)
        self.open()

    def _new_consumer(self) -> Consumer:
        try:
            return Consumer(self._options, logger=self._logger)
        except KafkaException as error:
            raise translate_configuration(error) from error

    def _seek(self, target: TopicPartition) -> None:
        try:
            self._consumer.seek(target)
        except KafkaException as error:
            # Continuing from here would skip what was not committed.
            position = MessagePosition(target.topic, target.partition, target.offset)
            raise FencedError(f"cannot return to {position}: {describe(error.args[0])}") from error

    def _on_message_error(self, topic: str, error: KafkaError) -> None:
        if error.code() in UNKNOWN_TOPIC:
            if topic not in self._unknown_topics:
                log.warning("source topic does not exist", topic=topic)
            self._unknown_topics.add(topic)
            return
        failure = translate(error, f"read from {topic or 'Kafka'}")
        if not isinstance(failure, BrokerUnavailableError):
            raise failure
        # librdkafka continues on its own; whether a broker answers is checked when nothing more arrives.
        self._last_error = error

    def _on_client_error(self, error: KafkaError) -> None:
        self._last_error = error

    def _on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._assigned, self._is_new = list(partitions), False
        log.info("partitions assigned", count=len(partitions))

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop what we hold of partitions that now belong to another worker."""
        revoked = {_partition(partition) for partition in partitions}
        self._batch = [m for m in self._batch if (m.topic, m.partition) not in revoked]
        self._first_uncommitted = {
            part: offset for part, offset in self._first_uncommitted.items() if part not in revoked
        }
        log.info("partitions revoked", count=len(revoked))


def _partition(position: TopicPartition) -> Partition:
    return position.topic, position.partition
