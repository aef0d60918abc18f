"""The port of the output topic, as the live stream reads it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

__all__ = ["FeedChunk", "FeedRecord", "Positions", "ResultFeed", "read_positions", "write_positions"]

Positions = Mapping[int, int]
"""Partition to the offset of the next record."""


class FeedRecord(NamedTuple):
    """One committed record."""

    partition: int
    offset: int
    value: bytes


@dataclass(frozen=True, slots=True)
class FeedChunk:
    """The result of one poll.

    Attributes
    ----------
    records
        In order within each partition.
    ends
        Partition that was read to its end to the offset of its next record.
    """

    records: list[FeedRecord] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)


class ResultFeed(Protocol):
    """The output topic, read without a consumer group; committed records only.

    Every method raises `BrokerUnavailableError` where the broker does not answer or the topic does not exist.
    """

    def extents(self) -> dict[int, range]:
        """Return the offsets that each partition holds."""

    def open(self, starts: Positions) -> None:
        """Start following the topic from some positions."""

    def poll(self) -> FeedChunk:
        """Wait briefly for records."""

    def has_grown(self) -> bool:
        """Return whether there are partitions that are not followed; False where the broker does not say."""

    def read(self, ranges: Mapping[int, range]) -> Iterator[FeedRecord]:
        """Yield the records of some offsets, independently of `poll`; thread-safe."""

    def close(self) -> None:
        """Close the connection."""


def write_positions(positions: Positions) -> str:
    """Return positions as an event id: ``0:17,1:4`` for the next records of partitions 0 and 1."""
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(positions.items()))


def read_positions(text: str) -> dict[int, int]:
    """Return the positions of an event id.

    Raises
    ------
    ValueError
        The text is not an event id.
    """
    positions: dict[int, int] = {}
    for item in text.split(","):
        partition, _, offset = item.partition(":")
        if not (partition.isdecimal() and offset.isdecimal() and len(item) <= 40):
            raise ValueError(f"{text[:80]!r} is not an event id")
        positions[int(partition)] = int(offset)
    return positions
