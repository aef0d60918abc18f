"""Reading and skipping Avro values in the bytes of a message, as machine code, validating every bound.

Functions take a pointer to the first byte of the data that contain a record, the position to read at, and the
position to stop before. They return the position after what they have read, or a negated fault code.
"""

from typing import Any

import numpy as np

from service.core.jit import compiled
from service.decoding.vm.memory import element_i64, load_u8, load_u64
from service.decoding.vm.program import SKIP_FIXED, SKIP_TEXT, SKIP_VARINT

__all__ = [
    "BAD_BLOCK",
    "BAD_BRANCH",
    "BAD_COUNT",
    "BAD_LENGTH",
    "BAD_NUMBER",
    "BAD_TEXT",
    "FAULTS",
    "TABLE_FULL",
    "TRAILING_BYTES",
    "TRUNCATED",
    "is_utf8",
    "read_branch",
    "read_varint",
    "skip",
    "skip_run",
]

TRUNCATED = 1
BAD_NUMBER = 2
BAD_BRANCH = 3
BAD_LENGTH = 4
BAD_COUNT = 5
BAD_BLOCK = 6
BAD_TEXT = 7
TRAILING_BYTES = 8
TABLE_FULL = 9
"""No fault of the message: a table has no room left."""

FAULTS = {
    TRUNCATED: "the bytes end within a value",
    BAD_NUMBER: "a number takes more than 64 bits",
    BAD_BRANCH: "a union has no such branch",
    BAD_LENGTH: "a text or bytes value is longer than the bytes left",
    BAD_COUNT: "an array has more items than fit in the bytes left",
    BAD_BLOCK: "the size of an array's block is wrong",
    BAD_TEXT: "a text is not UTF-8",
    TRAILING_BYTES: "bytes are left after the last record",
}


@compiled
def read_varint(base: Any, position: int, stop: int) -> tuple[int, int]:
    """Read an Avro long.

    Parameters
    ----------
    base
        Pointer to the first byte.
    position, stop
        Where to read, and where the data end.

    Returns
    -------
    number : int
        The value; 0 on a fault.
    position : int
        Position after it, or a negated fault code.
    """
    result = 0
    for shift in range(0, 70, 7):
        if position >= stop:
            return 0, -TRUNCATED
        byte = load_u8(base, position)
        position += 1
        if byte > 1 and shift == 63:
            return 0, -BAD_NUMBER
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    # Zigzag: the lowest bit is the sign. The mask makes the shift a logical one.
    return ((result >> 1) & 0x7FFF_FFFF_FFFF_FFFF) ^ -(result & 1), position


@compiled
def read_branch(base: Any, position: int, stop: int, value: int, null: int) -> tuple[int, bool]:
    """Read the branch index of a union of null and one other type.

    Parameters
    ----------
    base
        Pointer to the first byte.
    position, stop
        Where to read, and where the data end.
    value, null
        The bytes that encode the branches; negative if the union has no null.

    Returns
    -------
    position : int
        Position after it, or a negated fault code.
    is_null : bool
        Whether it is the branch of null.
    """
    if position < stop:
        byte = load_u8(base, position)
        if byte == value:
            return position + 1, False
        if byte == null:
            return position + 1, True
    # An index encoded in more bytes than necessary, or an invalid one.
    index, position = read_varint(base, position, stop)
    if position < 0:
        return position, False
    if index == value >> 1:
        return position, False
    if index == null >> 1 and null >= 0:
        return position, True
    return -BAD_BRANCH, False


@compiled
def skip_run(base: Any, position: int, stop: int, items: Any, first: int, last: int, max_bytes: int) -> int:
    """Skip a run: unions of null and a type of fixed size, each followed by fields of fixed size.

    Parameters
    ----------
    base
        Pointer to the first byte.
    position, stop
        Where to read, and where the data end.
    items
        Pointer to the items of all runs; see `service.decoding.vm.program`.
    first, last
        Index of the first item of this run, and of the one past its last.
    max_bytes
        Maximum length of the run.

    Returns
    -------
    int
        Position after the run, or a negated fault code.
    """
    # If the longest possible run fits, its bounds need no further checks.
    if stop - position >= max_bytes:
        while first < last:
            item = element_i64(items, first)
            byte = load_u8(base, position)
            if byte == item & 0xFFFF:
                position += (item >> 32) & 0xFFFF
            elif byte == (item >> 16) & 0xFFFF:
                position += item >> 48
            else:
                break
            first += 1
    for number in range(first, last):
        item = element_i64(items, number)
        value, null = item & 0xFFFF, (item >> 16) & 0xFFFF
        position, is_null = read_branch(base, position, stop, value, -1 if null == 0xFFFF else null)
        if position < 0:
            return position
        # The step includes the one byte of the branch index, which has been read.
        position += (item >> 48 if is_null else (item >> 32) & 0xFFFF) - 1
        if position > stop:
            return -TRUNCATED
    return position


@compiled
def skip(base: Any, position: int, stop: int, op: int, size: int) -> int:
    """Skip one value.

    Parameters
    ----------
    base
        Pointer to the first byte.
    position, stop
        Where to read, and where the data end.
    op
        ``SKIP_*`` or ``ENTER`` of `service.decoding.vm.program`.
    size
        Bytes to skip for ``SKIP_FIXED``.

    Returns
    -------
    int
        Position after it, or a negated fault code.
    """
    if op == SKIP_FIXED:
        return position + size if stop - position >= size else -TRUNCATED
    if op > SKIP_FIXED:
        number, position = read_varint(base, position, stop)
        if position < 0 or op == SKIP_VARINT:
            return position
        if number < 0 or number > stop - position:
            return -BAD_LENGTH
        if op == SKIP_TEXT and not is_utf8(base, position, position + number):
            return -BAD_TEXT
        return position + number
    return position  # ENTER


@compiled
def is_utf8(base: Any, position: int, stop: int) -> bool:
    """Return whether bytes are valid UTF-8 (RFC 3629), by the same rules as Python's decoder.

    That is: shortest encodings only, no surrogates, nothing above U+10FFFF.

    Parameters
    ----------
    base
        Pointer to the first byte.
    position, stop
        Start and end of the text.
    """
    while position < stop:
        while stop - position >= 8 and load_u64(base, position) & np.uint64(0x8080_8080_8080_8080) == 0:
            position += 8
        if position == stop:
            break
        byte = load_u8(base, position)
        position += 1
        if byte >= 0x80:
            n_more = 1 if byte < 0xE0 else (2 if byte < 0xF0 else 3)
            if byte < 0xC2 or byte > 0xF4 or stop - position < n_more:
                return False
            point = byte & (0x3F >> n_more)
            for _ in range(n_more):
                more = load_u8(base, position)
                position += 1
                if more & 0xC0 != 0x80:
                    return False
                point = point << 6 | more & 0x3F
            if not _is_code_point(point, n_more):
                return False
    return True


@compiled
def _is_code_point(point: int, n_more: int) -> bool:
    """Return whether a code point is valid and needs no fewer than `n_more` continuation bytes."""
    if n_more == 1:
        return True
    if n_more == 2:
        return point >= 0x800 and not 0xD800 <= point <= 0xDFFF
    return 0x10000 <= point <= 0x10FFFF
