"""Alert packets in files: their survey, number of alerts and order in time."""

import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from service.core.alerts import Survey
from service.decoding.decoder import Decoder, RawMessage
from service.decoding.wire.framing import CONTAINER_MAGIC, Framing, framing_of, open_container, schema_id_of
from service.decoding.wire.schemas import SchemaStore
from service.errors import InputError, RejectedAlertError

__all__ = [
    "Packet",
    "PacketSet",
    "find_packets",
    "in_time_order",
    "packets_of_archive",
    "packets_of_survey",
    "shipped_packets",
]

PACKET_SUFFIX = ".avro"
SHIPPED_ARCHIVE = "demo_packets.tar.xz"
MAX_PACKET_BYTES = 16 * 2**20

# LSST's schema ids are 100 * major + minor, from 7.0 on.
LSST_SCHEMA_IDS = range(700, 10_000)

# Fields that only one survey's schemas have, in every version.
MARKER_FIELDS = (
    (b'"candid"', Survey.ZTF),
    (b'"midpointMjdTai"', Survey.LSST),
    (b'"midPointTai"', Survey.ELASTICC),
)

# ZTF's schema, the longest, takes up to 27 kB.
SCHEMA_TEXT_BYTES = 2**16

TIME_BATCH = 256

# Compiling takes up to 12 s the first time, reading a packet record by record about 1 ms.
COMPILE_FROM = 10_000


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet, which is one Kafka message.

    Attributes
    ----------
    name
        Path of its file, for messages.
    survey
        Its survey, as far as its bytes or its directory tell.
    n_alerts
        Number of records in it; 1 where it cannot be determined.
    read
        Returns its bytes, exactly as the survey sends them.
    """

    name: str
    survey: Survey
    n_alerts: int
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class PacketSet:
    """Packets to send.

    Attributes
    ----------
    packets
        The packets.
    skipped
        Files that are not packets.
    in_time_order
        Whether the packets are sorted by the time of their alerts.
    """

    packets: tuple[Packet, ...]
    skipped: tuple[Path, ...] = ()
    in_time_order: bool = False

    def surveys(self) -> list[Survey]:
        """Return the surveys of the packets, sorted."""
        return sorted({packet.survey for packet in self.packets})


def find_packets(paths: Sequence[Path]) -> PacketSet:
    """Find packets among files and in directories, recursively.

    A file is a packet if it is named ``*.avro`` or starts like a survey's packet; a damaged packet counts, a
    README or a schema does not.

    Parameters
    ----------
    paths
        Files and directories; hidden files and directories in them are ignored.

    Returns
    -------
    PacketSet
        The packets, by path within each directory.

    Raises
    ------
    InputError
        A path does not exist, or there are no packets.
    """
    packets: list[Packet] = []
    skipped: list[Path] = []
    for path in _files(paths):
        value = path.read_bytes()
        if path.suffix == PACKET_SUFFIX or _starts_like_packet(value):
            packets.append(_inspect(str(path), value, path.read_bytes))
        else:
            skipped.append(path)
    if not packets:
        raise InputError(f"no alert packets in {', '.join(map(str, paths))}: expected files named *.avro")
    return PacketSet(tuple(packets), tuple(skipped))


def packets_of_survey(packets: PacketSet, survey: Survey | None) -> tuple[Packet, ...]:
    """Select the packets of one survey.

    Parameters
    ----------
    packets
        Packets of any surveys.
    survey
        The survey; None if all packets are expected to be of one.

    Returns
    -------
    tuple of Packet
        At least one.

    Raises
    ------
    InputError
        The survey has no packets, or none is given and there are several.
    """
    surveys = packets.surveys()
    if survey is None and len(surveys) > 1:
        raise InputError(f"these are packets of {', '.join(surveys)}: choose with --survey")
    selected = tuple(packet for packet in packets.packets if survey in {None, packet.survey})
    if not selected:
        raise InputError(f"there are no packets of {survey}, only of {', '.join(surveys)}")
    return selected


def shipped_packets() -> PacketSet:
    """Return the simulated packets that are part of the installation."""
    with as_file(files("service.tools.demo") / SHIPPED_ARCHIVE) as archive:
        return packets_of_archive(archive)


def packets_of_archive(path: Path) -> PacketSet:
    """Read the packets of a tar archive into memory.

    Parameters
    ----------
    path
        Archive whose members are in the order of time.
    """
    packets: list[Packet] = []
    with tarfile.open(path) as archive:
        for member in archive:
            opened = archive.extractfile(member)
            if opened is not None:
                packets.append(_in_memory(member.name, opened.read()))
    return PacketSet(tuple(packets), in_time_order=True)


def _in_memory(name: str, value: bytes) -> Packet:
    return _inspect(name, value, lambda: value)


def in_time_order(packets: Sequence[Packet], schema_dir: Path | None = None) -> tuple[Packet, ...]:
    """Sort packets by the time of their first alert; those that cannot be decoded go last.

    Packets of the same time, and undecodable ones, keep their order.

    Parameters
    ----------
    packets
        Packets in any order.
    schema_dir
        Directory of further schemas, as for the service.
    """
    decoder = Decoder(SchemaStore(schema_dir), compiled=len(packets) > COMPILE_FROM)
    times = np.concatenate(
        [_times(packets[start : start + TIME_BATCH], decoder) for start in range(0, len(packets), TIME_BATCH)]
        or [np.empty(0)]
    )
    return tuple(packets[index] for index in np.argsort(times, kind="stable"))


def _times(packets: Sequence[Packet], decoder: Decoder) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the time of each packet's first alert, MJD TAI, float64; infinity where it has none."""
    alerts = decoder.decode([RawMessage(packet.read(), packet.survey) for packet in packets]).alerts
    times = np.full(len(packets), np.inf)
    np.minimum.at(times, alerts.message, alerts.mjd_tai)
    return times


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            contained = (file for file in path.rglob("*") if file.is_file())
            yield from sorted(file for file in contained if not _is_hidden(file.relative_to(path)))
        elif path.is_file():
            yield path
        else:
            raise InputError(f"no such file or directory: {path}")


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _starts_like_packet(value: bytes) -> bool:
    return value.startswith(CONTAINER_MAGIC) or _is_lsst_wire(value)


def _is_lsst_wire(value: bytes) -> bool:
    return framing_of(value) is Framing.CONFLUENT and schema_id_of(value) in LSST_SCHEMA_IDS


def _inspect(name: str, value: bytes, read: Callable[[], bytes]) -> Packet:
    try:
        container = (
            open_container(value, MAX_PACKET_BYTES) if framing_of(value) is Framing.CONTAINER else None
        )
    except RejectedAlertError:
        container = None
    n_alerts = sum(block.n_records for block in container.blocks) if container else 1
    # A damaged container may still have the text of its schema.
    schema_text = container.schema_text if container else value[:SCHEMA_TEXT_BYTES]
    return Packet(name, _survey_of(value, schema_text, Path(name)), n_alerts, read)


def _survey_of(value: bytes, schema_text: bytes, path: Path) -> Survey:
    """Return the survey of a packet: by LSST's prefix, by its schema, else by the name of a directory.

    A bare body does not identify itself. It is ELAsTiCC's, the only survey that sends them, unless it is in
    another survey's directory: then it is a damaged packet of that survey.
    """
    if _is_lsst_wire(value):
        return Survey.LSST
    if framing_of(value) is Framing.CONTAINER:
        survey = _survey_of_schema(schema_text)
        if survey is not None:
            return survey
    by_name = {survey.value: survey for survey in Survey}
    return next((by_name[part] for part in reversed(path.parts[:-1]) if part in by_name), Survey.ELASTICC)


@lru_cache(maxsize=64)
def _survey_of_schema(schema_text: bytes) -> Survey | None:
    return next((survey for field, survey in MARKER_FIELDS if field in schema_text), None)
