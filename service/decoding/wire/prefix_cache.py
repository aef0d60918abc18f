"""Cache of message prefixes: recognises the schema of a whole batch of messages at once.

The messages of a stream share a prefix: a schema id, or a container's header of some 25 kB that is the same
in every message of a schema. Only the first message with a prefix is parsed; for the others, comparing bytes
is enough.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.jit import compiled
from service.decoding.vm.memory import addresses_of, load_u8, pointer, same_bytes
from service.decoding.vm.primitives import read_varint
from service.decoding.wire.framing import CONFLUENT_PREFIX_BYTES, SYNC_BYTES

__all__ = ["UNKNOWN", "PrefixCache", "PrefixMatches"]

UNKNOWN = -1
"""Key of a message whose prefix is not cached."""

MAX_HEADERS = 64
"""Maximum number of headers to keep; a survey's stream has one or two at a time."""


@dataclass(frozen=True, slots=True)
class PrefixMatches:
    """Keys of n messages and the location of their records.

    Attributes
    ----------
    key
        int64, shape (n,): key that the message's prefix was added with, or `UNKNOWN`.
    address
        int64, shape (n,): address of the message.
    start, stop, n_records
        int64, shape (n,): bounds of the records within the message and their number; meaningless where the
        key is unknown.
    """

    key: NDArray[np.int64]
    address: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    n_records: NDArray[np.int64]


class PrefixCache:
    """Message prefixes with the keys, integers from 0 on, that the caller assigned to them."""

    def __init__(self) -> None:
        self._ids: dict[int, int] = {}
        self._headers: dict[bytes, int] = {}
        self._bare = UNKNOWN
        self._arrays = self._as_arrays()

    def add_id(self, schema_id: int, key: int) -> None:
        """Add the prefix of messages in Confluent framing.

        Parameters
        ----------
        schema_id
            The schema id in the prefix.
        key
            Key of these messages.
        """
        self._ids[schema_id] = key
        self._arrays = self._as_arrays()

    def add_header(self, header: bytes, key: int) -> None:
        """Add the header of uncompressed containers; beyond `MAX_HEADERS` the oldest header is dropped.

        Parameters
        ----------
        header
            The bytes before the sync marker.
        key
            Key of these messages.
        """
        if len(self._headers) == MAX_HEADERS:
            self._headers.pop(next(iter(self._headers)))
        self._headers[header] = key
        self._arrays = self._as_arrays()

    def add_bare(self, key: int) -> None:
        """Set the key of messages without framing, where bare records are expected.

        Parameters
        ----------
        key
            Key of these messages.
        """
        self._bare = key
        self._arrays = self._as_arrays()

    def match(self, values: list[bytes], expects_bare: NDArray[np.bool_], max_bytes: int) -> PrefixMatches:
        """Match messages against the cached prefixes.

        Parameters
        ----------
        values
            n messages, which must outlive the addresses in the result.
        expects_bare
            bool, shape (n,): whether a message may be a bare record.
        max_bytes
            Larger messages are unknown.
        """
        matches = np.empty((4, len(values)), np.int64)
        address = addresses_of(values)
        length = np.fromiter(map(len, values), np.int64, len(values))
        _match_all(address, length, expects_bare, *self._arrays, matches)
        matches[0, length > max_bytes] = UNKNOWN
        return PrefixMatches(matches[0], address, matches[1], matches[2], matches[3])

    def _as_arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        ids = np.array(list(self._ids.items()), np.int64).reshape(-1, 2)
        headers = list(self._headers)
        addresses = addresses_of(headers).tolist()
        rows = zip(addresses, map(len, headers), self._headers.values(), strict=True)
        # Compared in reverse, the latest header first.
        return ids, np.array(list(rows)[::-1], np.int64).reshape(-1, 3), self._bare


@compiled
def _match_all(
    address: NDArray[np.int64],
    length: NDArray[np.int64],
    expects_bare: NDArray[np.bool_],
    ids: NDArray[np.int64],
    headers: NDArray[np.int64],
    bare: int,
    matches: NDArray[np.int64],
) -> None:
    """Write key, start, stop and number of records of each message to the rows of `matches`."""
    for number in range(len(address)):
        size = length[number]
        base = pointer(address[number])
        matches[0, number] = UNKNOWN
        matches[1, number], matches[2, number], matches[3, number] = 0, size, 1
        if size >= CONFLUENT_PREFIX_BYTES and load_u8(base, 0) == 0:
            matches[0, number] = _key_of_id(base, ids)
            matches[1, number] = CONFLUENT_PREFIX_BYTES
        elif size > SYNC_BYTES and load_u8(base, 0) == 0x4F and load_u8(base, 3) == 1:
            _match_container(address[number], size, headers, matches[:, number])
        elif expects_bare[number] and size > 0:
            matches[0, number] = bare


@compiled
def _key_of_id(base: Any, ids: NDArray[np.int64]) -> int:
    schema_id = 0
    for position in range(1, CONFLUENT_PREFIX_BYTES):
        schema_id = schema_id << 8 | load_u8(base, position)
    for row in range(len(ids)):
        if ids[row, 0] == schema_id:
            return int(ids[row, 1])
    return UNKNOWN


@compiled
def _match_container(address: int, size: int, headers: NDArray[np.int64], match: NDArray[np.int64]) -> None:
    """Match a container of a single block by its header."""
    base = pointer(address)
    for row in range(len(headers)):
        header, header_size = pointer(headers[row, 0]), headers[row, 1]
        if size < header_size + 2 * SYNC_BYTES or same_bytes(base, header, header_size) != 0:
            continue
        sync = header_size
        n_records, position = read_varint(base, sync + SYNC_BYTES, size)
        if position < 0:
            return
        block_size, position = read_varint(base, position, size)
        if position < 0 or n_records < 1 or n_records > block_size:
            return
        stop = position + block_size
        # Containers of several blocks and malformed ones are left to `open_container`.
        is_whole = stop + SYNC_BYTES == size
        if is_whole and same_bytes(pointer(address + stop), pointer(address + sync), SYNC_BYTES) == 0:
            match[0], match[1], match[2], match[3] = headers[row, 2], position, stop, n_records
        return
