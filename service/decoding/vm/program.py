"""The compiler: from a writer's schema to a flat program that reads a layout's fields and skips all others.

A program is compiled once per schema and run by `service.decoding.vm.interpreter` over the bytes of every
record. The type of each field and whether it is needed are decided here, so that the interpreter only moves
forward through the bytes. Consecutive fields of fixed size, and unions of null and such a type, which make up
most of every survey's fields, are skipped by a single instruction.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.decoding.columns import Column, ColumnType, Layout
from service.decoding.wire.avro import Array, Node, Primitive, Record, Union

__all__ = [
    "ARRAY",
    "BEGIN_ROW",
    "END",
    "END_ROW",
    "ENTER",
    "INSTRUCTION_LENGTH",
    "NEXT_ITEM",
    "NO_BRANCH",
    "READ_DOUBLE",
    "READ_FLOAT",
    "READ_LONG",
    "READ_LONG_AS_FLOAT",
    "READ_TEXT",
    "SKIP_BYTES",
    "SKIP_FIXED",
    "SKIP_RUN",
    "SKIP_TEXT",
    "SKIP_VARINT",
    "Program",
    "UnsupportedSchemaError",
    "compile_program",
    "index_in_row",
]

# An instruction is eight numbers: the operation; for a union of null and one type, the bytes that encode the
# branches of the value and of null (NO_BRANCH for any other type), and the instruction to continue with if it
# is null; the arguments a, b and c; and padding to a cache line.
INSTRUCTION_LENGTH = 8
NO_BRANCH = -1

END = 0  # of the record
ENTER = 1  # no operation: a record or array begins
SKIP_FIXED = 2  # a: bytes
SKIP_VARINT = 3
SKIP_TEXT = 4  # validated as UTF-8, like fastavro does
SKIP_BYTES = 5
SKIP_RUN = 6  # a: first item, b: past the last item, c: maximum length in bytes
READ_FLOAT = 7  # a: index among the floats of a row
READ_DOUBLE = 8
READ_LONG_AS_FLOAT = 9
READ_LONG = 10  # a: index among the integers of a row
READ_TEXT = 11  # a: index of its first byte among the text bytes of a row, b: width
ARRAY = 12  # a: minimum bytes of an item, b: instruction after the array; those of an item follow
NEXT_ITEM = 13  # a: first instruction of an item
BEGIN_ROW = 14  # a: table
END_ROW = 15

# An item of a run: the bytes that encode the branches of the value and of null, and the number of bytes to
# skip in either case, 16 bits each.
ITEM_BITS = 16
MAX_STEP = 2 ** (ITEM_BITS - 1) - 1  # the highest 16 bits are signed
NO_BYTE = 0xFFFF
"""In an item of a run: differs from every byte."""

SIZES = {"boolean": 1, "float": 4, "double": 8}
SKIPS = {"int": SKIP_VARINT, "long": SKIP_VARINT, "string": SKIP_TEXT, "bytes": SKIP_BYTES}
READS = {
    (ColumnType.FLOAT, "float"): READ_FLOAT,
    (ColumnType.FLOAT, "double"): READ_DOUBLE,
    (ColumnType.FLOAT, "int"): READ_LONG_AS_FLOAT,
    (ColumnType.FLOAT, "long"): READ_LONG_AS_FLOAT,
    (ColumnType.INTEGER, "int"): READ_LONG,
    (ColumnType.INTEGER, "long"): READ_LONG,
    (ColumnType.TEXT, "string"): READ_TEXT,
}


class UnsupportedSchemaError(Exception):
    """The schema has a type without instructions, which no survey uses; fastavro can read it."""


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled schema.

    Attributes
    ----------
    code
        int64, shape (n_instructions, 8).
    items
        int64, shape (n_items,), items of its runs.
    fields
        Field that each instruction reads or begins with, for messages.
    """

    code: NDArray[np.int64]
    items: NDArray[np.int64]
    fields: tuple[str, ...]

    def relocated(self, start: int, first_item: int) -> "Program":
        """Return the program with all addresses shifted.

        Parameters
        ----------
        start
            Number of instructions that precede it.
        first_item
            Number of items of runs that precede its own.
        """
        code = self.code.copy()
        op = code[:, 0]
        code[:, 3] += start
        code[op == NEXT_ITEM, 4] += start
        code[op == ARRAY, 5] += start
        code[op == SKIP_RUN, 4:6] += first_item
        return Program(code, self.items, self.fields)


@dataclass(frozen=True, slots=True)
class Branches:
    """The bytes that encode the branch indices of a union of null and one type."""

    value: int
    null: int


PLAIN = Branches(NO_BRANCH, NO_BRANCH)


def compile_program(schema: Record, layout: Layout) -> Program:
    """Compile a schema.

    Parameters
    ----------
    schema
        Schema of the alert, checked by `service.decoding.fields.check_layout`.
    layout
        Fields to read.

    Raises
    ------
    UnsupportedSchemaError
        For maps, enums, fixed types, and unions of more than null and one type.
    """
    compiler = _Compiler(layout)
    compiler.fields(schema, "", layout.columns)
    compiler.emit(END)
    code, items = np.array(compiler.code, np.int64), np.array(compiler.items, np.int64)
    return Program(code, items, tuple(compiler.names))


@dataclass(slots=True)
class _Run:
    """Consecutive fields of fixed size: leading bytes, then items of a union and the plain bytes after it."""

    name: str = ""
    leading: int = 0
    items: list[tuple[Branches, int, int]] = field(default_factory=list)

    def add(self, size: int, branches: Branches) -> None:
        """Append a field.

        Parameters
        ----------
        size
            Bytes of its value.
        branches
            Encoding of its union with null; `PLAIN` if it is not a union.
        """
        if branches is not PLAIN:
            self.items.append((branches, 1 + size, 1))
        elif not self.items:
            self.leading += size
        else:
            last, value_step, null_step = self.items[-1]
            self.items[-1] = (last, value_step + size, null_step + size)

    def fits(self, size: int) -> bool:
        """Return whether the last item can be extended.

        Parameters
        ----------
        size
            Bytes to extend it by.
        """
        return not self.items or self.items[-1][1] + size <= MAX_STEP


class _Compiler:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.code: list[list[int]] = []
        self.items: list[int] = []
        self.names: list[str] = []
        self._run = _Run()
        self._name = "the alert"  # of the field being compiled
        self._prefix = ""  # prefix of the names of fields within an array

    def emit(self, op: int, branches: Branches = PLAIN, a: int = 0, b: int = 0, c: int = 0) -> int:
        """Append an instruction after the pending run and return its index.

        Parameters
        ----------
        op
            Operation.
        branches
            Encoding of the field's union with null; `PLAIN` if it is not a union.
        a, b, c
            Arguments of the operation.
        """
        self._close_run()
        index = len(self.code)
        self.code.append([op, branches.value, branches.null, index + 1, a, b, c, 0])
        self.names.append(self._name)
        return index

    def _close_run(self) -> None:
        run, self._run = self._run, _Run()
        name = self._name
        self._name = run.name or name
        if run.leading:
            self.emit(SKIP_FIXED, a=run.leading)
        if run.items:
            first = len(self.items)
            self.items.extend(_packed(*item) for item in run.items)
            max_bytes = sum(max(value_step, null_step) for _, value_step, null_step in run.items)
            self.emit(SKIP_RUN, a=first, b=len(self.items), c=max_bytes)
        self._name = name

    def fields(self, node: Record, prefix: str, columns: tuple[Column, ...]) -> None:
        """Compile the fields of a record.

        Parameters
        ----------
        node
            The record.
        prefix
            Path of the record, with a dot at its end; empty at the top.
        columns
            Columns to read.
        """
        for name, kind in node.fields:
            self._field(kind, prefix + name, columns)

    def _field(self, node: Node, path: str, columns: tuple[Column, ...]) -> None:
        self._name = self._prefix + path
        branches, value = _split(node)
        if isinstance(value, Primitive):
            self._primitive(value.name, path, branches, columns)
        elif isinstance(value, Record):
            enter = self.emit(ENTER, branches)
            self.fields(value, f"{path}.", columns)
            self._leave(enter)
        elif isinstance(value, Array):
            enter = self.emit(ENTER, branches)
            self._array(value, path if columns is self.layout.columns else "")
            self._leave(enter)
        else:
            raise UnsupportedSchemaError(f"no instruction for the type of {path}")

    def _leave(self, enter: int) -> None:
        """Let the instruction `enter` continue here if the value is null."""
        self._close_run()
        self.code[enter][3] = len(self.code)

    def _array(self, node: Array, path: str) -> None:
        tables = [number for number, table in enumerate(self.layout.tables) if table.path == path]
        start = self.emit(ARRAY, a=node.items.min_bytes)
        outer_prefix, self._prefix = self._prefix, f"{self._name}[]."
        branches, item = _split(node.items)
        if tables and isinstance(item, Record):
            enter = self.emit(ENTER, branches)
            self.emit(BEGIN_ROW, a=tables[0] + 1)
            self.fields(item, "", self.layout.tables[tables[0]].columns)
            self.emit(END_ROW)
            self._leave(enter)
        else:
            self._field(node.items, "", ())
        self._prefix = outer_prefix
        end = self.emit(NEXT_ITEM, a=start + 1)
        self.code[start][5] = end + 1

    def _primitive(self, name: str, path: str, branches: Branches, columns: tuple[Column, ...]) -> None:
        wanted = [column for column in columns if column.path == path and column.type in READABLE]
        if wanted:
            index = index_in_row(wanted[0], columns)
            self.emit(READS[wanted[0].type, name], branches, index, wanted[0].width)
        elif name in SIZES:
            if not self._run.fits(SIZES[name]):
                self._close_run()
            self._run.name = self._run.name or self._name
            self._run.add(SIZES[name], branches)
        else:
            self.emit(SKIPS[name], branches)


READABLE = {ColumnType.FLOAT, ColumnType.INTEGER, ColumnType.TEXT}


def _split(node: Node) -> tuple[Branches, Node]:
    """Return the encoding of a union's branches and its one type other than null."""
    if not isinstance(node, Union):
        return PLAIN, node
    is_null = [isinstance(branch, Primitive) and branch.name == "null" for branch in node.branches]
    if is_null.count(False) != 1 or len(is_null) > 2:
        raise UnsupportedSchemaError("no instruction for a union of more than null and one type")
    # A branch index is encoded as a zigzag varint: 0 as 0, 1 as 2.
    value = 2 * is_null.index(False)
    return Branches(value, 2 - value if len(is_null) == 2 else NO_BRANCH), node.branches[value // 2]


def index_in_row(column: Column, columns: tuple[Column, ...]) -> int:
    """Return the index of a column among the values of its type in a row.

    Parameters
    ----------
    column
        One of `columns`.
    columns
        All columns of the table.

    Returns
    -------
    int
        For a text, the index of its first byte.
    """
    before = [other for other in columns[: columns.index(column)] if other.type is column.type]
    return sum(other.width for other in before) if column.type is ColumnType.TEXT else len(before)


def _packed(branches: Branches, value_step: int, null_step: int) -> int:
    null = NO_BYTE if branches.null == NO_BRANCH else branches.null
    return branches.value | null << ITEM_BITS | value_step << 2 * ITEM_BITS | null_step << 3 * ITEM_BITS
