"""How an audit reads the topics, and what it finds."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any, Protocol

from service.core.ports.messages import SOURCE_HEADER, MessagePosition, Partition
from service.core.records.published import parse_record
from service.decoding.wire.framing import Framing, framing_of, open_container
from service.embedded.transaction_log import TransactionLog
from service.errors import InputError, RejectedAlertError
from service.kafka.group_offsets import committed_offsets
from service.kafka.topic_admin import TopicAdmin
from service.kafka.topic_ranges import OffsetRange, RangeReader, offsets_at
from service.settings import Settings
from service.tools.audit.ledger import Ledger, PartitionAccount
from service.tools.audit.topic_extents import is_embedded, true_extents

__all__ = ["COUNTED", "Audit", "Auditor", "alerts_in"]

RECORD_HEADER = "record"
COUNTED = tuple(field.name for field in fields(PartitionAccount))[2:]
JUDGED_BY_MARKERS = (
    "this broker does not tell readers which transactions were aborted: "
    "the results were judged by the transaction markers in its log"
)

Stage = Callable[[str, int], Callable[[int], None]]
"""Called with the name and the size of a part of the work; gives what to call with what is done of it."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found.

    Attributes
    ----------
    group
        The consumer group whose position ends what was judged.
    accounts
        One of each source partition.
    strangers
        Records among the results that name no alert of the source topics.
    examples
        Places of each kind of problem.
    notes
        What to know of how the results were read.
    """

    group: str
    accounts: list[PartitionAccount]
    unmatched: int
    examples: dict[str, list[str]]
    notes: list[str]

    @property
    def is_clean(self) -> bool:
        """Whether every alert has exactly one result, and every result its alert."""
        return not self.unmatched and all(account.adds_up for account in self.accounts)

    @property
    def totals(self) -> dict[str, int]:
        """Sums over the partitions; strangers are among the unexplained."""
        sums = {name: sum(getattr(one, name) for one in self.accounts) for name in COUNTED}
        return sums | {"unexplained": sums["unexplained"] + self.unmatched}

    def as_record(self) -> dict[str, Any]:
        """Give all of it, ready for JSON."""
        return {
            "clean": self.is_clean,
            "group": self.group,
            "totals": self.totals,
            "partitions": [asdict(account) for account in self.accounts],
            "examples": self.examples,
            "notes": self.notes,
        }


class _Result(Protocol):
    """One record of the output topic or of the dead letters."""

    @property
    def offset(self) -> int: ...

    @property
    def value(self) -> bytes: ...

    @property
    def headers(self) -> Mapping[str, bytes]: ...


def _unseen(_name: str, _size: int) -> Callable[[int], None]:
    return lambda _done: None


@dataclass(slots=True)
class Auditor:
    """Reads the topics of a service and matches alerts with results.

    Parameters
    ----------
    settings
        Name the topics and the group.
    options
        librdkafka options: `service.kafka.options.common_options`.
    patience
        Longest wait for a broker that does not answer or a transaction that is open.
    since_ms
        Alerts published before this are not judged; Unix milliseconds.
    n_examples
        Places kept of each kind of problem.
    stage
        Told of progress.
    """

    settings: Settings
    options: Mapping[str, Any]
    patience: timedelta
    since_ms: int = 0
    n_examples: int = 10
    stage: Stage = _unseen

    def run(self) -> Audit:
        """Read and match; the service may go on meanwhile.

        1. The group's position: every alert before it was answered, in a transaction that was committed.
        2. The ends of the output and the dead letters, open transactions included: those answers lie
           before them.
        3. The source up to that position, then the results up to those ends. Where a transaction is open
           the reading waits for its end.
        4. The position again: results of alerts between the two are those of later transactions.

        Raises
        ------
        BrokerUnavailableError
            The broker does not answer, a topic does not exist, or a transaction stays open.
        InputError
            No source topic is there.
        """
        sources = true_extents(self.options, self._source_topics())
        positions = self._positions(sources)
        written = true_extents(self.options, [self.settings.output_topic, self.settings.rejected_topic])
        ranges = self._ranges(sources, positions)
        ledger = Ledger(ranges, n_examples=self.n_examples)
        self._read_alerts(ledger, ranges)
        left = true_extents(self.options, sorted({topic for topic, _ in sources}))
        ledger.prepare({place: extent.low for place, extent in left.items()})
        by_markers = is_embedded(self.options)
        self._read_results(ledger, written, by_markers=by_markers)
        ends = {place: extent.high for place, extent in left.items()}
        accounts = ledger.close(self._positions(sources), ends)
        notes = [JUDGED_BY_MARKERS] if by_markers else []
        notes += _notes_on_loss(written)
        examples = {problem.value: names for problem, names in ledger.examples.items()}
        return Audit(self.settings.group_id, accounts, ledger.strangers, examples, notes)

    def _source_topics(self) -> list[str]:
        """Find the topics that the settings name, and those that match a pattern."""
        named = (*self.settings.ztf_topics, *self.settings.lsst_topics, *self.settings.elasticc_topics)
        present = sorted(TopicAdmin(self.options).partitions())
        found = [topic for topic in present if any(_names(name, topic) for name in named)]
        if not found:
            raise InputError("no source topic is there: check NIGHTJAR_*_TOPICS and the brokers")
        return found

    def _positions(self, sources: Mapping[Partition, OffsetRange]) -> dict[Partition, int]:
        return committed_offsets(self.options, self.settings.group_id, list(sources))

    def _ranges(
        self, sources: Mapping[Partition, OffsetRange], positions: Mapping[Partition, int]
    ) -> dict[Partition, range]:
        first: Mapping[Partition, int | None] = {}
        if self.since_ms:
            first = offsets_at(self.options, list(sources), self.since_ms)
        ranges = {}
        for place, extent in sources.items():
            begins = first.get(place, extent.low)
            start = extent.high if begins is None else max(begins, extent.low)
            ranges[place] = range(start, max(positions[place], start))
        return ranges

    def _read_alerts(self, ledger: Ledger, ranges: Mapping[Partition, range]) -> None:
        advance = self.stage("reading alerts", sum(map(len, ranges.values())))
        with RangeReader(self.options, ranges, self.patience) as reader:
            for record in reader:
                count = alerts_in(record.value, self.settings.max_message_bytes)
                ledger.expect((record.topic, record.partition), record.offset, count)
                advance(reader.read_offsets)

    def _read_results(
        self, ledger: Ledger, written: Mapping[Partition, OffsetRange], *, by_markers: bool
    ) -> None:
        ranges = {place: range(extent.low, extent.high) for place, extent in written.items()}
        advance = self.stage("reading results", sum(map(len, ranges.values())))
        read = self._results_by_markers if by_markers else self._results
        for done, place, result in read(ranges):
            self._take(ledger, place, result)
            advance(done)

    def _results(self, ranges: Mapping[Partition, range]) -> Iterator[tuple[int, Partition, _Result]]:
        """Give results as a plain reader of committed records gets them."""
        with RangeReader(self.options, ranges, self.patience) as reader:
            for record in reader:
                yield reader.read_offsets, (record.topic, record.partition), record

    def _results_by_markers(
        self, ranges: Mapping[Partition, range]
    ) -> Iterator[tuple[int, Partition, _Result]]:
        """Give results as the log's own markers tell which were committed."""
        done = 0
        with TransactionLog(self.options["bootstrap.servers"]) as log:
            for place, span in ranges.items():
                for record in log.committed(*place, span):
                    yield done + record.offset - span.start, place, record
                done += len(span)

    def _take(self, ledger: Ledger, place: Partition, result: _Result) -> None:
        """Enter one result."""
        try:
            topic, partition, offset = MessagePosition.parse(result.headers.get(SOURCE_HEADER, b""))
        except ValueError:
            ledger.add_unmatched(f"{place[0]}:{place[1]}:{result.offset}, which names no alert")
            return
        if place[0] == self.settings.rejected_topic:
            ledger.add_dead_letter((topic, partition), offset)
            return
        try:
            is_classified = parse_record(result.value)["status"] == "classified"
        except InputError:
            ledger.add_unmatched(f"{place[0]}:{place[1]}:{result.offset}, which is no classification")
            return
        number = result.headers.get(RECORD_HEADER, b"0")
        record = int(number) if number.isdigit() else 0
        ledger.add((topic, partition), offset, record, is_classified=is_classified)


def alerts_in(value: bytes, max_bytes: int) -> int:
    """Count the alerts of a message; one that cannot be read counts as one."""
    if framing_of(value) is not Framing.CONTAINER:
        return 1
    try:
        return sum(block.n_records for block in open_container(value, max_bytes).blocks)
    except RejectedAlertError:
        return 1


def _names(name: str, topic: str) -> bool:
    """Tell whether a setting's item means a topic; one that begins with ^ is a pattern."""
    return bool(re.match(name, topic)) if name.startswith("^") else name == topic


def _notes_on_loss(written: Mapping[Partition, OffsetRange]) -> Iterable[str]:
    """Say where results may have been deleted, so that nobody looks for them."""
    cut = sorted({topic for (topic, _), extent in written.items() if extent.low})
    return [
        f"{topic} has lost its oldest records to its retention: alerts answered by them appear as missing; "
        "use --since"
        for topic in cut
    ]
