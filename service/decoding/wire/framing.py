"""Message framing: recognised by the first bytes, it tells where the records are.

Three framings occur: an Avro Object Container File (ZTF, and files of every survey), Confluent's prefix of
0x00 and a four-byte big-endian schema id (LSST), and a bare Avro record (ELAsTiCC). Every length is checked
against the number of bytes that are left before it is used.
"""

import zlib
from dataclasses import dataclass
from enum import Enum, auto

import cramjam

from service.errors import RejectedAlertError, RejectionCode

__all__ = [
    "CONFLUENT_PREFIX_BYTES",
    "CONTAINER_MAGIC",
    "SYNC_BYTES",
    "Block",
    "Container",
    "Framing",
    "framing_of",
    "open_container",
    "schema_id_of",
]

CONTAINER_MAGIC = b"Obj\x01"
"""Avro specification 1.11, "Object Container Files"."""

CONFLUENT_MAGIC = 0
CONFLUENT_PREFIX_BYTES = 5
SYNC_BYTES = 16
MAX_VARINT_BYTES = 10
SNAPPY_CHECKSUM_BYTES = 4


class Framing(Enum):
    """How a message wraps its records."""

    CONTAINER = auto()
    CONFLUENT = auto()
    BARE = auto()


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive records of one schema.

    Attributes
    ----------
    data
        The decompressed bytes that contain them.
    start, end
        Bounds of the records in `data`.
    n_records
        Number of records.
    """

    data: bytes
    start: int
    end: int
    n_records: int


@dataclass(frozen=True, slots=True)
class Container:
    """An opened Object Container File.

    Attributes
    ----------
    schema_text
        The writer's schema, JSON.
    header
        The bytes before the sync marker, which are equal in all files of one writer, schema and codec.
    is_compressed
        Whether blocks are compressed.
    blocks
        The records.
    """

    schema_text: bytes
    header: bytes
    is_compressed: bool
    blocks: tuple[Block, ...]


def framing_of(value: bytes) -> Framing:
    """Return the framing of a message, as indicated by its first bytes.

    A bare record may also begin with a zero byte (an id of 0, which no survey uses). Callers that expect bare
    records should try Confluent's framing first and fall back if the schema id is unknown.

    Parameters
    ----------
    value
        The message.
    """
    if value.startswith(CONTAINER_MAGIC):
        return Framing.CONTAINER
    if len(value) >= CONFLUENT_PREFIX_BYTES and value[0] == CONFLUENT_MAGIC:
        return Framing.CONFLUENT
    return Framing.BARE


def schema_id_of(value: bytes) -> int:
    """Return the schema id of a message in Confluent framing.

    Parameters
    ----------
    value
        The message.

    Returns
    -------
    int
        For LSST, 100 * major + minor version.
    """
    return int.from_bytes(value[1:CONFLUENT_PREFIX_BYTES], "big")


def open_container(value: bytes, max_bytes: int) -> Container:
    """Parse an Object Container File (Avro specification 1.11).

    Parameters
    ----------
    value
        The whole file.
    max_bytes
        Limit on the total size of its blocks after decompression.

    Raises
    ------
    RejectedAlertError
        ``malformed`` if a length, count or checksum is wrong, ``framing`` for a codec other than null,
        deflate and snappy, ``too_large`` beyond `max_bytes`.
    """
    cursor = _Cursor(value, len(CONTAINER_MAGIC))
    metadata = _metadata(cursor)
    header = value[: cursor.position]
    sync = cursor.take(SYNC_BYTES, "the sync marker")
    try:
        schema_text = metadata[b"avro.schema"]
    except KeyError:
        raise _malformed("the container's header has no avro.schema") from None
    codec = metadata.get(b"avro.codec", b"null")
    blocks: list[Block] = []
    while cursor.position < len(value):
        blocks.append(_block(cursor, codec, max_bytes, sync))
        max_bytes -= blocks[-1].end - blocks[-1].start
    if not any(block.n_records for block in blocks):
        raise _malformed("the container has no records")
    return Container(schema_text, header, codec != b"null", tuple(blocks))


class _Cursor:
    """A position in a message, with bounds checking."""

    __slots__ = ("position", "value")

    def __init__(self, value: bytes, position: int) -> None:
        self.value = value
        self.position = position

    def long(self, what: str) -> int:
        """Read one Avro long: a zigzag varint of at most 64 bits.

        Parameters
        ----------
        what
            Name of the number, for messages.
        """
        result, shift, start = 0, 0, self.position
        for position in range(start, min(start + MAX_VARINT_BYTES, len(self.value))):
            byte = self.value[position]
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                self.position = position + 1
                result &= 0xFFFF_FFFF_FFFF_FFFF
                return (result >> 1) ^ -(result & 1)
            shift += 7
        raise _malformed(f"{what} at byte {start} is truncated or not a number")

    def take(self, size: int, what: str) -> bytes:
        """Return the next `size` bytes.

        Parameters
        ----------
        size, what
            Number of bytes, and their name for messages.
        """
        start = self.skip(size, what)
        return self.value[start : start + size]

    def skip(self, size: int, what: str) -> int:
        """Skip `size` bytes and return where they begin.

        Parameters
        ----------
        size, what
            Number of bytes, and their name for messages.
        """
        start, left = self.position, len(self.value) - self.position
        if not 0 <= size <= left:
            raise _malformed(f"{what} at byte {start} has {size} bytes, but only {left} are left")
        self.position = start + size
        return start


def _malformed(message: str) -> RejectedAlertError:
    return RejectedAlertError(RejectionCode.MALFORMED, message)


def _metadata(cursor: _Cursor) -> dict[bytes, bytes]:
    """Read the file metadata, a map of bytes."""
    metadata: dict[bytes, bytes] = {}
    while n_entries := cursor.long("the header's entry count"):
        if n_entries < 0:  # the size of the block in bytes follows, which is not needed
            n_entries = -n_entries
            cursor.long("the header's block size")
        if n_entries > len(cursor.value) - cursor.position:
            raise _malformed(f"the container's header claims {n_entries} entries, more than bytes are left")
        for _ in range(n_entries):
            key = cursor.take(cursor.long("a header key's length"), "a header key")
            metadata[key] = cursor.take(cursor.long("a header value's length"), "a header value")
    return metadata


def _block(cursor: _Cursor, codec: bytes, max_bytes: int, sync: bytes) -> Block:
    """Read one block and the sync marker after it."""
    n_records = cursor.long("a block's record count")
    size = cursor.long("a block's size")
    start = cursor.skip(size, "a block")
    end = cursor.position
    if cursor.take(SYNC_BYTES, "a block's sync marker") != sync:
        raise _malformed(f"the sync marker at byte {end} differs from the header's")
    if codec == b"null":
        block = Block(cursor.value, start, end, n_records)
    else:
        data = _decompress(cursor.value[start:end], codec, max_bytes)
        block = Block(data, 0, len(data), n_records)
    if not 0 <= n_records <= block.end - block.start:
        raise _malformed(f"a block claims {n_records} records in {block.end - block.start} bytes")
    return block


def _decompress(data: bytes, codec: bytes, max_bytes: int) -> bytes:
    if codec == b"deflate":
        return _inflate(data, max_bytes)
    if codec == b"snappy":
        return _unsnap(data, max_bytes)
    raise RejectedAlertError(RejectionCode.FRAMING, f"codec {codec!r:.40} is not supported")


def _too_large(max_bytes: int) -> RejectedAlertError:
    return RejectedAlertError(RejectionCode.TOO_LARGE, f"a block exceeds {max_bytes} bytes when decompressed")


def _inflate(data: bytes, max_bytes: int) -> bytes:
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        result = decompressor.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise _malformed(f"a block is not valid deflate data: {error}") from error
    if len(result) > max_bytes:
        raise _too_large(max_bytes)
    # Trailing bytes are allowed: some writers append part of the zlib checksum.
    if not decompressor.eof:
        raise _malformed("a deflate block is truncated")
    return result


def _unsnap(data: bytes, max_bytes: int) -> bytes:
    if len(data) <= SNAPPY_CHECKSUM_BYTES:
        raise _malformed("a snappy block is too short")
    compressed, checksum = data[:-SNAPPY_CHECKSUM_BYTES], data[-SNAPPY_CHECKSUM_BYTES:]
    if _snappy_length(compressed) > max_bytes:
        raise _too_large(max_bytes)
    try:
        result = bytes(cramjam.snappy.decompress_raw(compressed))
    except cramjam.DecompressionError as error:
        raise _malformed(f"a block is not valid snappy data: {error}") from error
    if zlib.crc32(result) != int.from_bytes(checksum, "big"):
        raise _malformed("a snappy block's checksum does not match")
    return result


def _snappy_length(compressed: bytes) -> int:
    """Return the decompressed length of raw snappy data, a varint in its first bytes."""
    length = 0
    for shift, byte in zip(range(0, 35, 7), compressed, strict=False):
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return length
    raise _malformed("a snappy block has no valid length")
