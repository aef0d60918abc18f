"""Packets on their way to Kafka, at a given rate."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.core.alerts import Survey
from service.kafka.topic_writer import TopicWriter
from service.tools.packets import Packet

__all__ = ["Sender"]

AT_MOST = 200  # packets a step, so that whoever steps can do other things between


@dataclass(slots=True)
class Sender:
    """Sends packets in order, as many as are due; each one's tag is its index.

    Parameters
    ----------
    packets
        What to send.
    topics
        Where each survey's go.
    writer
        How.
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
        """Whether all have been handed over."""
        return self.sent == len(self.packets)

    def step(self) -> None:
        """Hand over those that are due.

        Raises
        ------
        BrokerUnavailableError
            The broker does not take them.
        """
        for index in range(self.sent, min(self._due(), self.sent + AT_MOST)):
            packet = self.packets[index]
            self.writer.write(self.topics[packet.survey], packet.read(), index)
            self.sent = index + 1

    def _due(self) -> int:
        if not self.rate_hz:
            return len(self.packets)
        elapsed_s = time.monotonic() - self._started_s
        return min(len(self.packets), 1 + int(elapsed_s * self.rate_hz))
