"""Whole topics for tools: write messages and know where each landed; follow topics without a group."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka import Message as KafkaMessage

from service.adapters.kafka_errors import translate, translate_configuration
from service.adapters.kafka_options import LARGEST_MESSAGE_BYTES
from service.errors import BrokerUnavailableError, ServiceError

__all__ = [
    "METADATA_TIMEOUT_S",
    "PASSING",
    "Position",
    "TopicReader",
    "TopicRecord",
    "TopicWriter",
    "committed_positions",
    "groupless_consumer",
    "record_of",
]

DELIVERY_TIMEOUT = timedelta(minutes=2)
METADATA_TIMEOUT_S = 10.0
POLL_S = 0.1
GROUP_ID = "nightjar-tools"  # librdkafka wants one; nothing is ever committed to it

# A tool reports each error itself, in one line; librdkafka's own lines would stand between its output.
QUIET = {"log_level": 0}

# librdkafka goes on trying by itself after these.
PASSING = {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._TIMED_OUT}

# (topic, partition, offset)
Position = tuple[str, int, int]


@dataclass(slots=True)
class TopicWriter:
    """Sends messages unchanged and in order, each exactly once as long as this process lives.

    Parameters
    ----------
    options
        librdkafka options, the brokers among them: `service.adapters.kafka_options.common_options`.
    on_delivered
        Called with each message's tag and position.
    """

    options: Mapping[str, Any]
    on_delivered: Callable[[int, Position], None] = lambda _tag, _position: None
    delivered: int = 0
    _failure: ServiceError | None = None
    _producer: Producer = field(init=False)

    def __post_init__(self) -> None:
        ours = {
            "enable.idempotence": True,
            "message.max.bytes": LARGEST_MESSAGE_BYTES,
            "message.timeout.ms": int(DELIVERY_TIMEOUT.total_seconds() * 1000),
            "linger.ms": 5,
        }
        try:
            self._producer = Producer({**ours, **self.options, **QUIET})
        except KafkaException as error:
            raise translate_configuration(error) from error

    def write(self, topic: str, value: bytes, tag: int) -> None:
        """Hand over one message without a key, as the surveys send theirs; waits while the queue is full.

        Raises
        ------
        BrokerUnavailableError
            An earlier message could not be delivered.
        """

        def delivered(error: KafkaError | None, message: KafkaMessage) -> None:
            self._record(error, message, tag)

        while True:
            self._raise_failure()
            try:
                self._producer.produce(topic, value, on_delivery=delivered)
                break
            except BufferError:
                self._producer.poll(POLL_S)
            except KafkaException as error:
                raise translate(error, f"send to {topic}") from error
        self._producer.poll(0)

    def poll(self, timeout: timedelta) -> None:
        """Wait and meanwhile learn of deliveries."""
        self._producer.poll(timeout.total_seconds())
        self._raise_failure()

    def flush(self) -> None:
        """Wait until the broker has every message.

        Raises
        ------
        BrokerUnavailableError
            It does not take them.
        """
        left = self._producer.flush(DELIVERY_TIMEOUT.total_seconds() + 1)
        self._raise_failure()
        if left:
            raise BrokerUnavailableError(f"Kafka did not take {left} messages")

    def _record(self, error: KafkaError | None, message: KafkaMessage, tag: int) -> None:
        if error is not None:
            self._failure = self._failure or translate(error, f"send to {message.topic()}")
            return
        self.delivered += 1
        self.on_delivered(tag, (message.topic() or "", message.partition() or 0, message.offset() or 0))

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """One message as it lies in its topic."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    value: bytes
    headers: Mapping[str, bytes]
    key: bytes | None = None


class TopicReader:
    """Follows every partition of some topics, committed records only, and commits nothing.

    Parameters
    ----------
    options
        librdkafka options, the brokers among them: `service.adapters.kafka_options.common_options`.
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
        self._consumer = groupless_consumer({**ours, **options})
        self.waiting = False  # for a broker that does not answer
        start = OFFSET_BEGINNING if from_beginning else OFFSET_END
        try:
            partitions = [part for topic in topics for part in self._partitions(topic)]
            self._consumer.assign([TopicPartition(topic, number, start) for topic, number in partitions])
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
        for message in self._consumer.consume(limit, timeout.total_seconds()):
            error = message.error()
            self.waiting = error is not None and error.code() in PASSING
            if error is None:
                yield record_of(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._unfinished.discard((message.topic() or "", message.partition() or 0))
            elif not self.waiting and (error.fatal() or not error.retriable()):
                raise translate(error, "read")

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def __enter__(self) -> Self:
        """Use it in a with statement."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the broker."""
        self.close()


def record_of(message: KafkaMessage) -> TopicRecord:
    """Read a message that carries no error."""
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return TopicRecord(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp_ms=message.timestamp()[1],
        value=message.value() or b"",
        headers={name: value.encode() if isinstance(value, str) else value or b"" for name, value in pairs},
        key=message.key(),
    )


def committed_positions(
    options: Mapping[str, Any], group_id: str, partitions: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], int]:
    """Ask how far a consumer group has come.

    Parameters
    ----------
    options
        As for `TopicReader`.
    group_id
        The group.
    partitions
        (topic, partition) of interest.

    Returns
    -------
    dict
        Offset of the next message of each partition; 0 where nothing was committed.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer.
    """
    consumer = groupless_consumer(options, group_id)
    try:
        asked = [TopicPartition(topic, number) for topic, number in partitions]
        found = consumer.committed(asked, timeout=METADATA_TIMEOUT_S)
        return {(part.topic, part.partition): max(part.offset, 0) for part in found}
    except KafkaException as error:
        raise translate(error, f"ask how far group {group_id} is") from error
    finally:
        consumer.close()


def groupless_consumer(options: Mapping[str, Any], group_id: str = GROUP_ID) -> Consumer:
    """Make a consumer that joins no group and commits nothing.

    Parameters
    ----------
    options
        librdkafka options, the brokers among them.
    group_id
        Whose positions it can ask for.

    Raises
    ------
    SettingsError
        librdkafka refuses its options.
    """
    try:
        return Consumer({**options, **QUIET, "group.id": group_id, "enable.auto.commit": False})
    except KafkaException as error:
        raise translate_configuration(error) from error
