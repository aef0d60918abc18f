"""The books of an audit: which alerts there were, and which results say that they are theirs.

An alert takes a few bytes, whatever its message holds, so that millions of them fit in memory.
"""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from service.core.ports.messages import MessagePosition, Partition

__all__ = ["Ledger", "PartitionAccount", "Problem"]

MOST_COUNTED = 255  # a count takes one byte
CHUNK = 1_000_000  # messages settled at once: what that takes in between is some 50 MB


class Problem(StrEnum):
    """What may be wrong."""

    MISSING = "missing"
    DUPLICATED = "duplicated"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class PartitionAccount:
    """What became of the alerts of one source partition.

    Attributes
    ----------
    topic, partition
        Which.
    consumed
        Alerts before the group's position; a rejected message counts as one.
    classified, abstained, rejected
        Results of these.
    missing
        Alerts without a result.
    duplicated
        Alerts with more than one.
    unexplained
        Results of alerts that do not exist, or that the group has not come to.
    expired
        Results of alerts before those that were judged: the source may keep them no longer.
    waiting
        Offsets after the group's position: messages that are not answered yet, and markers of transactions.
    """

    topic: str
    partition: int
    consumed: int
    classified: int
    abstained: int
    rejected: int
    missing: int
    duplicated: int
    unexplained: int
    expired: int
    waiting: int

    @property
    def adds_up(self) -> bool:
        """Whether every alert has exactly one result."""
        is_complete = self.consumed == self.classified + self.abstained + self.rejected
        return is_complete and not (self.missing or self.duplicated or self.unexplained)


@dataclass(slots=True)
class _PartitionLedger:
    """One source partition; entry i of the arrays is the message at offset ``start + i``.

    `n_alerts` is 0 where there is no message: an offset compacted away, or that of a transaction's marker.
    """

    start: int
    stop: int
    n_alerts: NDArray[np.uint32]
    dead_letters: bytearray
    # Where each message's alerts begin in `answers`; None where no message has more than one.
    first_alert: NDArray[np.int64] | None = None
    answers: bytearray = field(default_factory=bytearray)
    classified: int = 0
    abstained: int = 0
    rejected: int = 0
    expired: int = 0
    unexplained: int = 0
    ahead: "array[int]" = field(default_factory=lambda: array("q"))  # offsets of results from `stop` on

    def begin_at(self, offset: int) -> None:
        """Leave out everything before an offset."""
        gone = max(offset - self.start, 0)
        self.start += gone
        self.n_alerts = self.n_alerts[gone:]
        del self.dead_letters[:gone]

    def slot(self, index: int, record: int) -> int:
        """Find an alert in `answers`."""
        return index if self.first_alert is None else int(self.first_alert[index]) + record

    def chunks(self) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]]:
        """Give alerts, many at a time: index of the first message, each one's message, number, answers."""
        for begin in range(0, len(self.n_alerts), CHUNK):
            n_alerts = self.n_alerts[begin : begin + CHUNK]
            owner = np.repeat(np.arange(len(n_alerts)), n_alerts)
            starts = np.cumsum(n_alerts, dtype=np.int64) - n_alerts
            record = np.arange(len(owner)) - starts[owner]
            places = begin + owner
            if self.first_alert is not None:
                places = self.first_alert[places] + record
            yield begin, owner, record, np.frombuffer(self.answers, np.uint8)[places]


class Ledger:
    """Alerts expected and results found, by source partition.

    First `expect` every message, then `prepare`, then `add` every result, then `close`.

    Parameters
    ----------
    ranges
        Offsets to be judged: from the first that the source keeps to the group's position.
    n_examples
        Places kept of each kind of problem.
    """

    def __init__(self, ranges: Mapping[Partition, range], *, n_examples: int = 10) -> None:
        self._books = {
            place: _PartitionLedger(
                span.start, span.stop, np.zeros(len(span), np.uint32), bytearray(len(span))
            )
            for place, span in ranges.items()
        }
        self._n_examples = n_examples
        self.examples: dict[Problem, list[str]] = {problem: [] for problem in Problem}
        self.strangers = 0
        """Results that name no alert of these partitions."""

    def expect(self, place: Partition, offset: int, n_alerts: int) -> None:
        """Note a message within the range and how many alerts it holds."""
        book = self._books[place]
        book.n_alerts[offset - book.start] = n_alerts

    def prepare(self, kept_from: Mapping[Partition, int]) -> None:
        """Make room for the results.

        Parameters
        ----------
        kept_from
            First offset that the source keeps now: what expired since the ranges were chosen is not judged.
        """
        for place, book in self._books.items():
            book.begin_at(kept_from[place])
            if book.n_alerts.max(initial=0) <= 1:
                book.answers = bytearray(len(book.n_alerts))
            else:
                ends = np.cumsum(book.n_alerts, dtype=np.int64)
                book.first_alert = ends - book.n_alerts
                book.answers = bytearray(int(ends[-1]))

    def add(self, place: Partition, offset: int, record: int, *, is_classified: bool) -> None:
        """Note a classification or an abstention.

        Parameters
        ----------
        place, offset
            The message that it says it belongs to.
        record
            Which alert of that message.
        is_classified
            Whether it is a classification.
        """
        book = self._book(place, offset, record)
        if book is None:
            return
        slot = book.slot(offset - book.start, record)
        book.answers[slot] = min(book.answers[slot] + 1, MOST_COUNTED)
        if is_classified:
            book.classified += 1
        else:
            book.abstained += 1

    def add_dead_letter(self, place: Partition, offset: int) -> None:
        """Note the rejection of a whole message."""
        book = self._book(place, offset, 0)
        if book is None:
            return
        index = offset - book.start
        book.dead_letters[index] = min(book.dead_letters[index] + 1, MOST_COUNTED)
        book.rejected += 1

    def add_unmatched(self, name: str) -> None:
        """Note a result that names no alert of these partitions; `name` says which."""
        self.strangers += 1
        self._note(Problem.UNEXPLAINED, name)

    def close(
        self, positions: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> list[PartitionAccount]:
        """Settle every partition.

        Parameters
        ----------
        positions
            Where the group stood after the last result was read: results up to here are explained.
        ends
            Where the partitions ended.
        """
        return [self._close(place, positions[place], ends[place]) for place in sorted(self._books)]

    def _book(self, place: Partition, offset: int, record: int) -> _PartitionLedger | None:
        """Find where a result counts, if it is one of an alert that is judged."""
        book = self._books.get(place)
        if book is None:
            self.add_unmatched(_name(place, offset, record))
        elif offset < book.start:
            book.expired += 1
        elif offset >= book.stop:
            book.ahead.append(offset)
        elif record >= book.n_alerts[offset - book.start]:
            self._unexplained(book, place, offset, record)
        else:
            return book
        return None

    def _close(self, place: Partition, position: int, end: int) -> PartitionAccount:
        book = self._books[place]
        for offset in book.ahead:
            if offset >= position:
                self._unexplained(book, place, offset, 0)
        dead_letters = np.frombuffer(book.dead_letters, np.uint8)
        found = dict.fromkeys(Problem, 0)
        for begin, owner, record, answers in book.chunks():
            dead = dead_letters[begin + owner]
            wrong = {
                Problem.MISSING: (answers == 0) & (dead == 0),
                # Of a message rejected twice its first alert stands for all.
                Problem.DUPLICATED: (answers > 1)
                | ((answers > 0) & (dead > 0))
                | ((dead > 1) & (record == 0)),
            }
            for problem, flags in wrong.items():
                found[problem] += int(flags.sum())
                for index in np.flatnonzero(flags)[: self._n_examples].tolist():
                    offset = book.start + begin + int(owner[index])
                    self._note(problem, _name(place, offset, int(record[index])))
        return PartitionAccount(
            topic=place[0],
            partition=place[1],
            consumed=int(np.where(dead_letters > 0, 1, book.n_alerts).sum(dtype=np.int64)),
            classified=book.classified,
            abstained=book.abstained,
            rejected=book.rejected,
            missing=found[Problem.MISSING],
            duplicated=found[Problem.DUPLICATED],
            unexplained=book.unexplained,
            expired=book.expired,
            waiting=max(end - book.stop, 0),
        )

    def _unexplained(self, book: _PartitionLedger, place: Partition, offset: int, record: int) -> None:
        book.unexplained += 1
        self._note(Problem.UNEXPLAINED, _name(place, offset, record))

    def _note(self, problem: Problem, name: str) -> None:
        if len(self.examples[problem]) < self._n_examples:
            self.examples[problem].append(name)


def _name(place: Partition, offset: int, record: int) -> str:
    name = str(MessagePosition(*place, offset))
    return f"{name}, record {record}" if record else name
