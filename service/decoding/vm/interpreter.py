"""Running programs over the bytes of many messages, as machine code.

Nothing in a message is believed: before a byte is read it is known to lie within the record's block, and
each length, count and union index is checked against what is left. An array's items take at least one byte
each (`service.decoding.wire.avro` refuses schemas in which they would not), so that no count can keep us busy
for longer than there are bytes.

Functions give the position behind what they read, or the negative number of what is wrong
(`service.decoding.vm.primitives.FAULTS`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.jit import compiled
from service.decoding.columns import MISSING_INTEGER
from service.decoding.vm.memory import (
    element_i64,
    load_f32,
    load_f64,
    load_u8,
    pointer,
    store_f64,
    store_i64,
    store_u8,
)
from service.decoding.vm.primitives import (
    BAD_BLOCK,
    BAD_COUNT,
    BAD_LENGTH,
    BAD_TEXT,
    CUT_OFF,
    FULL,
    LEFT_OVER,
    is_utf8,
    read_branch,
    read_varint,
    skip,
    skip_run,
)
from service.decoding.vm.program import (
    ARRAY,
    BEGIN_ROW,
    END,
    END_ROW,
    INSTRUCTION_LENGTH,
    READ_DOUBLE,
    READ_FLOAT,
    READ_LONG,
    READ_LONG_AS_FLOAT,
    SKIP_RUN,
)
from service.decoding.vm.storage import (
    ADDRESS,
    CAPACITY,
    DEPTH,
    FAULT_AT,
    FAULTY,
    FULL_TABLE,
    N_FLOATS,
    N_INTEGERS,
    N_RECORDS,
    N_ROWS,
    N_TEXT,
    PROGRAM,
    ROW_FLOATS,
    ROW_INTEGERS,
    ROW_TEXT,
    STACK,
    START,
    STOP,
    TABLE_LENGTH,
    Addresses,
)

__all__ = ["run_programs"]

VALUE, NULL, IF_NULL, A, B, C = range(1, 7)  # of an instruction, behind what to do


@compiled
def run_programs(
    bodies: NDArray[np.int64],
    first: int,
    n_tables: int,
    addresses: NDArray[np.int64],
    faults: NDArray[np.int64],
) -> int:
    """Read bodies one after the other until a table is full.

    Parameters
    ----------
    bodies
        int64, shape (n, 5). A body that is malformed leaves no rows.
    first
        The body to begin with.
    n_tables
        The alerts' table and the others.
    addresses
        int64, shape (9,): `Addresses`.
    faults
        int64, shape (n, 3), written: what is wrong, 0 for nothing, and the position and instruction where.

    Returns
    -------
    int
        The body for which register `FULL_TABLE` had no room; n when all are read.
    """
    at = Addresses(
        pointer(addresses[0]),
        pointer(addresses[1]),
        pointer(addresses[2]),
        pointer(addresses[3]),
        pointer(addresses[4]),
        pointer(addresses[5]),
        pointer(addresses[6]),
        pointer(addresses[7]),
        pointer(addresses[8]),
    )
    rows_before = np.empty(n_tables, np.int64)
    for number in range(first, len(bodies)):
        for table in range(n_tables):
            rows_before[table] = element_i64(at.tables, table * TABLE_LENGTH + N_ROWS)
        fault = _run_body(bodies, number, n_tables, at)
        if fault:
            for table in range(n_tables):
                store_i64(at.tables, table * TABLE_LENGTH + N_ROWS, rows_before[table])
            if fault == FULL:
                return number
        faults[number, 0] = fault
        faults[number, 1] = element_i64(at.registers, FAULT_AT)
        faults[number, 2] = element_i64(at.registers, FAULTY)
    return len(bodies)


@compiled
def _run_body(bodies: NDArray[np.int64], number: int, n_tables: int, at: Addresses) -> int:
    """Read the records of one body; give what is wrong with it, 0 for nothing."""
    base = pointer(bodies[number, ADDRESS])
    position, stop, program = bodies[number, START], bodies[number, STOP], bodies[number, PROGRAM]
    for _ in range(bodies[number, N_RECORDS]):
        position = _run_alert(base, position, stop, program, number, n_tables, at)
        if position < 0:
            return -position
    store_i64(at.registers, FAULT_AT, position)
    store_i64(at.registers, FAULTY, program)
    return 0 if position == stop else LEFT_OVER


@compiled
def _run_alert(
    base: Any, position: int, stop: int, program: int, number: int, n_tables: int, at: Addresses
) -> int:
    """Read one record as an alert of body `number`."""
    alert = element_i64(at.tables, N_ROWS)
    if not _begin_row(ALERTS, at):
        return -FULL
    store_i64(at.body, alert, number)
    for table in range(n_tables):
        store_i64(at.starts, alert * n_tables + table, element_i64(at.tables, table * TABLE_LENGTH + N_ROWS))
    store_i64(at.registers, DEPTH, 0)
    return _run_record(base, position, stop, program, at)


@compiled
def _run_record(base: Any, position: int, stop: int, instruction: int, at: Addresses) -> int:
    """Run the program that begins at `instruction` over one record."""
    while True:
        before = position
        code = instruction * INSTRUCTION_LENGTH
        op = element_i64(at.code, code)
        value = element_i64(at.code, code + VALUE)
        if value >= 0:
            position, is_null = read_branch(base, position, stop, value, element_i64(at.code, code + NULL))
            if is_null:
                instruction = element_i64(at.code, code + IF_NULL)
                continue
        a, b = element_i64(at.code, code + A), element_i64(at.code, code + B)
        if position < 0:
            pass
        elif op == SKIP_RUN:
            position = skip_run(base, position, stop, at.items, a, b, element_i64(at.code, code + C))
        elif op < SKIP_RUN:
            if op == END:
                return position
            position = skip(base, position, stop, op, a)
        elif op < ARRAY:
            position = _read(base, position, stop, op, a, b, at)
        else:
            position, instruction = _move(base, position, stop, op, instruction, at)
        if position < 0:
            store_i64(at.registers, FAULT_AT, before)
            store_i64(at.registers, FAULTY, instruction)
            return position
        instruction += 1


@compiled
def _read(base: Any, position: int, stop: int, op: int, column: int, width: int, at: Addresses) -> int:
    """Read one value into the row."""
    if op == READ_FLOAT:
        if stop - position < 4:
            return -CUT_OFF
        store_f64(at.floats, element_i64(at.registers, ROW_FLOATS) + column, load_f32(base, position))
        return position + 4
    if op == READ_DOUBLE:
        if stop - position < 8:
            return -CUT_OFF
        store_f64(at.floats, element_i64(at.registers, ROW_FLOATS) + column, load_f64(base, position))
        return position + 8
    number, position = read_varint(base, position, stop)
    if position < 0:
        return position
    if op == READ_LONG:
        store_i64(at.integers, element_i64(at.registers, ROW_INTEGERS) + column, number)
        return position
    if op == READ_LONG_AS_FLOAT:
        store_f64(at.floats, element_i64(at.registers, ROW_FLOATS) + column, float(number))
        return position
    return _read_text(base, position, stop, number, column, width, at)


@compiled
def _read_text(
    base: Any, position: int, stop: int, length: int, column: int, width: int, at: Addresses
) -> int:
    """Read the beginning of a text into the row."""
    if length < 0 or length > stop - position:
        return -BAD_LENGTH
    if not is_utf8(base, position, position + length):
        return -BAD_TEXT
    start = element_i64(at.registers, ROW_TEXT) + column
    for offset in range(min(length, width)):
        store_u8(at.text, start + offset, load_u8(base, position + offset))
    return position + length


@compiled
def _move(base: Any, position: int, stop: int, op: int, instruction: int, at: Addresses) -> tuple[int, int]:
    """Begin or end a row; go into an array, on to its next item, or out of it.

    Gives the position, and the instruction before the one to go on with.
    """
    a = element_i64(at.code, instruction * INSTRUCTION_LENGTH + A)
    if op == BEGIN_ROW:
        return (position, instruction) if _begin_row(a, at) else (-FULL, instruction)
    if op == END_ROW:
        _set_row(ALERTS, element_i64(at.tables, N_ROWS) - 1, at)
        return position, instruction
    depth = element_i64(at.registers, DEPTH)
    if op == ARRAY:
        start, least, frame = instruction, a, STACK + 2 * depth
        depth += 1
    else:
        start, frame = a - 1, STACK + 2 * (depth - 1)
        least = element_i64(at.code, start * INSTRUCTION_LENGTH + A)
        left = element_i64(at.registers, frame) - 1
        if left > 0:
            store_i64(at.registers, frame, left)
            return position, start
        block_stop = element_i64(at.registers, frame + 1)
        if block_stop >= 0 and block_stop != position:
            return -BAD_BLOCK, instruction
    position = _begin_block(base, position, stop, least, frame, at)
    if position < 0:
        return position, instruction
    is_over = element_i64(at.registers, frame) == 0
    store_i64(at.registers, DEPTH, depth - 1 if is_over else depth)
    return position, element_i64(at.code, start * INSTRUCTION_LENGTH + B) - 1 if is_over else start


@compiled
def _begin_block(base: Any, position: int, stop: int, least: int, frame: int, at: Addresses) -> int:
    """Read how many items an array's next block has, which has to be no more than what is left can hold."""
    count, position = read_varint(base, position, stop)
    block_stop = -1
    if position >= 0 and count < 0:  # then the block's size in bytes follows
        size, position = read_varint(base, position, stop)
        if position >= 0:
            if size < 0 or size > stop - position:
                return -BAD_BLOCK
            block_stop = position + size
            count = -count
    # The lowest integer has no positive counterpart.
    if position >= 0 and (count < 0 or count > (stop - position) // least):
        return -BAD_COUNT
    store_i64(at.registers, frame, count)
    store_i64(at.registers, frame + 1, block_stop)
    return position


# Of a numpy type, because numba compiles a function anew for a constant of Python's.
ALERTS = np.int64(0)
"""The table of the alerts."""


@compiled
def _begin_row(table: int | np.int64, at: Addresses) -> bool:
    """Append a row of nothing but missing values to read into; False if there is no room."""
    columns = table * TABLE_LENGTH
    n_rows = element_i64(at.tables, columns + N_ROWS)
    if n_rows == element_i64(at.tables, columns + CAPACITY):
        store_i64(at.registers, FULL_TABLE, table)
        return False
    store_i64(at.tables, columns + N_ROWS, n_rows + 1)
    _set_row(table, n_rows, at)
    start = element_i64(at.registers, ROW_FLOATS)
    for place in range(start, start + element_i64(at.tables, columns + N_FLOATS)):
        store_f64(at.floats, place, np.nan)
    start = element_i64(at.registers, ROW_INTEGERS)
    for place in range(start, start + element_i64(at.tables, columns + N_INTEGERS)):
        store_i64(at.integers, place, MISSING_INTEGER)
    start = element_i64(at.registers, ROW_TEXT)
    for place in range(start, start + element_i64(at.tables, columns + N_TEXT)):
        store_u8(at.text, place, 0)
    return True


@compiled
def _set_row(table: int | np.int64, row: int, at: Addresses) -> None:
    """Read into this row from now on."""
    columns = table * TABLE_LENGTH
    for values in range(3):  # floats, integers, text: base and number per row are neighbours
        base, width = (
            element_i64(at.tables, columns + 2 * values),
            element_i64(at.tables, columns + 2 * values + 1),
        )
        store_i64(at.registers, ROW_FLOATS + values, base + row * width)
