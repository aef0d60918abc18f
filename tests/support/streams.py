"""Alert packets as streams of messages, real ones and simulated ones."""

from collections.abc import Iterable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import fastavro
import numpy as np

from service.core.alerts import Survey
from service.core.ports.messages import SourceMessage
from service.tools.packets import find_packets, shipped_packets

__all__ = ["TOPICS", "container_of", "real_packets", "simulated_packets", "source_messages"]

TOPICS = {Survey.ZTF: "ztf", Survey.LSST: "lsst", Survey.ELASTICC: "elasticc"}

Packets = Sequence[tuple[Survey, bytes]]


@cache
def simulated_packets() -> Packets:
    """Give the packets that come with the service, ZTF's and LSST's, in order of time."""
    return tuple((packet.survey, packet.read()) for packet in shipped_packets().packets)


def real_packets(shared: Path) -> Packets:
    """Give every real packet of the test material; the synthetic ones of LSST hold no physical values."""
    packets = find_packets([shared / "alerts" / survey.value for survey in Survey]).packets
    real = [packet for packet in packets if "synthetic" not in Path(packet.name).parts]
    return tuple((packet.survey, packet.read()) for packet in real)


def source_messages(
    packets: Iterable[tuple[Survey, bytes]], *, partitions: int = 1, seed: int | None = None
) -> list[SourceMessage]:
    """Put packets into topics as a broker would, on partitions drawn by `seed` or in turn."""
    generator = None if seed is None else np.random.default_rng(seed)
    ends: dict[tuple[str, int], int] = {}
    messages = []
    for index, (survey, value) in enumerate(packets):
        partition = index % partitions if generator is None else int(generator.integers(partitions))
        place = TOPICS[survey], partition
        messages.append(
            SourceMessage(
                *place, ends.get(place, 0), 1_700_000_000_000 + index, b"key" if index % 2 else None, value
            )
        )
        ends[place] = ends.get(place, 0) + 1
    return messages


def container_of(packets: Iterable[bytes]) -> bytes:
    """Put the records of several containers of one schema into one container."""
    readers = [fastavro.reader(BytesIO(packet)) for packet in packets]
    output = BytesIO()
    fastavro.writer(output, readers[0].writer_schema, [record for reader in readers for record in reader])
    return output.getvalue()
