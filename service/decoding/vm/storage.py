"""How the memory that programs read and write is laid out."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ADDRESS",
    "BODY_LENGTH",
    "CAPACITY",
    "DEPTH",
    "FAULTY",
    "FAULT_AT",
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
    "STACK",
    "START",
    "STOP",
    "TABLE_LENGTH",
    "TEXT_BASE",
    "VALUES",
    "Addresses",
    "Storage",
]

# Columns of the bodies: the address of the bytes they lie in, where they start and stop in these, how many
# records they hold, and the first instruction of their program.
BODY_LENGTH = 5
ADDRESS, START, STOP, N_RECORDS, PROGRAM = range(BODY_LENGTH)

# Columns of the tables: where their values begin in the flat arrays and how many a row has, for floats,
# integers and bytes of text; for how many rows there is room; how many there are. Table 0 is the alerts.
TABLE_LENGTH = 8
FLOAT_BASE, N_FLOATS, INTEGER_BASE, N_INTEGERS, TEXT_BASE, N_TEXT, CAPACITY, N_ROWS = range(TABLE_LENGTH)

# Registers: where the values of the row being read begin; how deep we are in arrays; the table that is
# full; the position and instruction at which something was found wrong; then the stack, two for each array
# being read: the items left in its block, and where the block has to end, if it says so.
ROW_FLOATS, ROW_INTEGERS, ROW_TEXT, DEPTH, FULL_TABLE, FAULT_AT, FAULTY, STACK = range(8)

VALUES = (
    ("floats", FLOAT_BASE, N_FLOATS),
    ("integers", INTEGER_BASE, N_INTEGERS),
    ("text", TEXT_BASE, N_TEXT),
)
"""The flat arrays, and the columns of the tables that say where a table's part of each is."""


class Addresses(NamedTuple):
    """Where programs lie, and where they put what they read: addresses of the arrays' first elements.

    Attributes
    ----------
    code, items
        int64, shapes (n_instructions, 8) and (n_items,), of all programs one after the other.
    tables
        int64, shape (n_tables, 8).
    registers
        int64, shape (STACK + 2 * MAX_DEPTH,).
    floats, integers, text
        float64, int64 and uint8, flat.
    starts
        int64, shape (alerts' capacity, n_tables): each table's number of rows before an alert's first.
    body
        int64, shape (alerts' capacity,): the body each alert came from.
    """

    code: Any
    items: Any
    tables: Any
    registers: Any
    floats: Any
    integers: Any
    text: Any
    starts: Any
    body: Any


@dataclass(frozen=True, slots=True)
class Storage:
    """Memory for what is read; see `Addresses`."""

    floats: NDArray[np.float64]
    integers: NDArray[np.int64]
    text: NDArray[np.uint8]
    starts: NDArray[np.int64]
    body: NDArray[np.int64]
