"""Reading and skipping Avro's values in the bytes of a message, as machine code, believing none of them.

Functions take a pointer to the first byte of what a record lies in, the position to read at and the one to
stop before. They give the position behind what they read, or the negative number of what is wrong.
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
    "CUT_OFF",
    "FAULTS",
    "FULL",
    "LEFT_OVER",
    "is_utf8",
    "read_branch",
    "read_varint",
    "skip",
    "skip_run",
]

CUT_OFF = 1
BAD_NUMBER = 2
BAD_BRANCH = 3
BAD_LENGTH = 4
BAD_COUNT = 5
BAD_BLOCK = 6
BAD_TEXT = 7
LEFT_OVER = 8
FULL = 9
"""Not the bytes' fault: a table has no room left."""

FAULTS = {
    CUT_OFF: "the bytes end within a value",
    BAD_NUMBER: "a number takes more than 64 bits",
    BAD_BRANCH: "a union has no such branch",
    BAD_LENGTH: "a text or bytes would be longer than what is left",
    BAD_COUNT: "an array would have more items than what is left can hold",
    BAD_BLOCK: "an array's block is not as long as it says",
    BAD_TEXT: "a text is not UTF-8",
    LEFT_OVER: "bytes are left after the last record",
}


@compiled
def read_varint(base: Any, position: int, stop: int) -> tuple[int, int]:
    """Read an Avro long; give it, and the position behind it."""
    result = 0
    for shift in range(0, 70, 7):
        if position >= stop:
            return 0, -CUT_OFF
        byte = load_u8(base, position)
        position += 1
        if byte > 1 and shift == 63:
            return 0, -BAD_NUMBER
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    # The number is zigzag: its lowest bit is the sign. The shift brings no sign of its own.
    return ((result >> 1) & 0x7FFF_FFFF_FFFF_FFFF) ^ -(result & 1), position


@compiled
def read_branch(base: Any, position: int, stop: int, value: int, null: int) -> tuple[int, bool]:
    """Read the index of a union's branch; give the position behind it, and whether it is null's."""
    if position < stop:
        byte = load_u8(base, position)
        if byte == value:
            return position + 1, False
        if byte == null:
            return position + 1, True
    # Written with more bytes than it needs, or wrong.
    index, position = read_varint(base, position, stop)
    if position < 0:
        return position, False
    if index == value >> 1:
        return position, False
    if index == null >> 1 and null >= 0:
        return position, True
    return -BAD_BRANCH, False


@compiled
def skip_run(base: Any, position: int, stop: int, items: Any, first: int, last: int, most: int) -> int:
    """Skip unions of null and a type of fixed size, and what is of fixed size behind each.

    Parameters
    ----------
    items
        Pointer to the items of all runs; this one's are those from `first` to before `last`.
    most
        The most bytes they can take.
    """
    if stop - position >= most:
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
        # The steps count the branch's one byte, which is behind us.
        position += (item >> 48 if is_null else (item >> 32) & 0xFFFF) - 1
        if position > stop:
            return -CUT_OFF
    return position


@compiled
def skip(base: Any, position: int, stop: int, op: int, size: int) -> int:
    """Skip one value."""
    if op == SKIP_FIXED:
        return position + size if stop - position >= size else -CUT_OFF
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
    """Whether bytes are UTF-8 as Python reads it: written shortest, no surrogates, nothing above Unicode."""
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
    """Whether a number of the range that so many further bytes can write is a character, written shortest."""
    if n_more == 1:
        return True
    if n_more == 2:
        return point >= 0x800 and not 0xD800 <= point <= 0xDFFF
    return 0x10000 <= point <= 0x10FFFF
