"""Recognising messages like those seen before, a batch at a time.

A stream's messages begin alike: with a schema id, or with a container's header of some 25 kB that is the
same in every message of a schema. The first of each kind is taken apart carefully; the others are known by
comparing bytes.
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
"""Not like anything seen before."""

MAX_HEADERS = 64
"""Headers compared with; a survey's stream has one or two at a time."""


@dataclass(frozen=True, slots=True)
class PrefixMatches:
    """Where the records of messages lie.

    Attributes
    ----------
    key
        int64, shape (n,): what was given when such a beginning was learned, or `UNKNOWN`.
    address, start, stop, n_records
        int64, shape (n,): the message's address, and its records' place and number if it is known.
    """

    key: NDArray[np.int64]
    address: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    n_records: NDArray[np.int64]


class PrefixCache:
    """What the beginnings seen so far stand for. Keys are numbers of the caller's."""

    def __init__(self) -> None:
        self._ids: dict[int, int] = {}
        self._headers: dict[bytes, int] = {}
        self._bare = UNKNOWN
        self._arrays = self._as_arrays()

    def learn_id(self, schema_id: int, key: int) -> None:
        """Know messages in Confluent framing by their schema id."""
        self._ids[schema_id] = key
        self._arrays = self._as_arrays()

    def learn_header(self, header: bytes, key: int) -> None:
        """Know containers, which must not be compressed, by the bytes before their sync marker."""
        if len(self._headers) == MAX_HEADERS:
            self._headers.pop(next(iter(self._headers)))
        self._headers[header] = key
        self._arrays = self._as_arrays()

    def learn_bare(self, key: int) -> None:
        """Take what has neither framing as a bare body, where bare bodies are expected."""
        self._bare = key
        self._arrays = self._as_arrays()

    def match(self, values: list[bytes], expects_bare: NDArray[np.bool_], max_bytes: int) -> PrefixMatches:
        """Find what messages are.

        Parameters
        ----------
        values
            The messages; their addresses in the result are valid while they are kept.
        expects_bare
            bool, shape (n,): whether a message may be a bare body.
        max_bytes
            Larger messages are not looked at.
        """
        found = np.empty((4, len(values)), np.int64)
        address = addresses_of(values)
        length = np.fromiter(map(len, values), np.int64, len(values))
        _match_all(address, length, expects_bare, *self._arrays, found)
        found[0, length > max_bytes] = UNKNOWN
        return PrefixMatches(found[0], address, found[1], found[2], found[3])

    def _as_arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        ids = np.array(list(self._ids.items()), np.int64).reshape(-1, 2)
        headers = list(self._headers)
        addresses = addresses_of(headers).tolist()
        known = zip(addresses, map(len, headers), self._headers.values(), strict=True)
        # Those learned last are compared with first.
        return ids, np.array(list(known)[::-1], np.int64).reshape(-1, 3), self._bare


@compiled
def _match_all(
    address: NDArray[np.int64],
    length: NDArray[np.int64],
    expects_bare: NDArray[np.bool_],
    ids: NDArray[np.int64],
    headers: NDArray[np.int64],
    bare: int,
    found: NDArray[np.int64],
) -> None:
    """Write key, start, stop and number of records of each message; see `PrefixMatches`."""
    for number in range(len(address)):
        size = length[number]
        base = pointer(address[number])
        found[0, number] = UNKNOWN
        found[1, number], found[2, number], found[3, number] = 0, size, 1
        if size >= CONFLUENT_PREFIX_BYTES and load_u8(base, 0) == 0:
            found[0, number] = _key_of_id(base, ids)
            found[1, number] = CONFLUENT_PREFIX_BYTES
        elif size > SYNC_BYTES and load_u8(base, 0) == 0x4F and load_u8(base, 3) == 1:
            _match_container(address[number], size, headers, found[:, number])
        elif expects_bare[number] and size > 0:
            found[0, number] = bare


@compiled
def _key_of_id(base: Any, ids: NDArray[np.int64]) -> int:
    schema_id = 0
    for place in range(1, CONFLUENT_PREFIX_BYTES):
        schema_id = schema_id << 8 | load_u8(base, place)
    for row in range(len(ids)):
        if ids[row, 0] == schema_id:
            return int(ids[row, 1])
    return UNKNOWN


@compiled
def _match_container(address: int, size: int, headers: NDArray[np.int64], found: NDArray[np.int64]) -> None:
    """Recognise a container of one block by its header."""
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
        # Further blocks, and whatever is wrong, are left to those who look closer.
        is_whole = stop + SYNC_BYTES == size
        if is_whole and same_bytes(pointer(address + stop), pointer(address + sync), SYNC_BYTES) == 0:
            found[0], found[1], found[2], found[3] = headers[row, 2], position, stop, n_records
        return
