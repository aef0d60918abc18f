"""Messages as the pipeline takes and gives them, and what it asks of whatever carries them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from service.errors import TransientError

__all__ = ["Header", "MessageSink", "MessageSource", "OnWait", "OutgoingMessage", "SourceMessage"]

Header = tuple[str, bytes]

OnWait = Callable[[TransientError], None]
"""Called each time an answer is not there yet; it may raise to give up."""


class SourceMessage(NamedTuple):
    """One message of a source topic; a tuple, because a batch makes hundreds.

    Attributes
    ----------
    topic, partition, offset
        Where it lies.
    timestamp_ms
        The broker's time of the message, Unix milliseconds; negative where it has none.
    key, value
        As produced; None where the producer gave none.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None

    @property
    def source(self) -> str:
        """Its place as written in headers: ``topic:partition:offset``."""
        return f"{self.topic}:{self.partition}:{self.offset}"


class OutgoingMessage(NamedTuple):
    """One message to be produced."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[Header]


class MessageSource(Protocol):
    """Where batches come from; `service.kafka.source.KafkaSource` says more."""

    def open(self) -> None:
        """Join the others that read the same topics."""

    def poll(self) -> Sequence[SourceMessage]:
        """Wait for a batch; empty where nothing came within the limit of time."""

    def positions(self) -> Any:
        """Say where the batch just polled ends, for the sink to commit."""

    def mark_committed(self) -> None:
        """Note that the batch just polled was committed."""

    def rewind(self) -> bool:
        """Go back to where the last commit ended; True if the batch just polled was committed after all."""

    def check(self) -> None:
        """Ask for a sign of life."""

    def lag(self) -> Mapping[tuple[str, int], int]:
        """Count the messages after our position, by (topic, partition)."""

    def close(self) -> None:
        """Leave the others."""


class MessageSink(Protocol):
    """Where results go, all of a batch or none; `service.kafka.sink.KafkaSink` says more."""

    def connect(self) -> None:
        """End what an earlier holder of our name left open."""

    def begin(self) -> None:
        """Begin a transaction."""

    def produce(self, messages: Iterable[OutgoingMessage]) -> None:
        """Put messages into the transaction."""

    def send_offsets(self, progress: Any, on_wait: OnWait) -> None:
        """Put the source's progress into the transaction."""

    def commit(self, on_wait: OnWait) -> None:
        """Commit the transaction."""

    def reset(self) -> None:
        """Make sure that no transaction of ours is open, and that the next can begin."""

    def abort_hanging(self, *, is_committed: bool) -> None:
        """Make sure that what was left behind is never seen, unless it turned out to be committed."""

    def close(self) -> None:
        """End the transaction, if one is open and an answer comes at once, without a trace."""
