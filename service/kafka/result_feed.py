"""The topic of results as the live stream reads it."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from service.core.ports.result_feed import FeedChunk, FeedRecord, Positions
from service.kafka.consumers import groupless_consumer
from service.kafka.errors import translate
from service.kafka.records import deliveries, raise_unless_transient
from service.kafka.topic_ranges import RangeReader, offset_ranges
from service.kafka.watchdog import StuckClientWatchdog, close_in_background

__all__ = ["KafkaResultFeed"]

CHUNK = 500
POLL_S = 0.2
READ_TIMEOUT = timedelta(seconds=30)
METADATA_TIMEOUT_S = 2.0

FOLLOWING = {
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    # A result is shown within this time of its commit.
    "fetch.wait.max.ms": 50,
    "auto.offset.reset": "earliest",
}


class KafkaResultFeed:
    """One topic, read without a group; a `service.core.ports.result_feed.ResultFeed`.

    Parameters
    ----------
    options
        librdkafka options, including the brokers: `service.kafka.options.common_options`.
    topic
        The topic of results.
    """

    def __init__(self, options: Mapping[str, Any], topic: str) -> None:
        self._options = options
        self._topic = topic
        self._consumer: Consumer | None = None
        self._followed: frozenset[int] = frozenset()
        self._watchdog = StuckClientWatchdog(partial(groupless_consumer, options))

    def check(self) -> None:
        """Validate the options, without contacting the broker.

        Raises
        ------
        SettingsError
            librdkafka rejects them.
        """
        groupless_consumer({**FOLLOWING, **self._options}).close()

    def extents(self) -> dict[int, range]:
        """Return the offsets that each partition contains.

        Raises
        ------
        BrokerUnavailableError
            The broker does not answer, or the topic does not exist.
        """
        ranges = offset_ranges(self._options, [self._topic])
        return {number: range(extent.low, extent.high) for (_, number), extent in ranges.items()}

    def open(self, starts: Positions) -> None:
        """Start following the topic.

        Parameters
        ----------
        starts
            Partition to the offset of the first record to read.
        """
        self.close()
        consumer = groupless_consumer({**FOLLOWING, **self._options})
        consumer.assign([TopicPartition(self._topic, *start) for start in starts.items()])
        self._consumer, self._followed = consumer, frozenset(starts)

    def poll(self) -> FeedChunk:
        """Return the records that arrive within a moment.

        Raises
        ------
        BrokerUnavailableError
            The broker reports an error that does not pass on its own.
        """
        chunk = FeedChunk()
        if self._consumer is None:
            return chunk
        # Wait for one record and take what came with it: a burst is one chunk, and a single result does
        # not wait for others.
        messages = self._consumer.consume(1, POLL_S)
        if messages:
            messages += self._consumer.consume(CHUNK - 1, 0)
        for (_topic, number), offset, message in deliveries(messages, raise_unless_transient):
            if message is not None:
                chunk.records.append(FeedRecord(number, offset, message.value() or b""))
            else:
                chunk.ends[number] = offset
        return chunk

    def has_grown(self) -> bool:
        """Return whether the topic has partitions that are not followed; False if no broker answers.

        Raises
        ------
        BrokerUnavailableError
            The broker answers a new client but not this one: call `open` again.
        """
        if self._consumer is None:
            return False
        try:
            metadata = self._consumer.list_topics(self._topic, timeout=METADATA_TIMEOUT_S)
        except KafkaException as error:
            if self._watchdog.replacement() is not None:
                stuck, self._consumer = [self._consumer], None
                close_in_background(stuck)
                raise translate(error, f"reach Kafka at {self._options['bootstrap.servers']}") from error
            return False
        self._watchdog.record_answer()
        return bool(metadata.topics[self._topic].partitions.keys() - self._followed)

    def read(self, ranges: Mapping[int, range]) -> Iterator[FeedRecord]:
        """Yield the records of some ranges of offsets, independently of what `poll` follows.

        Parameters
        ----------
        ranges
            Partition to offsets.

        Raises
        ------
        BrokerUnavailableError
            The broker does not answer, or a transaction stays open.
        """
        spans = {(self._topic, partition): span for partition, span in ranges.items()}
        try:
            with RangeReader(self._options, spans, READ_TIMEOUT) as reader:
                for record in reader:
                    yield FeedRecord(record.partition, record.offset, record.value)
        except KafkaException as error:
            raise translate(error, f"read {self._topic}") from error

    def close(self) -> None:
        """Disconnect from the broker."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
