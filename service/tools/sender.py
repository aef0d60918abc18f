"""Send packets to Kafka at a given rate."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from service.core.alerts import Survey
from service.kafka.topic_writer import TopicWriter
from service.tools.packets import Packet

__all__ = ["Sender", "send_all"]

PACKETS_PER_STEP = 200  # the caller has other things to do between steps
POLL = timedelta(milliseconds=5)


@dataclass(slots=True)
class Sender:
    """Sends packets in order as they fall due; the tag of each is its index.

    Parameters
    ----------
    packets
        What to send.
    topics
        Topic of each survey.
    writer
        The producer.
    rate_hz
        Packets per second; 0 for as fast as possible.
    """

    packets: Sequence[Packet]
    topics: Mapping[Survey, str]
    writer: TopicWriter
    rate_hz: float = 0.0
    sent: int = 0
    _started_s: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> bool:
        """Whether every packet has been handed to the producer."""
        return self.sent == len(self.packets)

    def step(self) -> None:
        """Hand packets that are due to the producer.

        Raises
        ------
        BrokerUnavailableError
            The broker does not accept them.
        """
        for index in range(self.sent, min(self._due(), self.sent + PACKETS_PER_STEP)):
            packet = self.packets[index]
            self.writer.write(self.topics[packet.survey], packet.read(), index)
            self.sent = index + 1

    def _due(self) -> int:
        if not self.rate_hz:
            return len(self.packets)
        elapsed_s = time.monotonic() - self._started_s
        return min(len(self.packets), 1 + int(elapsed_s * self.rate_hz))


def send_all(sender: Sender, advance: Callable[[int], None]) -> int:
    """Send every packet and wait until the broker has them.

    Parameters
    ----------
    sender
        What to send, and how.
    advance
        Called with the number of further packets that were delivered.

    Returns
    -------
    int
        Number of packets delivered.

    Raises
    ------
    BrokerUnavailableError
        The broker does not accept them.
    """
    n_reported = 0

    def report() -> None:
        nonlocal n_reported
        advance(sender.writer.delivered - n_reported)
        n_reported = sender.writer.delivered

    while not sender.done:
        sender.step()
        sender.writer.poll(POLL)
        report()
    sender.writer.flush()
    report()
    return sender.writer.delivered
