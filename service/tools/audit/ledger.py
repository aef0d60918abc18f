"""The ledger of an audit: which alerts exist, and which results claim to answer them.

An alert takes a few bytes, whatever its message contains, so that millions fit in memory.
"""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from service.core.ports.messages import MessagePosition, Partition

__all__ = ["Ledger", "PartitionAccount", "Problem"]

LARGEST_COUNT = 255  # a count takes one byte
CHUNK = 1_000_000  # messages checked at once: their temporary arrays take some 50 MB


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
        The source partition.
    consumed
        Alerts before the group's position; a rejected message counts as one.
    classified, abstained, rejected
        Results of these.
    missing
        Alerts without a result.
    duplicated
        Alerts with more than one result.
    unexplained
        Results of alerts that do not exist, or that the group has not reached.
    expired
        Results of alerts before the audited range: the source may no longer contain them.
    waiting
        Offsets after the group's position: messages that are not answered yet, and transaction markers.
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

    `n_alerts` is 0 if there is no message: an offset compacted away, or that of a transaction marker.
    """

    start: int
    stop: int
    n_alerts: NDArray[np.uint32]
    dead_letters: bytearray
    # Index in `answers` of each message's first alert; None if no message has more than one.
    first_alert: NDArray[np.int64] | None = None
    answers: bytearray = field(default_factory=bytearray)
    classified: int = 0
    abstained: int = 0
    rejected: int = 0
    expired: int = 0
    unexplained: int = 0
    ahead: "array[int]" = field(default_factory=lambda: array("q"))  # offsets of results from `stop` on

    @classmethod
    def of(cls, span: range) -> "_PartitionLedger":
        return cls(span.start, span.stop, np.zeros(len(span), np.uint32), bytearray(len(span)))

    def drop_before(self, offset: int) -> None:
        """Leave out everything before an offset."""
        n_dropped = max(offset - self.start, 0)
        self.start += n_dropped
        self.n_alerts = self.n_alerts[n_dropped:]
        del self.dead_letters[:n_dropped]

    def index_alerts(self) -> None:
        """Allocate `answers`, now that the number of alerts is known."""
        if self.n_alerts.max(initial=0) <= 1:
            self.answers = bytearray(len(self.n_alerts))
        else:
            ends = np.cumsum(self.n_alerts, dtype=np.int64)
            self.first_alert = ends - self.n_alerts
            self.answers = bytearray(int(ends[-1]))

    def slot(self, index: int, record: int) -> int:
        """Return the index of an alert in `answers`."""
        return index if self.first_alert is None else int(self.first_alert[index]) + record

    def chunks(self) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]]:
        """Yield alerts in chunks: index of the first message; message, number and answers of each alert."""
        for begin in range(0, len(self.n_alerts), CHUNK):
            n_alerts = self.n_alerts[begin : begin + CHUNK]
            message = np.repeat(np.arange(len(n_alerts)), n_alerts)
            starts = np.cumsum(n_alerts, dtype=np.int64) - n_alerts
            record = np.arange(len(message)) - starts[message]
            slots = begin + message
            if self.first_alert is not None:
                slots = self.first_alert[slots] + record
            yield begin, message, record, np.frombuffer(self.answers, np.uint8)[slots]


class Ledger:
    """Alerts expected and results found, by source partition.

    First `expect` every message, then `prepare`, then `add` every result, then `close`.

    Parameters
    ----------
    ranges
        Offsets to audit: from the first that the source contains to the group's position.
    n_examples
        Number of examples to keep of each kind of problem.
    drop_repetitions
        Count only the first result of each alert, and ignore results of alerts that the group has not
        reached: what a broker shows of aborted and open transactions.

    Attributes
    ----------
    examples
        Alerts with each kind of problem, as positions.
    unmatched
        Results that answer no alert of these partitions.
    """

    def __init__(
        self, ranges: Mapping[Partition, range], *, n_examples: int = 10, drop_repetitions: bool = False
    ) -> None:
        self._ledgers = {partition: _PartitionLedger.of(span) for partition, span in ranges.items()}
        self._n_examples = n_examples
        self._drop_repetitions = drop_repetitions
        self.examples: dict[Problem, list[str]] = {problem: [] for problem in Problem}
        self.unmatched = 0

    def expect(self, partition: Partition, offset: int, n_alerts: int) -> None:
        """Enter a message.

        Parameters
        ----------
        partition, offset
            Its position, within the ranges.
        n_alerts
            Number of alerts that it contains.
        """
        ledger = self._ledgers[partition]
        ledger.n_alerts[offset - ledger.start] = n_alerts

    def prepare(self, first_offsets: Mapping[Partition, int]) -> None:
        """Make room for the results.

        Parameters
        ----------
        first_offsets
            First offset that each partition contains now: what expired since the ranges were chosen is not
            audited.
        """
        for partition, ledger in self._ledgers.items():
            ledger.drop_before(first_offsets[partition])
            ledger.index_alerts()

    def add(self, partition: Partition, offset: int, record: int, *, is_classified: bool) -> None:
        """Enter a classification or an abstention.

        Parameters
        ----------
        partition, offset
            Position of the message that it claims to answer.
        record
            Number of the alert within that message.
        is_classified
            Whether it is a classification.
        """
        ledger = self._ledger_of(partition, offset, record)
        if ledger is None:
            return
        slot = ledger.slot(offset - ledger.start, record)
        if self._drop_repetitions and ledger.answers[slot]:
            return
        ledger.answers[slot] = min(ledger.answers[slot] + 1, LARGEST_COUNT)
        if is_classified:
            ledger.classified += 1
        else:
            ledger.abstained += 1

    def add_dead_letter(self, partition: Partition, offset: int) -> None:
        """Enter the rejection of a whole message.

        Parameters
        ----------
        partition, offset
            Position of the message that it claims to answer.
        """
        ledger = self._ledger_of(partition, offset, 0)
        if ledger is None:
            return
        index = offset - ledger.start
        if self._drop_repetitions and ledger.dead_letters[index]:
            return
        ledger.dead_letters[index] = min(ledger.dead_letters[index] + 1, LARGEST_COUNT)
        ledger.rejected += 1

    def add_unmatched(self, name: str) -> None:
        """Enter a result that answers no alert of these partitions.

        Parameters
        ----------
        name
            Identifies the result, for the examples.
        """
        self.unmatched += 1
        self._add_example(Problem.UNEXPLAINED, name)

    def close(
        self, positions: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> list[PartitionAccount]:
        """Return the account of every partition, in order.

        Parameters
        ----------
        positions
            The group's position after the last result was read: results up to here are explained.
        ends
            Where the partitions ended.
        """
        return [self._close(part, positions[part], ends[part]) for part in sorted(self._ledgers)]

    def _ledger_of(self, partition: Partition, offset: int, record: int) -> _PartitionLedger | None:
        """Return where a result counts, if it answers an alert that is audited; else count it here."""
        ledger = self._ledgers.get(partition)
        if ledger is None:
            self.add_unmatched(_alert_name(partition, offset, record))
        elif offset < ledger.start:
            ledger.expired += 1
        elif offset >= ledger.stop:
            ledger.ahead.append(offset)
        elif record >= ledger.n_alerts[offset - ledger.start]:
            self._add_unexplained(ledger, partition, offset, record)
        else:
            return ledger
        return None

    def _close(self, partition: Partition, position: int, end: int) -> PartitionAccount:
        ledger = self._ledgers[partition]
        explained_before = end if self._drop_repetitions else position
        for offset in ledger.ahead:
            if offset >= explained_before:
                self._add_unexplained(ledger, partition, offset, 0)
        counts = self._count_problems(partition, ledger)
        dead_letters = np.frombuffer(ledger.dead_letters, np.uint8)
        return PartitionAccount(
            topic=partition[0],
            partition=partition[1],
            consumed=int(np.where(dead_letters > 0, 1, ledger.n_alerts).sum(dtype=np.int64)),
            classified=ledger.classified,
            abstained=ledger.abstained,
            rejected=ledger.rejected,
            missing=counts[Problem.MISSING],
            duplicated=counts[Problem.DUPLICATED],
            unexplained=ledger.unexplained,
            expired=ledger.expired,
            waiting=max(end - ledger.stop, 0),
        )

    def _count_problems(self, partition: Partition, ledger: _PartitionLedger) -> dict[Problem, int]:
        """Count missing and duplicated results, and keep examples."""
        dead_letters = np.frombuffer(ledger.dead_letters, np.uint8)
        counts = dict.fromkeys(Problem, 0)
        for begin, message, record, answers in ledger.chunks():
            dead = dead_letters[begin + message]
            flags_of = {
                Problem.MISSING: (answers == 0) & (dead == 0),
                # If a message was rejected twice, its first alert stands for all.
                Problem.DUPLICATED: (answers > 1)
                | ((answers > 0) & (dead > 0))
                | ((dead > 1) & (record == 0)),
            }
            for problem, flags in flags_of.items():
                counts[problem] += int(flags.sum())
                for index in np.flatnonzero(flags)[: self._n_examples].tolist():
                    offset = ledger.start + begin + int(message[index])
                    self._add_example(problem, _alert_name(partition, offset, int(record[index])))
        return counts

    def _add_unexplained(
        self, ledger: _PartitionLedger, partition: Partition, offset: int, record: int
    ) -> None:
        ledger.unexplained += 1
        self._add_example(Problem.UNEXPLAINED, _alert_name(partition, offset, record))

    def _add_example(self, problem: Problem, name: str) -> None:
        if len(self.examples[problem]) < self._n_examples:
            self.examples[problem].append(name)


def _alert_name(partition: Partition, offset: int, record: int) -> str:
    position = MessagePosition(*partition, offset)
    return f"{position}, record {record}" if record else str(position)
