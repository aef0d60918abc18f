"""Simulated light curves as a stream of alert packets, in the surveys' own formats.

There is one packet for each detection, in order of time. It contains what the survey knew at that moment:
the history of the last thirty days (ZTF) or year (LSST), forced photometry and upper limits. The stream also
has asteroids and spurious detections, as real ones do.
"""

import lzma
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np

from service.core.alerts import Kind, Survey
from training.simulation.light_curves import SimulatedLightCurves
from training.simulation.packets.lsst import LsstObject
from training.simulation.packets.ztf import ZtfObject

__all__ = ["CUTOUTS", "Packet", "PacketObject", "make_packets", "shifted", "write_packets"]

CUTOUTS: dict[str, dict[Survey, tuple[int, ...]]] = {
    "none": {Survey.ZTF: (), Survey.LSST: ()},
    "small": {Survey.ZTF: (32, 32, 32), Survey.LSST: (32, 32, 32)},
    # Science, template, difference. ZTF: what brings a packet, whose schema is shorter here than the
    # survey's own of 22 kB, to the usual 72 kB; LSST: as in its packets.
    "full": {Survey.ZTF: (19_000, 18_000, 21_000), Survey.LSST: (34_560, 43_200, 34_560)},
}
"""Sizes of the image stamps in bytes; their contents are random."""


@dataclass(frozen=True, slots=True)
class Packet:
    """An alert packet.

    Attributes
    ----------
    survey
        Whose format it has.
    object_id
        The survey's name of the object.
    mjd_tai
        Time of the detection.
    value
        The serialised packet.
    """

    survey: Survey
    object_id: str
    mjd_tai: float
    value: bytes


class PacketObject(Protocol):
    """An object that can write the packet of any of its detections.

    `ZtfObject` and `LsstObject` have the same constructors: ``of(light_curves, index, rng, cutout_bytes)``,
    ``asteroid(number, span_mjd, rng, cutout_bytes)`` and ``spurious(span_mjd, rng, cutout_bytes)``, where
    `rng` is the source of randomness, `span_mjd` bounds the time of the detection and `cutout_bytes` are the
    sizes of the image stamps.
    """

    @property
    def survey(self) -> Survey:
        """Whose format its packets have."""

    @property
    def object_id(self) -> str:
        """The survey's name of the object."""

    @property
    def alert_mjd_tai(self) -> Sequence[float]:
        """Times of its alerts, ascending."""

    def encode(self, alert: int) -> bytes:
        """Return the packet of an alert, given its index in `alert_mjd_tai`.

        Parameters
        ----------
        alert
            Index in `alert_mjd_tai`.
        """


def make_packets(
    samples: Sequence[tuple[Survey, SimulatedLightCurves]],
    seed: int,
    cutouts: str = "none",
    extras: bool = True,
) -> Iterator[Packet]:
    """Generate the packets of light curves.

    Parameters
    ----------
    samples
        Pairs of a survey, whose format is written, and light curves with all kinds of rows.
    seed
        Of everything in a packet except the photometry; equal seeds give equal bytes.
    cutouts
        A key of `CUTOUTS`.
    extras
        Add asteroids (one for each eight objects) and spurious detections (one for each sixteen).

    Yields
    ------
    Packet
        In order of time. One packet is encoded at a time, so that any number fits in memory.
    """
    objects: list[PacketObject] = []
    for survey, light_curves in samples:
        objects.extend(_objects(light_curves, survey, seed, cutouts, extras=extras))
    times = [
        (mjd, index, alert)
        for index, packet_object in enumerate(objects)
        for alert, mjd in enumerate(packet_object.alert_mjd_tai)
    ]
    for mjd, index, alert in sorted(times):
        source = objects[index]
        yield Packet(source.survey, source.object_id, mjd, source.encode(alert))


def shifted(
    light_curves: SimulatedLightCurves, start_mjd_tai: float, days: float, seed: int
) -> SimulatedLightCurves:
    """Return light curves moved by whole days, so that all triggers fall into a short period.

    Parameters
    ----------
    light_curves
        Of any dates.
    start_mjd_tai, days
        First day of the period, and its length.
    seed
        Of the new dates.
    """
    rng = np.random.default_rng([seed, 7])
    target = start_mjd_tai + rng.uniform(0, days, len(light_curves))
    move = np.floor(target - light_curves.trigger_mjd_tai)
    rows = np.repeat(move, np.diff(light_curves.offsets))
    return replace(
        light_curves,
        trigger_mjd_tai=light_curves.trigger_mjd_tai + move,
        mjd_tai=light_curves.mjd_tai + rows,
    )


def write_packets(packets: Iterable[Packet], output: Path) -> int:
    """Write packets as files named by their order: into a directory, or an archive ``*.tar.xz``.

    Parameters
    ----------
    packets
        In the order of the file names.
    output
        Directory (made where missing) or archive.

    Returns
    -------
    int
        Number of packets.
    """
    named = ((f"{i:06d}-{p.survey}-{p.object_id}.avro", p.value) for i, p in enumerate(packets))
    if output.name.endswith(".tar.xz"):
        return _write_archive(named, output)
    output.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, value in named:
        (output / name).write_bytes(value)
        count += 1
    return count


def _write_archive(named: Iterable[tuple[str, bytes]], output: Path) -> int:
    """Write an archive without times or owners; compression is good, as histories repeat."""
    count = 0
    with lzma.open(output, "wb", preset=9) as stream, tarfile.open(fileobj=stream, mode="w") as archive:
        for name, value in named:
            entry = tarfile.TarInfo(name)
            entry.size = len(value)
            archive.addfile(entry, BytesIO(value))
            count += 1
    return count


def _objects(
    light_curves: SimulatedLightCurves, survey: Survey, seed: int, cutouts: str, *, extras: bool
) -> Iterator[PacketObject]:
    """Yield all objects; each has its own random numbers."""
    sizes = CUTOUTS[cutouts][survey]
    kind: type[ZtfObject] | type[LsstObject] = ZtfObject if survey is Survey.ZTF else LsstObject
    count = len(light_curves)
    number_of_survey = list(Survey).index(survey)
    for index in range(count):
        rng = np.random.default_rng([seed, number_of_survey, 0, index])
        rows = slice(light_curves.offsets[index], light_curves.offsets[index + 1])
        if np.any(light_curves.kind[rows] == Kind.DETECTION):
            yield kind.of(light_curves, index, rng, sizes)
    if not extras or not count:
        return
    span = (float(light_curves.trigger_mjd_tai.min()), float(light_curves.mjd_tai.max()))
    for number in range(count // 8):
        rng = np.random.default_rng([seed, number_of_survey, 1, number])
        yield kind.asteroid(number, span, rng, sizes)
    for number in range(count // 16):
        rng = np.random.default_rng([seed, number_of_survey, 2, number])
        yield kind.spurious(span, rng, sizes)
