"""The interpreter: runs programs over the bytes of many messages, as machine code.

Messages are untrusted: before a byte is read it is checked to lie within the record's block, and each length,
count and union index is checked against the bytes that are left. An item of an array takes at least one byte
(`service.decoding.wire.avro` rejects schemas in which it does not), so the time to read a message is bounded
by its length, whatever counts it contains.

Functions return the position after what they have read, or a negated fault code
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
    TABLE_FULL,
    TRAILING_BYTES,
    TRUNCATED,
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
    FAULT_INSTRUCTION,
    FAULT_POSITION,
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
    VmState,
)

__all__ = ["run_programs"]

VALUE, NULL, IF_NULL, A, B, C = range(1, 7)  # columns of an instruction, after the operation


@compiled
def run_programs(
    spans: NDArray[np.int64],
    first: int,
    n_tables: int,
    addresses: NDArray[np.int64],
    faults: NDArray[np.int64],
) -> int:
    """Read spans one after the other until a table is full.

    Parameters
    ----------
    spans
        int64, shape (n, 5): see `service.decoding.vm.storage`. A malformed span leaves no rows.
    first
        Index of the first span to read.
    n_tables
        Number of tables, that of the alerts included.
    addresses
        int64, shape (9,): addresses of the arrays of `VmState`.
    faults
        int64, shape (n, 3), written: fault code of each span, 0 for none, and position and instruction of the
        fault.

    Returns
    -------
    int
        Index of the span for which the table in register `FULL_TABLE` has no room; n if all were read.
    """
    vm = VmState(
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
    for number in range(first, len(spans)):
        for table in range(n_tables):
            rows_before[table] = element_i64(vm.tables, table * TABLE_LENGTH + N_ROWS)
        fault = _run_span(spans, number, n_tables, vm)
        if fault:
            for table in range(n_tables):
                store_i64(vm.tables, table * TABLE_LENGTH + N_ROWS, rows_before[table])
            if fault == TABLE_FULL:
                return number
        faults[number, 0] = fault
        faults[number, 1] = element_i64(vm.registers, FAULT_POSITION)
        faults[number, 2] = element_i64(vm.registers, FAULT_INSTRUCTION)
    return len(spans)


@compiled
def _run_span(spans: NDArray[np.int64], number: int, n_tables: int, vm: VmState) -> int:
    """Read the records of one span; return a fault code, 0 for none."""
    base = pointer(spans[number, ADDRESS])
    position, stop, program = spans[number, START], spans[number, STOP], spans[number, PROGRAM]
    for _ in range(spans[number, N_RECORDS]):
        position = _run_alert(base, position, stop, program, number, n_tables, vm)
        if position < 0:
            return -position
    store_i64(vm.registers, FAULT_POSITION, position)
    store_i64(vm.registers, FAULT_INSTRUCTION, program)
    return 0 if position == stop else TRAILING_BYTES


@compiled
def _run_alert(
    base: Any, position: int, stop: int, program: int, number: int, n_tables: int, vm: VmState
) -> int:
    """Read one record as an alert of span `number`."""
    alert = element_i64(vm.tables, N_ROWS)
    if not _append_row(ALERTS, vm):
        return -TABLE_FULL
    store_i64(vm.span, alert, number)
    for table in range(n_tables):
        store_i64(vm.starts, alert * n_tables + table, element_i64(vm.tables, table * TABLE_LENGTH + N_ROWS))
    store_i64(vm.registers, DEPTH, 0)
    return _run_record(base, position, stop, program, vm)


@compiled
def _run_record(base: Any, position: int, stop: int, instruction: int, vm: VmState) -> int:
    """Read one record with the program that begins at `instruction`."""
    while True:
        before = position
        code = instruction * INSTRUCTION_LENGTH
        op = element_i64(vm.code, code)
        value = element_i64(vm.code, code + VALUE)
        if value >= 0:
            position, is_null = read_branch(base, position, stop, value, element_i64(vm.code, code + NULL))
            if is_null:
                instruction = element_i64(vm.code, code + IF_NULL)
                continue
        a, b = element_i64(vm.code, code + A), element_i64(vm.code, code + B)
        if position < 0:
            pass
        elif op == SKIP_RUN:
            position = skip_run(base, position, stop, vm.items, a, b, element_i64(vm.code, code + C))
        elif op < SKIP_RUN:
            if op == END:
                return position
            position = skip(base, position, stop, op, a)
        elif op < ARRAY:
            position = _read_value(base, position, stop, op, a, b, vm)
        else:
            position, instruction = _jump(base, position, stop, op, instruction, vm)
        if position < 0:
            store_i64(vm.registers, FAULT_POSITION, before)
            store_i64(vm.registers, FAULT_INSTRUCTION, instruction)
            return position
        instruction += 1


@compiled
def _read_value(base: Any, position: int, stop: int, op: int, column: int, width: int, vm: VmState) -> int:
    """Read one value into the current row."""
    if op == READ_FLOAT:
        if stop - position < 4:
            return -TRUNCATED
        store_f64(vm.floats, element_i64(vm.registers, ROW_FLOATS) + column, load_f32(base, position))
        return position + 4
    if op == READ_DOUBLE:
        if stop - position < 8:
            return -TRUNCATED
        store_f64(vm.floats, element_i64(vm.registers, ROW_FLOATS) + column, load_f64(base, position))
        return position + 8
    number, position = read_varint(base, position, stop)
    if position < 0:
        return position
    if op == READ_LONG:
        store_i64(vm.integers, element_i64(vm.registers, ROW_INTEGERS) + column, number)
        return position
    if op == READ_LONG_AS_FLOAT:
        store_f64(vm.floats, element_i64(vm.registers, ROW_FLOATS) + column, float(number))
        return position
    return _read_text(base, position, stop, number, column, width, vm)


@compiled
def _read_text(base: Any, position: int, stop: int, length: int, column: int, width: int, vm: VmState) -> int:
    """Read the first `width` bytes of a text into the current row."""
    if length < 0 or length > stop - position:
        return -BAD_LENGTH
    if not is_utf8(base, position, position + length):
        return -BAD_TEXT
    start = element_i64(vm.registers, ROW_TEXT) + column
    for offset in range(min(length, width)):
        store_u8(vm.text, start + offset, load_u8(base, position + offset))
    return position + length


@compiled
def _jump(base: Any, position: int, stop: int, op: int, instruction: int, vm: VmState) -> tuple[int, int]:
    """Begin or end a row; enter an array, continue with its next item, or leave it.

    Returns the position, and the instruction before the next one to execute.
    """
    a = element_i64(vm.code, instruction * INSTRUCTION_LENGTH + A)
    if op == BEGIN_ROW:
        return (position, instruction) if _append_row(a, vm) else (-TABLE_FULL, instruction)
    if op == END_ROW:
        _select_row(ALERTS, element_i64(vm.tables, N_ROWS) - 1, vm)
        return position, instruction
    depth = element_i64(vm.registers, DEPTH)
    if op == ARRAY:
        start, min_item_bytes, frame = instruction, a, STACK + 2 * depth
        depth += 1
    else:
        start, frame = a - 1, STACK + 2 * (depth - 1)
        min_item_bytes = element_i64(vm.code, start * INSTRUCTION_LENGTH + A)
        left = element_i64(vm.registers, frame) - 1
        if left > 0:
            store_i64(vm.registers, frame, left)
            return position, start
        block_stop = element_i64(vm.registers, frame + 1)
        if block_stop >= 0 and block_stop != position:
            return -BAD_BLOCK, instruction
    position = _read_block_header(base, position, stop, min_item_bytes, frame, vm)
    if position < 0:
        return position, instruction
    is_over = element_i64(vm.registers, frame) == 0
    store_i64(vm.registers, DEPTH, depth - 1 if is_over else depth)
    return position, element_i64(vm.code, start * INSTRUCTION_LENGTH + B) - 1 if is_over else start


@compiled
def _read_block_header(
    base: Any, position: int, stop: int, min_item_bytes: int, frame: int, vm: VmState
) -> int:
    """Read the header of an array's next block, whose items must fit in the bytes that are left."""
    count, position = read_varint(base, position, stop)
    block_stop = -1
    if position >= 0 and count < 0:  # the size of the block in bytes follows
        size, position = read_varint(base, position, stop)
        if position >= 0:
            if size < 0 or size > stop - position:
                return -BAD_BLOCK
            block_stop = position + size
            count = -count
    # The lowest integer has no positive counterpart.
    if position >= 0 and (count < 0 or count > (stop - position) // min_item_bytes):
        return -BAD_COUNT
    store_i64(vm.registers, frame, count)
    store_i64(vm.registers, frame + 1, block_stop)
    return position


# Of a numpy type, because numba compiles functions again for Python integers.
ALERTS = np.int64(0)
"""The table of the alerts."""


@compiled
def _append_row(table: int | np.int64, vm: VmState) -> bool:
    """Append a row of missing values and select it; return False if the table is full."""
    columns = table * TABLE_LENGTH
    n_rows = element_i64(vm.tables, columns + N_ROWS)
    if n_rows == element_i64(vm.tables, columns + CAPACITY):
        store_i64(vm.registers, FULL_TABLE, table)
        return False
    store_i64(vm.tables, columns + N_ROWS, n_rows + 1)
    _select_row(table, n_rows, vm)
    start = element_i64(vm.registers, ROW_FLOATS)
    for index in range(start, start + element_i64(vm.tables, columns + N_FLOATS)):
        store_f64(vm.floats, index, np.nan)
    start = element_i64(vm.registers, ROW_INTEGERS)
    for index in range(start, start + element_i64(vm.tables, columns + N_INTEGERS)):
        store_i64(vm.integers, index, MISSING_INTEGER)
    start = element_i64(vm.registers, ROW_TEXT)
    for index in range(start, start + element_i64(vm.tables, columns + N_TEXT)):
        store_u8(vm.text, index, 0)
    return True


@compiled
def _select_row(table: int | np.int64, row: int, vm: VmState) -> None:
    """Make a row the current one."""
    columns = table * TABLE_LENGTH
    for values in range(3):  # floats, integers, text: first value and number per row are adjacent
        base = element_i64(vm.tables, columns + 2 * values)
        width = element_i64(vm.tables, columns + 2 * values + 1)
        store_i64(vm.registers, ROW_FLOATS + values, base + row * width)
