"""Messages as the worker takes and returns them, and what it needs from the system that carries them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self

from service.errors import TransientError

__all__ = [
    "RECORD_HEADER",
    "SOURCE_HEADER",
    "Header",
    "MessagePosition",
    "MessageSink",
    "MessageSource",
    "OnWait",
    "OutgoingMessage",
    "Partition",
    "SourceMessage",
]

Header = tuple[str, bytes]

Partition = tuple[str, int]
"""(topic, partition)"""

OnWait = Callable[[TransientError], None]
"""Called each time an answer is still missing; may raise to stop waiting."""

SOURCE_HEADER = "source"
"""Header of every result and dead letter: the `MessagePosition` of the message that it answers."""

RECORD_HEADER = "record"
"""Header of a result whose message contained several alerts: the alert's number within the message."""


class MessagePosition(NamedTuple):
    """Position of one message, written ``topic:partition:offset``.

    Attributes
    ----------
    topic, partition, offset
        The message's coordinates in Kafka. Topic names contain no colon.
    """

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: bytes | str) -> Self:
        """Read a position back from its written form.

        Parameters
        ----------
        text
            As `str` writes it, for instance the value of a `SOURCE_HEADER`.

        Raises
        ------
        ValueError
            The text is not a position.
        """
        written = text if isinstance(text, str) else text.decode(errors="replace")
        topic, _, rest = written.partition(":")
        partition, _, offset = rest.partition(":")
        if not (partition.isdecimal() and offset.isdecimal()):
            raise ValueError(f"{written[:80]!r} is not a position: topic:partition:offset")
        return cls(topic, int(partition), int(offset))


class SourceMessage(NamedTuple):
    """One message of a source topic; a tuple, because a batch consists of hundreds.

    Attributes
    ----------
    topic, partition, offset
        The message's coordinates in Kafka.
    timestamp_ms
        The broker's time of the message, Unix milliseconds; negative if it has none.
    key, value
        As produced; None if the producer sent none.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None

    @property
    def source(self) -> str:
        """Its position as written in headers: ``topic:partition:offset``."""
        # Not by way of `MessagePosition`, which takes three times as long: it is made for every alert.
        return f"{self.topic}:{self.partition}:{self.offset}"


class OutgoingMessage(NamedTuple):
    """One message to be produced."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[Header]


class MessageSource(Protocol):
    """Where batches come from; `service.kafka.source.KafkaSource` documents parameters and errors."""

    def open(self) -> None:
        """Join the group of workers that read the same topics."""

    def poll(self) -> Sequence[SourceMessage]:
        """Return the next batch; empty if nothing arrived within the time limit."""

    def positions(self) -> Any:
        """Return where the batch just polled ends, for the sink to commit."""

    def mark_committed(self) -> None:
        """Record that the batch just polled was committed."""

    def rewind(self) -> bool:
        """Return to the last commit; True if the batch just polled was committed after all."""

    def check(self) -> None:
        """Check that the source answers."""

    def lag(self) -> Mapping[tuple[str, int], int]:
        """Return the number of unread messages by (topic, partition)."""

    def close(self) -> None:
        """Leave the group."""


class MessageSink(Protocol):
    """Where results go, all of a batch or none; `service.kafka.sink.KafkaSink` documents the details."""

    def connect(self) -> None:
        """Register this producer's name, aborting what an earlier holder of the name left open."""

    def begin(self) -> None:
        """Begin a transaction."""

    def produce(self, messages: Iterable[OutgoingMessage]) -> None:
        """Add messages to the transaction.

        Parameters
        ----------
        messages
            Results and dead letters of one batch.
        """

    def send_offsets(self, progress: Any, on_wait: OnWait) -> None:
        """Add the source's offsets to the transaction.

        Parameters
        ----------
        progress
            As `MessageSource.positions` returned it.
        on_wait
            Called while there is no answer.
        """

    def commit(self, on_wait: OnWait) -> None:
        """Commit the transaction.

        Parameters
        ----------
        on_wait
            Called while there is no answer.
        """

    def reset(self) -> None:
        """Make sure that no transaction of this producer is open, and that the next one can begin."""

    def abort_hanging(self, *, is_committed: bool) -> None:
        """Make sure that records of an abandoned transaction are never seen, unless it was committed.

        Parameters
        ----------
        is_committed
            Whether `MessageSource.rewind` found the batch committed.
        """

    def close(self) -> None:
        """Abort the open transaction, if there is one and the answer comes at once."""
