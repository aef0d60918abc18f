"""What the live stream needs from the topic of results; `service.kafka.result_feed` implements it."""

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
    """What one call of `ResultFeed.poll` returned.

    Attributes
    ----------
    records
        In order within each partition.
    ends
        Partitions that were read to their end: offset of the next record to be written.
    """

    records: list[FeedRecord] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)


class ResultFeed(Protocol):
    """The output topic, read without a consumer group; committed records only.

    Every method raises `BrokerUnavailableError` if the broker does not answer or the topic does not exist.
    """

    def extents(self) -> dict[int, range]:
        """Return the offsets that each partition contains."""

    def open(self, starts: Positions) -> None:
        """Start following the topic from some positions.

        Parameters
        ----------
        starts
            Partition to the offset of the first record to return.
        """

    def poll(self) -> FeedChunk:
        """Return the records that arrive within a moment."""

    def has_grown(self) -> bool:
        """Return whether there are partitions that are not followed; False if no broker answers."""

    def read(self, ranges: Mapping[int, range]) -> Iterator[FeedRecord]:
        """Yield the records of some offsets, independently of `poll`; safe to call from several threads.

        Parameters
        ----------
        ranges
            Partition to the offsets to read.
        """

    def close(self) -> None:
        """Disconnect from the broker."""


def write_positions(positions: Positions) -> str:
    """Return positions as the id of an event: ``0:17,1:4`` for the next records of partitions 0 and 1.

    Parameters
    ----------
    positions
        Partition to the offset of the next record.
    """
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(positions.items()))


def read_positions(text: str) -> dict[int, int]:
    """Return the positions in the id of an event.

    Parameters
    ----------
    text
        As `write_positions` returns it.

    Raises
    ------
    ValueError
        The text is not such an id.
    """
    positions: dict[int, int] = {}
    for item in text.split(","):
        partition, _, offset = item.partition(":")
        if not (partition.isdecimal() and offset.isdecimal() and len(item) <= 40):
            raise ValueError(f"{text[:80]!r} is not an event id")
        positions[int(partition)] = int(offset)
    return positions
