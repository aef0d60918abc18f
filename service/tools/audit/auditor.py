"""How an audit reads the topics, and what it finds."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any

from service.core.ports.messages import RECORD_HEADER, Partition
from service.core.records.published import parse_record
from service.decoding.wire.framing import Framing, framing_of, open_container
from service.errors import InputError, RejectedAlertError
from service.kafka.group_offsets import committed_offsets
from service.kafka.records import TopicRecord, source_of
from service.kafka.topic_ranges import Isolation, OffsetRange, offsets_at
from service.settings import Settings
from service.tools.audit.ledger import Ledger, PartitionAccount
from service.tools.audit.topic_extents import is_embedded, true_extents
from service.wiring.tools import KafkaClients

__all__ = ["COUNTED", "Audit", "Auditor", "Stage", "alerts_in"]

COUNTED = tuple(field.name for field in fields(PartitionAccount))[2:]
REPETITIONS_DROPPED = (
    "the embedded broker shows readers the records of aborted transactions: repetitions were dropped by "
    "their source header before counting, so nothing counts as duplicated unless it is also a dead letter"
)

Stage = Callable[[str, int], Callable[[int], None]]
"""Called with the name and the size of a step; returns what to call with the progress of the step."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The result of an audit.

    Attributes
    ----------
    group
        The consumer group whose position ends the audited range.
    accounts
        One of each source partition.
    unmatched
        Records among the results that answer no alert of the source topics.
    examples
        Positions of alerts with each kind of problem.
    notes
        Remarks on how the results were read.
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
        """Sums over the partitions; unmatched results count as unexplained."""
        sums = {name: sum(getattr(account, name) for account in self.accounts) for name in COUNTED}
        return sums | {"unexplained": sums["unexplained"] + self.unmatched}

    def as_record(self) -> dict[str, Any]:
        """Return the whole result, ready for JSON."""
        return {
            "clean": self.is_clean,
            "group": self.group,
            "totals": self.totals,
            "partitions": [asdict(account) for account in self.accounts],
            "examples": self.examples,
            "notes": self.notes,
        }


def _no_progress(_name: str, _size: int) -> Callable[[int], None]:
    return lambda _done: None


@dataclass(slots=True)
class Auditor:
    """Reads the topics of a service and matches alerts with results.

    Parameters
    ----------
    settings
        Name the topics and the group.
    clients
        Make the Kafka clients.
    timeout
        Longest wait for a broker that does not answer or a transaction that stays open.
    since_ms
        Alerts published before this time are not audited; Unix milliseconds.
    n_examples
        Number of examples to keep of each kind of problem.
    stage
        Informed of progress.
    """

    settings: Settings
    clients: KafkaClients
    timeout: timedelta
    since_ms: int = 0
    n_examples: int = 10
    stage: Stage = _no_progress

    def run(self) -> Audit:
        """Read and match; the service may keep running.

        1. The group's position: every alert before it was answered, in a committed transaction.
        2. The ends of the output and rejected topics, including open transactions: those answers lie before
           them.
        3. The source up to that position, then the results up to those ends. Reading waits for the end of
           each open transaction.
        4. The position again: results of alerts between the two belong to later transactions.

        Raises
        ------
        BrokerUnavailableError
            The broker does not answer, a topic does not exist, or a transaction stays open.
        InputError
            No source topic exists.
        """
        shows_aborted = is_embedded(self.clients.options)
        sources = true_extents(self.clients.options, self._source_topics())
        positions = self._positions(sources)
        results = true_extents(
            self.clients.options, [self.settings.output_topic, self.settings.rejected_topic]
        )
        ranges = self._ranges(sources, positions)
        ledger = Ledger(ranges, n_examples=self.n_examples, drop_repetitions=shows_aborted)
        self._read_alerts(ledger, ranges)
        remaining = true_extents(self.clients.options, sorted({topic for topic, _ in sources}))
        ledger.prepare({partition: extent.low for partition, extent in remaining.items()})
        # The embedded broker never ends a transaction that a dead worker left open: reading would wait.
        self._read_results(ledger, results, "read_uncommitted" if shows_aborted else "read_committed")
        ends = {partition: extent.high for partition, extent in remaining.items()}
        accounts = ledger.close(self._positions(sources), ends)
        notes = [REPETITIONS_DROPPED] if shows_aborted else []
        notes += _notes_on_retention(results)
        examples = {problem.value: names for problem, names in ledger.examples.items()}
        return Audit(self.settings.group_id, accounts, ledger.unmatched, examples, notes)

    def _source_topics(self) -> list[str]:
        """Return the existing topics that the settings name or match by a pattern."""
        named = (*self.settings.ztf_topics, *self.settings.lsst_topics, *self.settings.elasticc_topics)
        existing = sorted(self.clients.topic_admin().partitions())
        topics = [topic for topic in existing if any(_matches(item, topic) for item in named)]
        if not topics:
            raise InputError("no source topic exists: check NIGHTJAR_*_TOPICS and the brokers")
        return topics

    def _positions(self, sources: Mapping[Partition, OffsetRange]) -> dict[Partition, int]:
        return committed_offsets(self.clients.options, self.settings.group_id, list(sources))

    def _ranges(
        self, sources: Mapping[Partition, OffsetRange], positions: Mapping[Partition, int]
    ) -> dict[Partition, range]:
        first: Mapping[Partition, int | None] = {}
        if self.since_ms:
            first = offsets_at(self.clients.options, list(sources), self.since_ms)
        ranges = {}
        for partition, extent in sources.items():
            offset = first.get(partition, extent.low)
            start = extent.high if offset is None else max(offset, extent.low)
            ranges[partition] = range(start, max(positions[partition], start))
        return ranges

    def _read_alerts(self, ledger: Ledger, ranges: Mapping[Partition, range]) -> None:
        advance = self.stage("reading alerts", sum(map(len, ranges.values())))
        with self.clients.range_reader(ranges, self.timeout) as reader:
            for record in reader:
                count = alerts_in(record.value, self.settings.max_message_bytes)
                ledger.expect((record.topic, record.partition), record.offset, count)
                advance(reader.read_offsets)

    def _read_results(
        self, ledger: Ledger, extents: Mapping[Partition, OffsetRange], isolation: Isolation
    ) -> None:
        ranges = {partition: range(extent.low, extent.high) for partition, extent in extents.items()}
        advance = self.stage("reading results", sum(map(len, ranges.values())))
        with self.clients.range_reader(ranges, self.timeout, isolation=isolation) as reader:
            for record in reader:
                self._enter(ledger, record)
                advance(reader.read_offsets)

    def _enter(self, ledger: Ledger, result: TopicRecord) -> None:
        """Enter one result into the ledger."""
        try:
            topic, partition, offset = source_of(result)
        except InputError:
            ledger.add_unmatched(f"{result.position}, which names no alert")
            return
        if result.topic == self.settings.rejected_topic:
            ledger.add_dead_letter((topic, partition), offset)
            return
        try:
            is_classified = parse_record(result.value)["status"] == "classified"
        except InputError:
            ledger.add_unmatched(f"{result.position}, which is not a classification")
            return
        number = result.headers.get(RECORD_HEADER, b"0")
        record = int(number) if number.isdigit() else 0
        ledger.add((topic, partition), offset, record, is_classified=is_classified)


def alerts_in(value: bytes, max_bytes: int) -> int:
    """Return the number of alerts in a message; an unreadable one counts as one.

    Parameters
    ----------
    value
        The message.
    max_bytes
        Limit for the decompressed blocks of a container.
    """
    if framing_of(value) is not Framing.CONTAINER:
        return 1
    try:
        return sum(block.n_records for block in open_container(value, max_bytes).blocks)
    except RejectedAlertError:
        return 1


def _matches(item: str, topic: str) -> bool:
    """Return whether an item of a setting means a topic; one that begins with ^ is a pattern."""
    return bool(re.match(item, topic)) if item.startswith("^") else item == topic


def _notes_on_retention(results: Mapping[Partition, OffsetRange]) -> Iterable[str]:
    """Explain results that are missing because they were deleted."""
    truncated = sorted({topic for (topic, _), extent in results.items() if extent.low})
    return [
        f"{topic} has lost its oldest records to its retention: alerts that they answered appear as "
        "missing; use --since"
        for topic in truncated
    ]
