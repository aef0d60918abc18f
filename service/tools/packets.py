"""Alert packets in files: which there are, whose they are, how many alerts each holds, and when."""

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

__all__ = ["Packet", "PacketSet", "find_packets", "in_time_order", "packets_of_archive", "shipped_packets"]

PACKET_SUFFIX = ".avro"
SHIPPED_ARCHIVE = "demo_packets.tar.xz"
MAX_BYTES = 16 * 2**20

# LSST's schema ids are 100 * major + minor, from 7.0 on.
LSST_SCHEMA_IDS = range(700, 10_000)

# A field that only this survey's schemas have, whatever their version.
TELLING_FIELDS = (
    (b'"candid"', Survey.ZTF),
    (b'"midpointMjdTai"', Survey.LSST),
    (b'"midPointTai"', Survey.ELASTICC),
)

# ZTF's schema, the longest, takes up to 27 kB.
SCHEMA_TEXT_BYTES = 2**16

TIME_BATCH = 256

# Compiling takes up to 12 s the first time, reading a packet record by record about 1 ms.
WORTH_COMPILING = 10_000


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet, that is one Kafka message.

    Attributes
    ----------
    name
        Where it comes from, for people.
    survey
        Whose it is, as far as its bytes or its place tell.
    n_alerts
        Records in it; 1 where it cannot be told.
    read
        Gives its bytes, exactly as the survey sends them.
    """

    name: str
    survey: Survey
    n_alerts: int
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class PacketSet:
    """Packets to send, the files left out because they are none, whether the order is that of time."""

    packets: tuple[Packet, ...]
    skipped: tuple[Path, ...] = ()
    in_time_order: bool = False

    def surveys(self) -> list[Survey]:
        """List the surveys that occur."""
        return sorted({packet.survey for packet in self.packets})


def find_packets(paths: Sequence[Path]) -> PacketSet:
    """Find the packets among files and below directories.

    A file is a packet if it is named ``*.avro`` or begins as a survey's packet does; a damaged packet
    counts, a README or a schema does not.

    Parameters
    ----------
    paths
        Files and directories; hidden files and directories below them are left out.

    Raises
    ------
    InputError
        A path does not exist, or no packet is there.
    """
    packets: list[Packet] = []
    skipped: list[Path] = []
    for path in _files(paths):
        value = path.read_bytes()
        if path.suffix == PACKET_SUFFIX or _begins_as_packet(value):
            packets.append(_inspect(str(path), value, path.read_bytes))
        else:
            skipped.append(path)
    if not packets:
        raise InputError(f"no alert packets below {', '.join(map(str, paths))}: they are files named *.avro")
    return PacketSet(tuple(packets), tuple(skipped))


def shipped_packets() -> PacketSet:
    """Read the simulated packets that come with the service."""
    with as_file(files("service.embedded") / SHIPPED_ARCHIVE) as archive:
        return packets_of_archive(archive)


def packets_of_archive(path: Path) -> PacketSet:
    """Read the packets of a tar archive, which are in the order of time; they are held in memory."""
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

    Packets of one time, and undecodable ones, keep their order.

    Parameters
    ----------
    packets
        In any order.
    schema_dir
        Further schemas, as for the service.
    """
    decoder = Decoder(SchemaStore(schema_dir), compiled=len(packets) > WORTH_COMPILING)
    times = np.concatenate(
        [_times(packets[start : start + TIME_BATCH], decoder) for start in range(0, len(packets), TIME_BATCH)]
        or [np.empty(0)]
    )
    return tuple(packets[index] for index in np.argsort(times, kind="stable"))


def _times(packets: Sequence[Packet], decoder: Decoder) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Time of each packet's first alert, MJD TAI; infinity where it has none."""
    alerts = decoder.decode([RawMessage(packet.read(), packet.survey) for packet in packets]).alerts
    times = np.full(len(packets), np.inf)
    np.minimum.at(times, alerts.message, alerts.mjd_tai)
    return times


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            below = (file for file in path.rglob("*") if file.is_file())
            yield from sorted(file for file in below if not _is_hidden(file.relative_to(path)))
        elif path.is_file():
            yield path
        else:
            raise InputError(f"no such file or directory: {path}")


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _begins_as_packet(value: bytes) -> bool:
    return value.startswith(CONTAINER_MAGIC) or _is_lsst_wire(value)


def _is_lsst_wire(value: bytes) -> bool:
    return framing_of(value) is Framing.CONFLUENT and schema_id_of(value) in LSST_SCHEMA_IDS


def _inspect(name: str, value: bytes, read: Callable[[], bytes]) -> Packet:
    try:
        container = open_container(value, MAX_BYTES) if framing_of(value) is Framing.CONTAINER else None
    except RejectedAlertError:
        container = None
    n_alerts = sum(block.n_records for block in container.blocks) if container else 1
    # Of a container damaged somewhere, the text of the schema may still be there.
    schema_text = container.schema_text if container else value[:SCHEMA_TEXT_BYTES]
    return Packet(name, _survey_of(value, schema_text, Path(name)), n_alerts, read)


def _survey_of(value: bytes, schema_text: bytes, path: Path) -> Survey:
    """Tell whose packet it is: by LSST's prefix, by its schema, else by a directory's name.

    A bare body says nothing of itself; it is ELAsTiCC's, the only survey that sends them, unless it lies
    in another survey's directory: then it is a damaged packet of that one.
    """
    if _is_lsst_wire(value):
        return Survey.LSST
    if framing_of(value) is Framing.CONTAINER:
        found = _survey_of_schema(schema_text)
        if found is not None:
            return found
    named = {survey.value: survey for survey in Survey}
    return next((named[part] for part in reversed(path.parts[:-1]) if part in named), Survey.ELASTICC)


@lru_cache(maxsize=64)
def _survey_of_schema(schema_text: bytes) -> Survey | None:
    return next((survey for field, survey in TELLING_FIELDS if field in schema_text), None)
