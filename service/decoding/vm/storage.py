"""Layout of the memory that programs read and write."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ADDRESS",
    "CAPACITY",
    "DEPTH",
    "FAULT_INSTRUCTION",
    "FAULT_POSITION",
    "FLOAT_BASE",
    "FULL_TABLE",
    "INTEGER_BASE",
    "N_FLOATS",
    "N_INTEGERS",
    "N_RECORDS",
    "N_ROWS",
    "N_TEXT",
    "PROGRAM",
    "ROW_FLOATS",
    "ROW_INTEGERS",
    "ROW_TEXT",
    "SPAN_LENGTH",
    "STACK",
    "START",
    "STOP",
    "TABLE_LENGTH",
    "TEXT_BASE",
    "VALUES",
    "Storage",
    "VmState",
]

# Columns of a span: address of the bytes, start and stop of the records within them, number of records, and
# first instruction of the program for them.
SPAN_LENGTH = 5
ADDRESS, START, STOP, N_RECORDS, PROGRAM = range(SPAN_LENGTH)

# Columns of a table: for floats, integers and bytes of text, the index of its first value in the flat array
# and the number of values per row; then its capacity in rows and its current number of rows. Table 0 holds
# the alerts.
TABLE_LENGTH = 8
FLOAT_BASE, N_FLOATS, INTEGER_BASE, N_INTEGERS, TEXT_BASE, N_TEXT, CAPACITY, N_ROWS = range(TABLE_LENGTH)

# Registers: index of the first float, integer and text byte of the current row; current depth of nested
# arrays; the table that is full; position and instruction of a fault; then the stack, with two entries for
# each array being read: the items left in the current block, and the end of the block (-1 if not given).
(
    ROW_FLOATS,
    ROW_INTEGERS,
    ROW_TEXT,
    DEPTH,
    FULL_TABLE,
    FAULT_POSITION,
    FAULT_INSTRUCTION,
    STACK,
) = range(8)

VALUES = (
    ("floats", FLOAT_BASE, N_FLOATS),
    ("integers", INTEGER_BASE, N_INTEGERS),
    ("text", TEXT_BASE, N_TEXT),
)
"""The flat arrays of `Storage`, with the columns of a table that locate its values in them."""


class VmState(NamedTuple):
    """Programs and memory of the virtual machine, as pointers to the first elements of arrays.

    Attributes
    ----------
    code, items
        int64, shapes (n_instructions, 8) and (n_items,): all programs, one after the other.
    tables
        int64, shape (n_tables, 8).
    registers
        int64, shape (STACK + 2 * MAX_DEPTH,).
    floats, integers, text
        float64, int64 and uint8, flat: values of all tables.
    starts
        int64, shape (capacity of table 0, n_tables): number of rows of each table before an alert's first.
    span
        int64, shape (capacity of table 0,): index of the span of each alert.
    """

    code: Any
    items: Any
    tables: Any
    registers: Any
    floats: Any
    integers: Any
    text: Any
    starts: Any
    span: Any


@dataclass(frozen=True, slots=True)
class Storage:
    """Arrays that programs write to; see `VmState`."""

    floats: NDArray[np.float64]
    integers: NDArray[np.int64]
    text: NDArray[np.uint8]
    starts: NDArray[np.int64]
    span: NDArray[np.int64]
