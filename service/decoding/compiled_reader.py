"""Reading the fields of a layout with compiled programs: the same columns as `plain_reader`, but faster."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.decoding.columns import ColumnType, Layout, RawAlerts, RawTable
from service.decoding.vm.interpreter import run_programs
from service.decoding.vm.primitives import FAULTS
from service.decoding.vm.program import INSTRUCTION_LENGTH, compile_program, index_in_row
from service.decoding.vm.storage import (
    CAPACITY,
    FLOAT_BASE,
    FULL_TABLE,
    INTEGER_BASE,
    N_FLOATS,
    N_INTEGERS,
    N_ROWS,
    N_TEXT,
    PROGRAM,
    STACK,
    TABLE_LENGTH,
    TEXT_BASE,
    VALUES,
    Storage,
    VmState,
)
from service.decoding.wire.avro import MAX_DEPTH
from service.decoding.wire.schemas import WriterSchema
from service.errors import RejectedAlertError, RejectionCode

__all__ = ["CompiledReader", "ReadRecords"]

INITIAL_CAPACITY = 1024


@dataclass(frozen=True, slots=True)
class ReadRecords:
    """The alerts of n spans.

    Attributes
    ----------
    raw
        The alerts. The tables' columns are views of memory that the next call of `read` overwrites.
    span
        int64, shape (n_alerts,): index of each alert's span.
    errors
        By index of the span: why it has no alerts.
    """

    raw: RawAlerts
    span: NDArray[np.int64]
    errors: dict[int, RejectedAlertError]


class CompiledReader:
    """Compiles schemas of one survey and runs their programs. Not thread-safe.

    Parameters
    ----------
    layout
        Fields to read.
    empty
        Allocates memory for them: takes a number of elements and a dtype.
    """

    def __init__(self, layout: Layout, empty: Callable[[int, type], NDArray[Any]] = np.empty) -> None:
        self.layout = layout
        self._empty = empty
        self._column_sets = (layout.columns, *(table.columns for table in layout.tables))
        self._indices = [
            [index_in_row(column, columns) for column in columns] for columns in self._column_sets
        ]
        self._starts: dict[WriterSchema, int] = {}
        self._code = np.empty((0, INSTRUCTION_LENGTH), np.int64)
        self._items = np.empty(0, np.int64)
        self._fields: list[str] = []
        self._tables = np.zeros((1 + len(layout.tables), TABLE_LENGTH), np.int64)
        for row, columns in zip(self._tables, self._column_sets, strict=True):
            row[CAPACITY] = INITIAL_CAPACITY
            row[N_FLOATS] = sum(column.type is ColumnType.FLOAT for column in columns)
            row[N_INTEGERS] = sum(column.type is ColumnType.INTEGER for column in columns)
            row[N_TEXT] = sum(column.width for column in columns)
        self._registers = np.zeros(STACK + 2 * MAX_DEPTH, np.int64)
        self._storage = self._allocate()

    def program(self, schema: WriterSchema) -> int:
        """Return the program of a schema, compiling it at first use.

        Parameters
        ----------
        schema
            Schema of an alert of this survey.

        Returns
        -------
        int
            Index of its first instruction.

        Raises
        ------
        UnsupportedSchemaError
            If the schema has types without instructions.
        """
        start = self._starts.get(schema)
        return self._add(schema) if start is None else start

    def _add(self, schema: WriterSchema) -> int:
        program = compile_program(schema.tree, self.layout)
        start = len(self._code)
        relocated = program.relocated(start, len(self._items))
        self._code = np.concatenate([self._code, relocated.code])
        self._items = np.concatenate([self._items, relocated.items])
        self._fields += relocated.fields
        self._starts[schema] = start
        return start

    def read(self, spans: NDArray[np.int64]) -> ReadRecords:
        """Read the records of spans; a span with a malformed record yields no alerts.

        Parameters
        ----------
        spans
            int64, shape (n, 5): see `service.decoding.vm.storage`. The bytes that they point to must outlive
            the call.
        """
        self._tables[:, N_ROWS] = 0
        faults = np.empty((len(spans), 3), np.int64)
        first = 0
        while (first := self._run(spans, first, faults)) < len(spans):
            self._grow(int(self._registers[FULL_TABLE]))
        n_alerts = int(self._tables[0, N_ROWS])
        span = self._storage.span[:n_alerts].copy()
        raw = RawAlerts(n_alerts, self._alert_columns(spans[span, PROGRAM]), self._raw_tables(n_alerts))
        return ReadRecords(
            raw, span, {n: self._error(*faults[n].tolist()) for n in np.flatnonzero(faults[:, 0]).tolist()}
        )

    def _error(self, fault: int, position: int, instruction: int) -> RejectedAlertError:
        message = f"{FAULTS[fault]}, at byte {position}, near {self._fields[instruction]}"
        return RejectedAlertError(RejectionCode.MALFORMED, message)

    def _run(self, spans: NDArray[np.int64], first: int, faults: NDArray[np.int64]) -> int:
        return run_programs(spans, first, len(self._tables), self._addresses(), faults)

    def _alert_columns(self, programs: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        # Copied, because some of these columns become columns of the batch; the alerts are few.
        columns = {path: column.copy() for path, column in self._columns(0).items()}
        for column in self.layout.columns:
            if column.type is ColumnType.DECLARED:
                declaring = [
                    start for schema, start in self._starts.items() if column.path in schema.declared
                ]
                columns[column.path] = np.isin(programs, declaring)
        return columns

    def _raw_tables(self, n_alerts: int) -> dict[str, RawTable]:
        tables = {}
        for number, table in enumerate(self.layout.tables, start=1):
            offsets = np.append(self._storage.starts[:n_alerts, number], self._tables[number, N_ROWS])
            tables[table.path] = RawTable(offsets, self._columns(number))
        return tables

    def _columns(self, table: int) -> dict[str, NDArray[Any]]:
        """Return a table's columns as views of the storage."""
        row, storage = self._tables[table], self._storage
        floats = _matrix(storage.floats, row, FLOAT_BASE, N_FLOATS)
        integers = _matrix(storage.integers, row, INTEGER_BASE, N_INTEGERS)
        text = _matrix(storage.text, row, TEXT_BASE, N_TEXT)
        columns = self._column_sets[table]
        result: dict[str, NDArray[Any]] = {}
        for column, index in zip(columns, self._indices[table], strict=True):
            match column.type:
                case ColumnType.FLOAT:
                    result[column.path] = floats[:, index]
                case ColumnType.INTEGER:
                    result[column.path] = integers[:, index]
                case ColumnType.TEXT:
                    letters = text[:, index : index + column.width]
                    result[column.path] = letters.view(column.dtype)[:, 0]
        return result

    def _grow(self, table: int) -> None:
        """Double the capacity of a table, keeping the contents of all tables."""
        old, old_tables = self._storage, self._tables.copy()
        self._tables[table, CAPACITY] *= 2
        self._storage = self._allocate()
        self._storage.starts[: len(old.starts)] = old.starts
        self._storage.span[: len(old.span)] = old.span
        for new_row, old_row in zip(self._tables, old_tables, strict=True):
            for name, base, width in VALUES:
                n_values = old_row[N_ROWS] * old_row[width]
                new, values = getattr(self._storage, name), getattr(old, name)
                start, old_start = new_row[base], old_row[base]
                new[start : start + n_values] = values[old_start : old_start + n_values]

    def _allocate(self) -> Storage:
        """Allocate arrays for the capacities of all tables and set their bases."""
        capacity = self._tables[:, CAPACITY]
        for _, base, width in VALUES:
            sizes = capacity * self._tables[:, width]
            self._tables[:, base] = np.cumsum(sizes) - sizes
        n_alerts = int(capacity[0])
        return Storage(
            floats=self._empty(int(capacity @ self._tables[:, N_FLOATS]), np.float64),
            integers=self._empty(int(capacity @ self._tables[:, N_INTEGERS]), np.int64),
            text=self._empty(int(capacity @ self._tables[:, N_TEXT]), np.uint8),
            starts=self._empty(n_alerts * len(self._tables), np.int64).reshape(n_alerts, -1),
            span=self._empty(n_alerts, np.int64),
        )

    def _addresses(self) -> NDArray[np.int64]:
        """Return the addresses of the arrays of `VmState`."""
        storage = self._storage
        arrays = VmState(
            self._code,
            self._items,
            self._tables,
            self._registers,
            storage.floats,
            storage.integers,
            storage.text,
            storage.starts,
            storage.span,
        )
        return np.array([array.ctypes.data for array in arrays], np.int64)


def _matrix(values: NDArray[Any], row: NDArray[np.int64], base: int, width: int) -> NDArray[Any]:
    """Return a table's part of a flat array as a view of shape (n_rows, width)."""
    start, n_rows, n_columns = int(row[base]), int(row[N_ROWS]), int(row[width])
    return values[start : start + n_rows * n_columns].reshape(n_rows, n_columns)
