"""Kafka as a source of batches; it translates and decides nothing.

When to go back, wait or stop is the worker's business; so it is with `service.kafka.sink`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from logging import Logger
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from service.core.ports.messages import SourceMessage
from service.errors import BrokerUnavailableError, FencedError
from service.kafka.errors import describe, translate, translate_configuration
from service.kafka.watchdog import ANSWER_TIMEOUT, QUIET_AFTER, StuckClientWatchdog, close_in_background

__all__ = ["BatchLimits", "KafkaSource", "Positions"]

log = structlog.get_logger(__name__)

# Messages taken from librdkafka's queue at once: few enough that a batch stays near its limit in bytes.
CHUNK = 50

# The topic is not there (yet, or any more): the others go on.
ABSENT_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is full."""

    messages: int
    size_bytes: int
    wait: timedelta


@dataclass(frozen=True, slots=True)
class Positions:
    """How far the source topics were read, and as which member of the group."""

    offsets: list[TopicPartition]
    member: Any


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
        Takes librdkafka's own messages.

    Raises
    ------
    SettingsError
        librdkafka refuses its options.
    """

    def __init__(
        self, options: Mapping[str, Any], topics: Sequence[str], limits: BatchLimits, logger: Logger
    ) -> None:
        self._options = {**options, "error_cb": self._on_error}
        self._topics = list(topics)
        self._limits = limits
        self._logger = logger
        self._batch: list[SourceMessage] = []
        self._begun: dict[Partition, int] = {}  # first offset read since the last commit
        self._absent: set[str] = set()
        self._trouble: KafkaError | None = None
        self._assigned: list[TopicPartition] = []
        self._heard_s = time.monotonic()
        self._watchdog = StuckClientWatchdog(self._new_consumer)
        self._is_new = True  # the consumer: not assigned anything yet
        self._consumer = self._new_consumer()

    def open(self) -> None:
        """Join the group; from here on `poll` has to be called often enough."""
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def poll(self) -> Sequence[SourceMessage]:
        """Wait for a batch; empty where nothing came within the limit of time.

        Messages of partitions that were taken away meanwhile are left out, and partitions are taken away
        only within this call: a batch stays ours until the next.

        Raises
        ------
        BrokerUnavailableError
            Nothing came and no broker answers.
        FatalError
            We may not read.
        """
        self._batch = []
        deadline = time.monotonic() + self._limits.wait.total_seconds()
        size_bytes = 0
        while (room := self._limits.messages - len(self._batch)) > 0 and size_bytes < self._limits.size_bytes:
            asked = min(CHUNK, room)
            chunk = self._consumer.consume(asked, max(0.0, deadline - time.monotonic()))
            for received in chunk:
                size_bytes += self._take(received)
            if len(chunk) < asked:
                break
        if self._batch:
            self._heard_s = time.monotonic()
        elif self._trouble is not None or time.monotonic() - self._heard_s > QUIET_AFTER.total_seconds():
            self.check()
        for message in self._batch:
            self._begun.setdefault((message.topic, message.partition), message.offset)
        return self._batch

    def positions(self) -> Positions:
        """Say where the batch just polled ends."""
        return Positions(self._ends(), self._consumer.consumer_group_metadata())

    def mark_committed(self) -> None:
        """Note that the batch just polled was committed."""
        self._begun.clear()

    def rewind(self) -> bool:
        """Go back to where the group's last commit ended.

        Returns
        -------
        bool
            Whether the last batch turned out to be committed: a commit whose answer was lost.

        Raises
        ------
        BrokerUnavailableError
            Not possible just now; call again.
        FencedError
            Not possible any more: begin anew.
        """
        ends = {(place.topic, place.partition): place.offset for place in self._ends()}
        is_committed = bool(self._begun)
        for place in self._committed([TopicPartition(*partition) for partition in self._begun]):
            begun = self._begun[place.topic, place.partition]
            is_committed &= place.offset == ends.get((place.topic, place.partition))
            # A group without a commit begins where we began, whatever auto.offset.reset says.
            place.offset = max(place.offset, begun)
            if not self._is_new:
                self._seek(place)
        self._begun.clear()
        return is_committed

    def check(self) -> None:
        """Ask a broker, and our group's coordinator, for an answer.

        Raises
        ------
        BrokerUnavailableError
            None answers.
        """
        self._ask_broker()
        self._committed(self._assigned)
        self._trouble = None
        self._heard_s = time.monotonic()

    def lag(self) -> dict[Partition, int]:
        """Count the messages after our position, by partition, as far as the last fetches told."""
        lags = {}
        for place in self._consumer.position(self._consumer.assignment()):
            _low, high = self._consumer.get_watermark_offsets(place, cached=True)
            if high >= 0 and place.offset >= 0:
                lags[place.topic, place.partition] = max(high - place.offset, 0)
        return lags

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _ask_broker(self) -> None:
        try:
            self._consumer.list_topics(timeout=ANSWER_TIMEOUT.total_seconds())
        except KafkaException as error:
            self._replace_if_stuck()
            cause = describe(self._trouble or error.args[0])
            servers = self._options["bootstrap.servers"]
            raise BrokerUnavailableError(f"no answer from Kafka at {servers}: {cause}") from error
        if not self._assigned:
            self._watchdog.record_answer()

    def _ends(self) -> list[TopicPartition]:
        """Give where the batch just polled ends."""
        ends = {(message.topic, message.partition): message.offset + 1 for message in self._batch}
        return [TopicPartition(topic, partition, offset) for (topic, partition), offset in ends.items()]

    def _committed(self, places: list[TopicPartition]) -> list[TopicPartition]:
        """Ask where the group stands."""
        if not places:
            return []
        try:
            known = self._consumer.committed(places, ANSWER_TIMEOUT.total_seconds())
        except KafkaException as error:
            self._replace_if_stuck()
            raise translate(error, "read the last commit") from error
        self._watchdog.record_answer()
        return known

    def _replace_if_stuck(self) -> None:
        successor = self._watchdog.replacement()
        if successor is not None:
            self._replace_consumer(successor)

    def _replace_consumer(self, successor: Consumer) -> None:
        left_behind, self._consumer = [self._consumer], successor
        self._is_new = True
        close_in_background(left_behind)
        self.open()

    def _new_consumer(self) -> Consumer:
        try:
            return Consumer(self._options, logger=self._logger)
        except KafkaException as error:
            raise translate_configuration(error) from error

    def _seek(self, place: TopicPartition) -> None:
        try:
            self._consumer.seek(place)
        except KafkaException as error:
            # Going on from here would skip what was not committed.
            where = f"{place.topic}:{place.partition}:{place.offset}"
            raise FencedError(f"cannot go back to {where}: {describe(error.args[0])}") from error

    def _take(self, message: Message) -> int:
        """Put a message into the batch, or note what is wrong; the size of its value in bytes."""
        error = message.error()
        if error is not None:
            self._on_message_error(message.topic() or "", error)
            return 0
        value = message.value()
        self._batch.append(
            SourceMessage(
                message.topic() or "",
                message.partition() or 0,
                message.offset() or 0,
                message.timestamp()[1],
                message.key(),
                value,
            )
        )
        return len(value or b"")

    def _on_message_error(self, topic: str, error: KafkaError) -> None:
        if error.code() in ABSENT_TOPIC:
            if topic not in self._absent:
                log.warning("source topic does not exist", topic=topic)
            self._absent.add(topic)
            return
        failure = translate(error, f"read from {topic or 'Kafka'}")
        if not isinstance(failure, BrokerUnavailableError):
            raise failure
        # librdkafka goes on by itself; whether a broker answers is asked when nothing more comes.
        self._trouble = error

    def _on_error(self, error: KafkaError) -> None:
        self._trouble = error

    def _on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._assigned, self._is_new = list(partitions), False
        log.info("partitions assigned", count=len(partitions))

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Forget what we hold of partitions that are now another worker's."""
        gone = {(place.topic, place.partition) for place in partitions}
        self._batch = [m for m in self._batch if (m.topic, m.partition) not in gone]
        self._begun = {place: offset for place, offset in self._begun.items() if place not in gone}
        log.info("partitions revoked", count=len(gone))
