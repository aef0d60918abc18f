"""The topic of results as the live stream reads it."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from service.core.ports.result_feed import FeedChunk, FeedRecord, Positions
from service.kafka.errors import translate
from service.kafka.topic_ranges import RangeReader, offset_ranges
from service.kafka.topic_writer import TRANSIENT_CODES, groupless_consumer
from service.kafka.watchdog import StuckClientWatchdog, close_in_background

__all__ = ["KafkaResultFeed"]

CHUNK = 500
POLL_S = 0.2
PATIENCE = timedelta(seconds=30)
GROWTH_TIMEOUT_S = 2.0

FOLLOWING = {
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    # A result is shown within this of its commit.
    "fetch.wait.max.ms": 50,
    "auto.offset.reset": "earliest",
}


class KafkaResultFeed:
    """One topic, read without a group.

    Parameters
    ----------
    options
        librdkafka options, the brokers among them: `service.kafka.options.common_options`.
    topic
        The topic of results.
    """

    def __init__(self, options: Mapping[str, Any], topic: str) -> None:
        self._options = options
        self._topic = topic
        self._consumer: Consumer | None = None
        self._followed: frozenset[int] = frozenset()
        self._silence = StuckClientWatchdog(partial(groupless_consumer, options))

    def check(self) -> None:
        """Try the options, which says nothing of whether the broker is there.

        Raises
        ------
        SettingsError
            librdkafka refuses them.
        """
        groupless_consumer({**FOLLOWING, **self._options}).close()

    def extents(self) -> dict[int, range]:
        """Give the offsets that each partition holds."""
        found = offset_ranges(self._options, [self._topic])
        return {number: range(extent.low, extent.high) for (_, number), extent in found.items()}

    def open(self, starts: Positions) -> None:
        """Begin to follow the topic from some positions."""
        self.close()
        consumer = groupless_consumer({**FOLLOWING, **self._options})
        consumer.assign([TopicPartition(self._topic, *place) for place in starts.items()])
        self._consumer, self._followed = consumer, frozenset(starts)

    def poll(self) -> FeedChunk:
        """Wait a moment for records."""
        chunk = FeedChunk()
        if self._consumer is None:
            return chunk
        # One record is waited for, and what came with it is taken along: a burst is one chunk, and a
        # single result does not wait for others.
        messages = self._consumer.consume(1, POLL_S)
        if messages:
            messages += self._consumer.consume(CHUNK - 1, 0)
        for message in messages:
            partition, offset, error = message.partition() or 0, message.offset() or 0, message.error()
            if error is None:
                chunk.records.append(FeedRecord(partition, offset, message.value() or b""))
            elif error.code() == KafkaError._PARTITION_EOF:
                chunk.ends[partition] = offset
            elif error.code() not in TRANSIENT_CODES and (error.fatal() or not error.retriable()):
                raise translate(error, f"read {self._topic}")
        return chunk

    def has_grown(self) -> bool:
        """Say whether there are partitions that are not followed; False where the broker does not tell.

        Raises
        ------
        BrokerUnavailableError
            It tells others, but not us: begin anew.
        """
        if self._consumer is None:
            return False
        try:
            found = self._consumer.list_topics(self._topic, timeout=GROWTH_TIMEOUT_S).topics[self._topic]
        except KafkaException as error:
            if self._silence.replacement() is not None:
                left_behind, self._consumer = [self._consumer], None
                close_in_background(left_behind)
                raise translate(error, f"reach Kafka at {self._options['bootstrap.servers']}") from error
            return False
        self._silence.record_answer()
        return bool(found.partitions.keys() - self._followed)

    def read(self, ranges: Mapping[int, range]) -> Iterator[FeedRecord]:
        """Read some offsets from end to end."""
        spans = {(self._topic, partition): span for partition, span in ranges.items()}
        try:
            with RangeReader(self._options, spans, PATIENCE) as reader:
                for record in reader:
                    yield FeedRecord(record.partition, record.offset, record.value)
        except KafkaException as error:
            raise translate(error, f"read {self._topic}") from error

    def close(self) -> None:
        """Leave the broker."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
