"""A writer's schema as a flat program: read the fields of a layout, skip all others.

A program is made once per schema and run by `service.decoding.vm.interpreter` over the bytes of every record.
What a field is and whether anybody wants it is decided here, so that running it is only moving forward
through the bytes. Neighbouring fields of fixed size, and unions of null and one of those, which are most
of every survey's fields, are skipped by one instruction.
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
    "register_of",
]

# An instruction is eight numbers: what to do; the bytes that stand for the value's branch and for null's
# where the field is a union of null and one type (NO_BRANCH where it is none), and the instruction to go
# on with if it is null; the arguments a, b and c; and one unused, so that it fills a cache line.
INSTRUCTION_LENGTH = 8
NO_BRANCH = -1

END = 0  # of the record
ENTER = 1  # nothing: a record or array begins
SKIP_FIXED = 2  # a: bytes
SKIP_VARINT = 3
SKIP_TEXT = 4  # checked to be UTF-8, as the reference does
SKIP_BYTES = 5
SKIP_RUN = 6  # a: first item, b: past the last item, c: the most bytes they can take
READ_FLOAT = 7  # a: column among the table's floats
READ_DOUBLE = 8
READ_LONG_AS_FLOAT = 9
READ_LONG = 10  # a: column among the table's integers
READ_TEXT = 11  # a: where it begins among the table's bytes, b: width
ARRAY = 12  # a: the least bytes of an item; the items' instructions follow
NEXT_ITEM = 13  # a: the first of the items' instructions
BEGIN_ROW = 14  # a: table
END_ROW = 15

# A run's item is the byte of the value's branch, that of null's, and how far each moves on, 16 bits each.
ITEM_BITS = 16
LARGEST_STEP = 2 ** (ITEM_BITS - 1) - 1  # the highest 16 bits have a sign
MISSING_BYTE = 0xFFFF
"""In a run's item: a branch byte that no byte equals."""

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
    """The schema has something that no survey's has, and that programs cannot do; fastavro can."""


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled schema.

    Attributes
    ----------
    code
        int64, shape (n_instructions, 8).
    items
        int64, shape (n_items,), of its runs.
    fields
        What each instruction reads or begins with, for messages.
    """

    code: NDArray[np.int64]
    items: NDArray[np.int64]
    fields: tuple[str, ...]

    def moved(self, start: int, first_item: int) -> "Program":
        """Give the program as it is behind `start` instructions and `first_item` items of others."""
        code = self.code.copy()
        op = code[:, 0]
        code[:, 3] += start
        code[op == NEXT_ITEM, 4] += start
        code[op == ARRAY, 5] += start
        code[op == SKIP_RUN, 4:6] += first_item
        return Program(code, self.items, self.fields)


@dataclass(frozen=True, slots=True)
class Branches:
    """The bytes that the two indices of a union of null and one type are written as."""

    value: int
    null: int


PLAIN = Branches(NO_BRANCH, NO_BRANCH)


def compile_program(schema: Record, layout: Layout) -> Program:
    """Compile a schema that `service.decoding.fields.check_layout` has passed.

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
    """Fields of fixed size in a row: some bytes, then items of one union and the plain bytes behind it."""

    name: str = ""
    leading: int = 0
    items: list[tuple[Branches, int, int]] = field(default_factory=list)

    def add(self, size: int, branches: Branches) -> None:
        if branches is not PLAIN:
            self.items.append((branches, 1 + size, 1))
        elif not self.items:
            self.leading += size
        else:
            last, value_step, null_step = self.items[-1]
            self.items[-1] = (last, value_step + size, null_step + size)

    def fits(self, size: int) -> bool:
        """Whether the steps stay within what an item can hold."""
        return not self.items or self.items[-1][1] + size <= LARGEST_STEP


class _Compiler:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.code: list[list[int]] = []
        self.items: list[int] = []
        self.names: list[str] = []
        self._run = _Run()
        self._name = "the alert"  # of the field being compiled
        self._within = ""  # what goes before the names of fields in an array

    def emit(self, op: int, branches: Branches = PLAIN, a: int = 0, b: int = 0, c: int = 0) -> int:
        """Append an instruction, after what is still to be skipped; give its place."""
        self._close_run()
        place = len(self.code)
        self.code.append([op, branches.value, branches.null, place + 1, a, b, c, 0])
        self.names.append(self._name)
        return place

    def _close_run(self) -> None:
        run, self._run = self._run, _Run()
        name = self._name
        self._name = run.name or name
        if run.leading:
            self.emit(SKIP_FIXED, a=run.leading)
        if run.items:
            first = len(self.items)
            self.items.extend(_packed(*item) for item in run.items)
            most = sum(max(value_step, null_step) for _, value_step, null_step in run.items)
            self.emit(SKIP_RUN, a=first, b=len(self.items), c=most)
        self._name = name

    def fields(self, node: Record, prefix: str, columns: tuple[Column, ...]) -> None:
        """Compile a record that lies at `prefix` below where the columns' paths begin."""
        for name, kind in node.fields:
            self._field(kind, prefix + name, columns)

    def _field(self, node: Node, path: str, columns: tuple[Column, ...]) -> None:
        self._name = self._within + path
        branches, value = _split(node)
        if isinstance(value, Primitive):
            self._primitive(value.name, path, branches, columns)
        elif isinstance(value, Record):
            entrance = self.emit(ENTER, branches)
            self.fields(value, f"{path}.", columns)
            self._leave(entrance)
        elif isinstance(value, Array):
            entrance = self.emit(ENTER, branches)
            self._array(value, path if columns is self.layout.columns else "")
            self._leave(entrance)
        else:
            raise UnsupportedSchemaError(f"no instruction reads the type of {path}")

    def _leave(self, entrance: int) -> None:
        """End what may be null: if it is, go on here."""
        self._close_run()
        self.code[entrance][3] = len(self.code)

    def _array(self, node: Array, path: str) -> None:
        tables = [number for number, table in enumerate(self.layout.tables) if table.path == path]
        start = self.emit(ARRAY, a=node.items.min_bytes)
        within, self._within = self._within, f"{self._name}[]."
        branches, item = _split(node.items)
        if tables and isinstance(item, Record):
            entrance = self.emit(ENTER, branches)
            self.emit(BEGIN_ROW, a=tables[0] + 1)
            self.fields(item, "", self.layout.tables[tables[0]].columns)
            self.emit(END_ROW)
            self._leave(entrance)
        else:
            self._field(node.items, "", ())
        self._within = within
        end = self.emit(NEXT_ITEM, a=start + 1)
        self.code[start][5] = end + 1

    def _primitive(self, name: str, path: str, branches: Branches, columns: tuple[Column, ...]) -> None:
        wanted = [column for column in columns if column.path == path and column.type in READABLE]
        if wanted:
            place = register_of(wanted[0], columns)
            self.emit(READS[wanted[0].type, name], branches, place, wanted[0].width)
        elif name in SIZES:
            if not self._run.fits(SIZES[name]):
                self._close_run()
            self._run.name = self._run.name or self._name
            self._run.add(SIZES[name], branches)
        else:
            self.emit(SKIPS[name], branches)


READABLE = {ColumnType.FLOAT, ColumnType.INTEGER, ColumnType.TEXT}


def _split(node: Node) -> tuple[Branches, Node]:
    """Take null out of a union; give how the branches are written, and the one type left."""
    if not isinstance(node, Union):
        return PLAIN, node
    is_null = [isinstance(branch, Primitive) and branch.name == "null" for branch in node.branches]
    if is_null.count(False) != 1 or len(is_null) > 2:
        raise UnsupportedSchemaError("no instruction reads a union of more than null and one type")
    # The index of a branch is written as a zigzag varint: 0 as 0, 1 as 2.
    value = 2 * is_null.index(False)
    return Branches(value, 2 - value if len(is_null) == 2 else NO_BRANCH), node.branches[value // 2]


def register_of(column: Column, columns: tuple[Column, ...]) -> int:
    """Give where a column is among a row's values of its type: for a text, the place of its first byte."""
    before = [other for other in columns[: columns.index(column)] if other.type is column.type]
    return sum(other.width for other in before) if column.type is ColumnType.TEXT else len(before)


def _packed(branches: Branches, value_step: int, null_step: int) -> int:
    null = MISSING_BYTE if branches.null == NO_BRANCH else branches.null
    return branches.value | null << ITEM_BITS | value_step << 2 * ITEM_BITS | null_step << 3 * ITEM_BITS
