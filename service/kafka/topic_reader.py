"""Topics followed as they grow, without a group."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Self

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, KafkaException, TopicPartition

from service.core.ports.messages import Partition
from service.kafka.consumers import groupless_consumer, partitions_of
from service.kafka.records import TopicRecord, deliveries, raise_unless_transient
from service.kafka.watchdog import ANSWER_TIMEOUT, QUIET_AFTER, StuckClientWatchdog, close_in_background

__all__ = ["TopicReader"]


class TopicReader:
    """Follows every partition of some topics, committed records only, and commits nothing.

    Parameters
    ----------
    options
        librdkafka options, including the brokers: `service.kafka.options.common_options`.
    topics
        Existing topics.
    from_beginning
        Start with the oldest record instead of the next one to be written.

    Attributes
    ----------
    waiting
        Whether the broker failed to answer when it was last polled.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer, or a topic does not exist.
    """

    def __init__(
        self, options: Mapping[str, Any], topics: Sequence[str], *, from_beginning: bool = False
    ) -> None:
        ours = {
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
        }
        make = partial(groupless_consumer, {**ours, **options})
        self._watchdog = StuckClientWatchdog(make)
        self._last_message_s = time.monotonic()
        self._consumer = make()
        self.waiting = False
        start = OFFSET_BEGINNING if from_beginning else OFFSET_END
        try:
            address = options["bootstrap.servers"]
            partitions = [p for topic in topics for p in partitions_of(self._consumer, topic, address)]
            self._next_offsets: dict[Partition, int] = dict.fromkeys(partitions, start)
            self._assign()
        except BaseException:
            self._consumer.close()
            raise
        self._not_at_end = set(partitions)

    @property
    def at_end(self) -> bool:
        """Whether every partition has been read to its end at least once."""
        return not self._not_at_end

    def read(self, timeout: timedelta, *, limit: int = 500) -> Iterator[TopicRecord]:
        """Yield the records that are available, or that arrive within `timeout`.

        Parameters
        ----------
        timeout
            Longest wait for the first record.
        limit
            Largest number of records.

        Raises
        ------
        BrokerUnavailableError
            The broker reports an error that does not pass on its own.
        """
        messages = self._consumer.consume(limit, timeout.total_seconds())
        if messages:
            self._last_message_s = time.monotonic()
        elif time.monotonic() - self._last_message_s > QUIET_AFTER.total_seconds():
            self._last_message_s = time.monotonic()
            self._replace_if_stuck()
        for delivery in deliveries(messages, self._on_error):
            self.waiting = False
            if delivery.message is not None:
                self._next_offsets[delivery.partition] = delivery.offset + 1
                yield TopicRecord.from_message(delivery.message)
            else:
                self._next_offsets[delivery.partition] = delivery.offset
                self._not_at_end.discard(delivery.partition)

    def _on_error(self, topic: str, error: KafkaError) -> None:
        raise_unless_transient(topic, error)
        self.waiting = True

    def _assign(self) -> None:
        self._consumer.assign(
            [TopicPartition(*partition, offset) for partition, offset in self._next_offsets.items()]
        )

    def _replace_if_stuck(self) -> None:
        """Continue with a new client if the old one gets no answer and the new one does."""
        try:
            self._consumer.list_topics(timeout=ANSWER_TIMEOUT.total_seconds())
        except KafkaException:
            replacement = self._watchdog.replacement()
            if replacement is not None:
                stuck, self._consumer = [self._consumer], replacement
                close_in_background(stuck)
                self._assign()
        else:
            self._watchdog.record_answer()

    def close(self) -> None:
        """Disconnect from the broker."""
        self._consumer.close()

    def __enter__(self) -> Self:
        """Return the reader, which is already open."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Disconnect from the broker."""
        self.close()
