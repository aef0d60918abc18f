"""One run of the demo: alerts go in, results are followed, and at the end all is counted."""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from service.core.ports.messages import MessagePosition
from service.errors import FatalError
from service.kafka.group_offsets import committed_offsets
from service.kafka.topic_reader import TopicReader
from service.kafka.topic_writer import TopicWriter
from service.tools.demo.accounting import ResultAccounting
from service.tools.demo.stack import Stack
from service.tools.packets import Packet
from service.tools.sender import Sender

__all__ = ["DemoRun"]

POLL = timedelta(milliseconds=50)
LATEST = 12
STALL = timedelta(minutes=5)  # first results take up to a minute: the workers compile their kernels


@dataclass(slots=True)
class DemoRun:
    """What is sent and what came of it.

    Parameters
    ----------
    stack
        The running service.
    rate_hz
        Alerts per second; 0 for as fast as it goes.
    """

    stack: Stack
    rate_hz: float
    accounting: ResultAccounting = field(init=False)
    latest: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=LATEST))
    total: int = 0
    started_s: float = 0.0
    last_result_s: float = 0.0

    def __post_init__(self) -> None:
        self.accounting = ResultAccounting(self.stack.names.rejected_topic)

    @property
    def delivered(self) -> int:
        """Messages that the broker has."""
        return len(self.accounting.expected)

    @property
    def complete(self) -> bool:
        """Whether every message was sent and has its results."""
        # The cheap comparisons come first: this is asked all the time.
        return self.delivered == self.total == self.accounting.answered and self.accounting.adds_up

    @property
    def seconds(self) -> float:
        """From the first message to the last result so far."""
        return max(self.last_result_s - self.started_s, 0.0)

    def follow(self, packets: Sequence[Packet]) -> Iterator[None]:
        """Send packets and read results, for ever; yields often, for whoever shows the progress.

        Raises
        ------
        FatalError
            A part of the service ended, or alerts wait for their results and none comes.
        """
        self.total = len(packets)
        self.started_s = self.last_result_s = time.monotonic()

        def delivered(tag: int, position: MessagePosition) -> None:
            self.accounting.expect(position, packets[tag].n_alerts)

        writer = TopicWriter(self.stack.kafka_options, on_delivered=delivered)
        topics = {survey: self.stack.names.survey_topic(survey) for survey in self.stack.surveys}
        sender = Sender(packets, topics, writer, self.rate_hz)
        with self._reader() as reader:
            while True:
                sender.step()
                writer.poll(timedelta(0))
                self._read(reader)
                self._check_progress()
                yield

    def _reader(self) -> TopicReader:
        names = self.stack.names
        topics = [names.output_topic, names.rejected_topic]
        return TopicReader(self.stack.kafka_options, topics, from_beginning=True)

    def _read(self, reader: TopicReader) -> None:
        for record in reader.read(POLL):
            result = self.accounting.add(record)
            self.last_result_s = time.monotonic()
            if result is not None:
                self.latest.appendleft(result)

    def _check_progress(self) -> None:
        self.stack.check()
        silent_s = time.monotonic() - self.last_result_s
        if not self.complete and self.delivered == self.total and silent_s > STALL.total_seconds():
            missing = self.total - self.accounting.answered
            raise FatalError(f"{missing} alerts have no result, and none came for {silent_s:.0f} s")

    def audit(self) -> None:
        """Count everything anew from the topics, when the workers have committed all they read.

        A result that came twice after all had one would otherwise go unseen.

        Raises
        ------
        FatalError
            The workers did not commit, or a topic could not be read to its end.
        """
        deadline = time.monotonic() + STALL.total_seconds()
        while not self._all_committed():
            self._check_in_time(deadline, "the workers have not committed every alert")
        fresh = ResultAccounting(self.stack.names.rejected_topic, self.accounting.expected)
        with self._reader() as reader:
            while not reader.at_end:
                for record in reader.read(POLL):
                    fresh.add(record)
                self._check_in_time(deadline, "the results could not be read to their end")
        self.accounting = fresh

    def _check_in_time(self, deadline: float, problem: str) -> None:
        self.stack.check()
        if time.monotonic() > deadline:
            raise FatalError(f"{problem} within {STALL.total_seconds():.0f} s")

    def _all_committed(self) -> bool:
        ends: dict[tuple[str, int], int] = {}
        for topic, partition, offset in self.accounting.expected:
            ends[topic, partition] = max(ends.get((topic, partition), 0), offset + 1)
        group = self.stack.names.group_id
        committed = committed_offsets(self.stack.kafka_options, group, list(ends))
        return all(committed[partition] >= end for partition, end in ends.items())
