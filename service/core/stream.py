"""Messages as the pipeline takes and gives them, whatever carries them."""

from typing import NamedTuple

__all__ = ["Header", "OutgoingMessage", "SourceMessage"]

Header = tuple[str, bytes]


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
