"""A partition's log as it lies in the broker, with its transaction markers applied.

A broker tells readers of committed records which transactions were aborted, and the reader leaves their
records out. The embedded broker does not tell; but its log holds the markers, so whoever reads the log
itself can. Only what that needs of Kafka's protocol is here: Fetch version 4 and record batches version 2,
one broker, no security.
"""

import gzip
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, Self

import cramjam

from service.errors import BrokerUnavailableError

__all__ = ["EMBEDDED_CLUSTER_ID", "LogRecord", "TransactionLog"]

EMBEDDED_CLUSTER_ID = "tansu_cluster"
"""What the embedded broker calls its cluster; no other broker is known to need this module."""

FETCH, VERSION = 1, 4
TIMEOUT = timedelta(seconds=30)
MAX_BYTES = 2**20  # of an answer; one batch is given whatever its size

# https://kafka.apache.org/documentation/#recordbatch: baseOffset, batchLength, partitionLeaderEpoch, magic,
# crc, attributes, lastOffsetDelta, baseTimestamp, maxTimestamp, producerId, producerEpoch, baseSequence,
# number of records.
BATCH = struct.Struct(">qiibIhiqqqhii")
LENGTH_PREFIX_BYTES = 12  # baseOffset and batchLength are not counted in batchLength
COMPRESSION, TRANSACTIONAL, CONTROL = 0x07, 0x10, 0x20
COMMIT_MARKER = 1

DECOMPRESS: Mapping[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: gzip.decompress,
    3: lambda data: bytes(cramjam.lz4.decompress(data)),
    4: lambda data: bytes(cramjam.zstd.decompress(data)),
}


class LogRecord(NamedTuple):
    """One record that counts: written outside of transactions, or in one that was committed."""

    offset: int
    value: bytes
    headers: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class _Batch:
    end: int  # the offset after it
    attributes: int
    producer: int
    records: list[LogRecord]
    marker: int | None  # of a control batch, what it says


class TransactionLog:
    """Reads partitions of one broker.

    Parameters
    ----------
    address
        Its ``host:port``.

    Attributes
    ----------
    aborted
        Records met so far whose transaction was aborted.
    open_at
        Where the first transaction that the last reading found without an end begins; None where none.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = address
        self.aborted = 0
        self.open_at: int | None = None
        try:
            self._socket = socket.create_connection((host, int(port)), TIMEOUT.total_seconds())
        except OSError as error:
            raise BrokerUnavailableError(f"no answer from Kafka at {address}: {error}") from error

    def committed(self, topic: str, partition: int, span: range) -> Iterator[LogRecord]:
        """Give the committed records of a range of offsets, by their markers' order.

        The records of one transaction come when its marker is read; those of one whose marker lies beyond
        the range do not come.

        Raises
        ------
        BrokerUnavailableError
            The broker does not answer, or not as we know it.
        """
        waiting: dict[int, list[LogRecord]] = {}
        for batch in self._batches(topic, partition, span):
            if batch.marker is not None:
                records = waiting.pop(batch.producer, [])
                if batch.marker == COMMIT_MARKER:
                    yield from records
                else:
                    self.aborted += len(records)
            elif batch.attributes & TRANSACTIONAL:
                waiting.setdefault(batch.producer, []).extend(batch.records)
            else:
                yield from batch.records
        self.open_at = min((records[0].offset for records in waiting.values() if records), default=None)

    def end(self, topic: str, partition: int, offset: int) -> int:
        """Say where a partition ends, open transactions included, given an offset that it has.

        The embedded broker's own answer to that question is the beginning of the last batch and 1.
        """
        return self._fetch(topic, partition, offset, 1)[0]

    def _batches(self, topic: str, partition: int, span: range) -> Iterator[_Batch]:
        position = span.start
        while position < span.stop:
            _end, data = self._fetch(topic, partition, position)
            before = position
            for batch in _batches(data):
                if position < batch.end:  # else it was read: a fetch may begin in the middle of a batch
                    position = batch.end
                    yield batch
            if position == before:
                return  # the log ends here

    def _fetch(
        self, topic: str, partition: int, offset: int, max_bytes: int = MAX_BYTES
    ) -> tuple[int, bytes]:
        """Ask for batches from an offset on; gives the partition's end, and the batches."""
        name = topic.encode()
        body = struct.pack(">iiiib", -1, 100, 1, max_bytes, 0)  # no replica, 100 ms, 1 byte, uncommitted
        body += struct.pack(f">ih{len(name)}s", 1, len(name), name)
        body += struct.pack(">iiqi", 1, partition, offset, max_bytes)
        answer = _Reader(self._call(body))
        answer.skip(4 + 4 + 4)  # correlation id, throttling, one topic
        answer.skip(answer.unpack(">h"))
        answer.skip(4 + 4)  # one partition, its number
        error = answer.unpack(">h")
        if error:
            raise BrokerUnavailableError(f"cannot read {topic}:{partition}:{offset}: Kafka's error {error}")
        high_watermark = answer.unpack(">q")
        answer.skip(8)  # last stable offset
        answer.skip(16 * max(answer.unpack(">i"), 0))  # aborted transactions, which we find ourselves
        return high_watermark, answer.take(max(answer.unpack(">i"), 0))

    def _call(self, body: bytes) -> bytes:
        client = b"nightjar-tools"
        header = struct.pack(f">hhih{len(client)}s", FETCH, VERSION, 0, len(client), client)
        try:
            self._socket.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
            return self._receive(struct.unpack(">i", self._receive(4))[0])
        except OSError as error:
            raise BrokerUnavailableError(f"no answer from Kafka at {self._address}: {error}") from error

    def _receive(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._socket.recv(size - len(parts))
            if not part:
                raise ConnectionError("the connection was closed")
            parts += part
        return bytes(parts)

    def close(self) -> None:
        """Leave the broker."""
        self._socket.close()

    def __enter__(self) -> Self:
        """Use it in a with statement."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the broker."""
        self.close()


class _Reader:
    """A position in bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def skip(self, size: int) -> None:
        self._position += size

    def take(self, size: int) -> bytes:
        start = self._position
        self._position += size
        return self._data[start : self._position]

    def unpack(self, layout: str) -> int:
        number: int = struct.unpack_from(layout, self._data, self._position)[0]
        self._position += struct.calcsize(layout)
        return number

    def varint(self) -> int:
        """Read a zigzag varint."""
        result = shift = 0
        while True:
            byte = self._data[self._position]
            self._position += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (result >> 1) ^ -(result & 1)
            shift += 7

    def varbytes(self) -> bytes:
        """Read bytes behind their length; of null, none."""
        return self.take(max(self.varint(), 0))


def _batches(data: bytes) -> Iterator[_Batch]:
    """Read whole batches; the last may be cut off."""
    position = 0
    while position + BATCH.size <= len(data):
        head = BATCH.unpack_from(data, position)
        base, length, attributes, last, producer, count = (head[i] for i in (0, 1, 5, 6, 9, 12))
        end = position + LENGTH_PREFIX_BYTES + length
        if end > len(data):
            return
        body = _Reader(_decompressed(data[position + BATCH.size : end], attributes & COMPRESSION))
        if attributes & CONTROL:
            # A control record's key: version and kind, two bytes each.
            marker = struct.unpack(">hh", _record(body, base)[0][:4])[1]
            yield _Batch(base + last + 1, attributes, producer, [], marker)
        else:
            records = [_record(body, base)[1] for _ in range(count)]
            yield _Batch(base + last + 1, attributes, producer, records, None)
        position = end


def _decompressed(data: bytes, codec: int) -> bytes:
    try:
        return DECOMPRESS[codec](data)
    except KeyError:
        raise BrokerUnavailableError(f"records compressed by codec {codec} cannot be read") from None


def _record(body: _Reader, base: int) -> tuple[bytes, LogRecord]:
    """Read a record's key and the rest of it."""
    body.varint()  # its length
    body.skip(1)  # attributes
    body.varint()  # timestamp
    offset = base + body.varint()
    key, value = body.varbytes(), body.varbytes()
    headers = {body.varbytes().decode(errors="replace"): body.varbytes() for _ in range(body.varint())}
    return key, LogRecord(offset, value, headers)
