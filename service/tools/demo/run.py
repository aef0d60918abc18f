"""One run of the demo: send alerts, follow the results, and count everything at the end."""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from service.core.ports.messages import MessagePosition
from service.errors import FatalError
from service.kafka.topic_reader import TopicReader
from service.tools.demo.accounting import ResultAccounting
from service.tools.demo.stack import Stack
from service.tools.packets import Packet, PacketSet, in_time_order
from service.tools.sender import Sender
from service.wiring.tools import KafkaClients

__all__ = ["DemoRun", "View"]

POLL = timedelta(milliseconds=50)
N_LATEST = 12
STALL_TIMEOUT = timedelta(minutes=5)  # first results take up to a minute: the workers compile their kernels


class View(Protocol):
    """Shows a run to the user."""

    def report(self, step: str) -> None:
        """Show what is being done.

        Parameters
        ----------
        step
            A few words; an empty text shows nothing.
        """

    def show(self, run: "DemoRun") -> None:
        """Show the progress of a run.

        Parameters
        ----------
        run
            The run.
        """


@dataclass(slots=True)
class DemoRun:
    """The packets sent and their results.

    Parameters
    ----------
    stack
        The service, which must be running when the run starts.
    rate_hz
        Packets per second; 0 for as fast as possible.

    Attributes
    ----------
    accounting
        Counts messages and results.
    latest
        The latest classifications, newest first.
    total
        Number of packets to send.
    started_s, last_result_s
        `time.monotonic` of the first message and of the latest result.
    """

    stack: Stack
    rate_hz: float
    accounting: ResultAccounting = field(init=False)
    latest: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=N_LATEST))
    total: int = 0
    started_s: float = 0.0
    last_result_s: float = 0.0

    def __post_init__(self) -> None:
        self.accounting = ResultAccounting(self.stack.names.rejected_topic)

    @property
    def delivered(self) -> int:
        """Number of messages that the broker has received."""
        return len(self.accounting.expected)

    @property
    def complete(self) -> bool:
        """Whether every message was sent and has its results."""
        # The cheap comparisons come first: this is evaluated all the time.
        return self.delivered == self.total == self.accounting.answered and self.accounting.adds_up

    @property
    def seconds(self) -> float:
        """Seconds from the first message to the latest result."""
        return max(self.last_result_s - self.started_s, 0.0)

    def replay(
        self, packets: PacketSet, schema_dir: Path | None, view: View, *, until_complete: bool
    ) -> None:
        """Send packets in the order of their times and show the results.

        Parameters
        ----------
        packets
            What to send.
        schema_dir
            Directory of further schemas.
        view
            Shows the progress.
        until_complete
            Stop once every alert has its result and recount them; otherwise run until interrupted.

        Raises
        ------
        FatalError
            A part of the service ended, or results are missing.
        """
        ordered = packets.packets
        if not packets.in_time_order:
            view.report("sorting the alerts by time")
            ordered = in_time_order(ordered, schema_dir)
        for _ in self.follow(ordered):
            view.show(self)
            if until_complete and self.complete:
                break
        self.audit()

    def follow(self, packets: Sequence[Packet]) -> Iterator[None]:
        """Send packets and read results, forever; yield often, so that the caller can show the progress.

        Parameters
        ----------
        packets
            What to send, in order.

        Raises
        ------
        FatalError
            A part of the service ended, or results are missing and none arrives.
        """
        self.total = len(packets)
        self.started_s = self.last_result_s = time.monotonic()

        def delivered(tag: int, position: MessagePosition) -> None:
            self.accounting.expect(position, packets[tag].n_alerts)

        writer = self._clients.topic_writer(delivered)
        topics = {survey: self.stack.names.survey_topic(survey) for survey in self.stack.surveys}
        sender = Sender(packets, topics, writer, self.rate_hz)
        with self._reader() as reader:
            while True:
                sender.step()
                writer.poll(timedelta(0))
                self._read(reader)
                self._check_progress()
                yield

    @property
    def _clients(self) -> KafkaClients:
        return KafkaClients(self.stack.kafka_options)

    def _reader(self) -> TopicReader:
        names = self.stack.names
        return self._clients.topic_reader([names.output_topic, names.rejected_topic], from_beginning=True)

    def _read(self, reader: TopicReader) -> None:
        for record in reader.read(POLL):
            result = self.accounting.add(record)
            self.last_result_s = time.monotonic()
            if result is not None:
                self.latest.appendleft(result)

    def _check_progress(self) -> None:
        self.stack.check()
        silent_s = time.monotonic() - self.last_result_s
        if not self.complete and self.delivered == self.total and silent_s > STALL_TIMEOUT.total_seconds():
            missing = self.total - self.accounting.answered
            raise FatalError(f"{missing} alerts have no result, and none arrived for {silent_s:.0f} s")

    def audit(self) -> None:
        """Recount everything from the topics, once the workers have committed all they read.

        Otherwise a second result would go unnoticed if it arrived after every alert had its first.

        Raises
        ------
        FatalError
            The workers did not commit, or a topic could not be read to its end in time.
        """
        deadline = time.monotonic() + STALL_TIMEOUT.total_seconds()
        while not self._all_committed():
            self._check_in_time(deadline, "the workers have not committed every alert")
        recount = ResultAccounting(self.stack.names.rejected_topic, self.accounting.expected)
        with self._reader() as reader:
            while not reader.at_end:
                for record in reader.read(POLL):
                    recount.add(record)
                self._check_in_time(deadline, "the results could not be read to their end")
        self.accounting = recount

    def _check_in_time(self, deadline: float, problem: str) -> None:
        self.stack.check()
        if time.monotonic() > deadline:
            raise FatalError(f"{problem} within {STALL_TIMEOUT.total_seconds():.0f} s")

    def _all_committed(self) -> bool:
        ends: dict[tuple[str, int], int] = {}
        for topic, partition, offset in self.accounting.expected:
            ends[topic, partition] = max(ends.get((topic, partition), 0), offset + 1)
        group = self.stack.names.group_id
        committed = self._clients.committed_offsets(group, list(ends))
        return all(committed[partition] >= end for partition, end in ends.items())
