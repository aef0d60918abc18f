"""Whole topics for tools: write messages and know where each landed; ask and read without a group."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka import Message as KafkaMessage

from service.errors import BrokerUnavailableError, ServiceError
from service.kafka.errors import translate, translate_configuration
from service.kafka.options import LARGEST_MESSAGE_BYTES

__all__ = [
    "METADATA_TIMEOUT_S",
    "TRANSIENT_CODES",
    "Position",
    "TopicRecord",
    "TopicWriter",
    "committed_positions",
    "groupless_consumer",
    "to_topic_record",
]

DELIVERY_TIMEOUT = timedelta(minutes=2)
METADATA_TIMEOUT_S = 10.0
POLL_S = 0.1
GROUP_ID = "nightjar-tools"  # librdkafka wants one; nothing is ever committed to it

# A tool reports each error itself, in one line; librdkafka's own lines would stand between its output.
QUIET = {"log_level": 0}

# librdkafka goes on trying by itself after these.
TRANSIENT_CODES = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TRANSPORT,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
}

# (topic, partition, offset)
Position = tuple[str, int, int]


@dataclass(slots=True)
class TopicWriter:
    """Sends messages unchanged and in order, each exactly once as long as this process lives.

    Parameters
    ----------
    options
        librdkafka options, the brokers among them: `service.kafka.options.common_options`.
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


def to_topic_record(message: KafkaMessage) -> TopicRecord:
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
        librdkafka options, the brokers among them: `service.kafka.options.common_options`.
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
