"""Topics as they grow, read without a group."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Self

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, KafkaException, TopicPartition

from service.errors import BrokerUnavailableError
from service.kafka.errors import translate
from service.kafka.topic_writer import (
    METADATA_TIMEOUT_S,
    TRANSIENT_CODES,
    TopicRecord,
    groupless_consumer,
    to_topic_record,
)
from service.kafka.watchdog import ANSWER_TIMEOUT, QUIET_AFTER, StuckClientWatchdog, close_in_background

__all__ = ["TopicReader"]


class TopicReader:
    """Follows every partition of some topics, committed records only, and commits nothing.

    Parameters
    ----------
    options
        librdkafka options, the brokers among them: `service.kafka.options.common_options`.
    topics
        Existing topics.
    from_beginning
        Start with the oldest record rather than with the next one to come.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer, or a topic does not exist.
    """

    def __init__(
        self, options: Mapping[str, Any], topics: Sequence[str], *, from_beginning: bool = False
    ) -> None:
        self._address = options["bootstrap.servers"]
        ours = {
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
        }
        make = partial(groupless_consumer, {**ours, **options})
        self._silence = StuckClientWatchdog(make)
        self._heard_s = time.monotonic()
        self._consumer = make()
        self.waiting = False  # for a broker that does not answer
        start = OFFSET_BEGINNING if from_beginning else OFFSET_END
        try:
            partitions = [part for topic in topics for part in self._partitions(topic)]
            self._next = dict.fromkeys(partitions, start)
            self._assign()
        except BaseException:
            self._consumer.close()
            raise
        self._unfinished = set(partitions)

    def _partitions(self, topic: str) -> list[tuple[str, int]]:
        try:
            found = self._consumer.list_topics(topic, timeout=METADATA_TIMEOUT_S).topics[topic]
        except KafkaException as error:
            raise translate(error, f"reach Kafka at {self._address}") from error
        if found.error is not None or not found.partitions:
            raise BrokerUnavailableError(f"topic {topic} does not exist")
        return [(topic, number) for number in found.partitions]

    @property
    def at_end(self) -> bool:
        """Whether every partition has been read to its end at least once."""
        return not self._unfinished

    def read(self, timeout: timedelta, *, limit: int = 500) -> Iterator[TopicRecord]:
        """Give the records that are there, or that come within `timeout`.

        Raises
        ------
        BrokerUnavailableError
            The broker reports an error that does not pass by itself.
        """
        messages = self._consumer.consume(limit, timeout.total_seconds())
        if messages:
            self._heard_s = time.monotonic()
        elif time.monotonic() - self._heard_s > QUIET_AFTER.total_seconds():
            self._heard_s = time.monotonic()
            self._replace_if_stuck()
        for message in messages:
            error = message.error()
            self.waiting = error is not None and error.code() in TRANSIENT_CODES
            place = message.topic() or "", message.partition() or 0
            if error is None:
                self._next[place] = (message.offset() or 0) + 1
                yield to_topic_record(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._next[place] = message.offset() or 0
                self._unfinished.discard(place)
            elif not self.waiting and (error.fatal() or not error.retriable()):
                raise translate(error, "read")

    def _assign(self) -> None:
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in self._next.items()])

    def _replace_if_stuck(self) -> None:
        """Go on with a new client where ours gets no answer and a new one does."""
        try:
            self._consumer.list_topics(timeout=ANSWER_TIMEOUT.total_seconds())
        except KafkaException:
            successor = self._silence.replacement()
            if successor is not None:
                left_behind, self._consumer = [self._consumer], successor
                close_in_background(left_behind)
                self._assign()
        else:
            self._silence.record_answer()

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def __enter__(self) -> Self:
        """Use it in a with statement."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the broker."""
        self.close()
