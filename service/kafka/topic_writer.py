"""A producer for tools that reports where each message was written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from service.core.ports.messages import MessagePosition
from service.errors import BrokerUnavailableError, ServiceError
from service.kafka.consumers import QUIET
from service.kafka.errors import translate, translate_configuration
from service.kafka.options import LARGEST_MESSAGE_BYTES

__all__ = ["TopicWriter"]

DELIVERY_TIMEOUT = timedelta(minutes=2)
POLL_S = 0.1


@dataclass(slots=True)
class TopicWriter:
    """Sends messages unchanged and in order, each exactly once as long as this process lives.

    Parameters
    ----------
    options
        librdkafka options, including the brokers: `service.kafka.options.common_options`.
    on_delivered
        Called with each message's tag and position.

    Attributes
    ----------
    delivered
        Number of messages that the broker has acknowledged.

    Raises
    ------
    SettingsError
        librdkafka rejects the options.
    """

    options: Mapping[str, Any]
    on_delivered: Callable[[int, MessagePosition], None] = lambda _tag, _position: None
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
        """Enqueue one message without a key, as the surveys send theirs; block while the queue is full.

        Parameters
        ----------
        topic
            An existing topic.
        value
            The message.
        tag
            Passed to `on_delivered`.

        Raises
        ------
        BrokerUnavailableError
            An earlier message could not be delivered.
        """

        def delivered(error: KafkaError | None, message: Message) -> None:
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
        """Process delivery reports.

        Parameters
        ----------
        timeout
            Longest wait for the first one.

        Raises
        ------
        BrokerUnavailableError
            A message could not be delivered.
        """
        self._producer.poll(timeout.total_seconds())
        self._raise_failure()

    def flush(self) -> None:
        """Wait until the broker has every message.

        Raises
        ------
        BrokerUnavailableError
            A message could not be delivered.
        """
        left = self._producer.flush(DELIVERY_TIMEOUT.total_seconds() + 1)
        self._raise_failure()
        if left:
            raise BrokerUnavailableError(f"Kafka did not take {left} messages")

    def _record(self, error: KafkaError | None, message: Message, tag: int) -> None:
        if error is not None:
            self._failure = self._failure or translate(error, f"send to {message.topic()}")
            return
        self.delivered += 1
        position = MessagePosition(message.topic() or "", message.partition() or 0, message.offset() or 0)
        self.on_delivered(tag, position)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
