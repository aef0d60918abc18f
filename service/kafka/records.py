"""What a consumer receives: records, ends of partitions, and errors that may or may not pass."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from confluent_kafka import KafkaError, Message

from service.core.ports.messages import SOURCE_HEADER, MessagePosition, Partition
from service.errors import InputError
from service.kafka.errors import translate

__all__ = ["Delivery", "TopicRecord", "deliveries", "is_transient", "raise_unless_transient", "source_of"]

# librdkafka retries these on its own.
TRANSIENT_CODES = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
    }
)

OnError = Callable[[str, KafkaError], None]
"""Called with the topic, empty if the error belongs to none, and the error; may raise."""


class Delivery(NamedTuple):
    """A record, or the end of a partition.

    Attributes
    ----------
    partition
        Topic and partition.
    offset
        Offset of the record; at the end of a partition that of the next record to be written.
    message
        The record; None at the end of a partition.
    """

    partition: Partition
    offset: int
    message: Message | None


def deliveries(messages: Iterable[Message], on_error: OnError) -> Iterator[Delivery]:
    """Sort what `Consumer.consume` returned into records, ends of partitions and errors.

    Parameters
    ----------
    messages
        As consumed.
    on_error
        Called with each error instead of yielding it.

    Yields
    ------
    Delivery
        In the order of `messages`.
    """
    for message in messages:
        error, topic = message.error(), message.topic() or ""
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            partition = topic, message.partition() or 0
            yield Delivery(partition, message.offset() or 0, message if error is None else None)
        else:
            on_error(topic, error)


def is_transient(error: KafkaError) -> bool:
    """Return whether librdkafka recovers from an error on its own.

    Parameters
    ----------
    error
        As consumed.
    """
    return error.code() in TRANSIENT_CODES or (error.retriable() and not error.fatal())


def raise_unless_transient(topic: str, error: KafkaError) -> None:
    """Handle a consumer's error as every reader without a group does; an `OnError`.

    Parameters
    ----------
    topic
        Of the error.
    error
        As consumed.

    Raises
    ------
    BrokerUnavailableError, FatalError
        librdkafka does not recover from the error on its own.
    """
    if not is_transient(error):
        raise translate(error, f"read {topic or 'from Kafka'}")


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """One record of a topic.

    Attributes
    ----------
    topic, partition, offset
        The record's coordinates in Kafka.
    timestamp_ms
        Unix milliseconds.
    value, key
        As produced; an absent value is empty, an absent key None.
    headers
        By name; the last one where a name occurs twice.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    value: bytes
    headers: Mapping[str, bytes]
    key: bytes | None = None

    @classmethod
    def from_message(cls, message: Message) -> Self:
        """Convert a message that carries no error.

        Parameters
        ----------
        message
            As consumed.
        """
        headers = message.headers() or []
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        return cls(
            topic=message.topic() or "",
            partition=message.partition() or 0,
            offset=message.offset() or 0,
            timestamp_ms=message.timestamp()[1],
            value=message.value() or b"",
            headers={
                name: value.encode() if isinstance(value, str) else value or b"" for name, value in pairs
            },
            key=message.key(),
        )

    @property
    def position(self) -> MessagePosition:
        """The record's coordinates."""
        return MessagePosition(self.topic, self.partition, self.offset)


def source_of(record: TopicRecord) -> MessagePosition:
    """Return the position of the message that a result or dead letter answers.

    Parameters
    ----------
    record
        Of the output or rejected topic.

    Raises
    ------
    InputError
        The record does not name it, so it was not written by this service.
    """
    try:
        return MessagePosition.parse(record.headers.get(SOURCE_HEADER, b""))
    except ValueError:
        raise InputError(f"a record of {record.topic} does not name the alert it answers") from None
