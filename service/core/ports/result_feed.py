"""What the live stream asks of the topic of results; the topic itself is an adapter."""

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
    """What came within one wait.

    Attributes
    ----------
    records
        In order within each partition.
    ends
        Partitions that were read to their end: offset of the record to come.
    """

    records: list[FeedRecord] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)


class ResultFeed(Protocol):
    """The topic of results, read without a group; committed records only.

    Every method raises `BrokerUnavailableError` where the broker does not answer or the topic is not there.
    """

    def extents(self) -> dict[int, range]:
        """Give the offsets that each partition holds."""

    def open(self, starts: Positions) -> None:
        """Begin to follow the topic from some positions."""

    def poll(self) -> FeedChunk:
        """Wait a moment for records."""

    def has_grown(self) -> bool:
        """Say whether there are partitions that are not followed; False where the broker does not tell."""

    def read(self, ranges: Mapping[int, range]) -> Iterator[FeedRecord]:
        """Read some offsets from end to end, beside what `poll` follows; safe from several threads."""

    def close(self) -> None:
        """Leave the broker."""


def write_positions(positions: Positions) -> str:
    """Write positions as the id of an event: ``0:17,1:4`` for the next records of partitions 0 and 1."""
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(positions.items()))


def read_positions(text: str) -> dict[int, int]:
    """Read the id of an event.

    Raises
    ------
    ValueError
        It is none.
    """
    positions: dict[int, int] = {}
    for item in text.split(","):
        partition, _, offset = item.partition(":")
        if not (partition.isdecimal() and offset.isdecimal() and len(item) <= 40):
            raise ValueError(f"{text[:80]!r} is not the id of an event")
        positions[int(partition)] = int(offset)
    return positions
