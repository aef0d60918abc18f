"""Finding a layout's fields in a schema."""

from service.decoding.columns import Column, ColumnType, Layout
from service.decoding.wire.avro import Array, Node, Primitive, Record, Union
from service.errors import RejectedAlertError, RejectionCode

__all__ = ["branches_of", "check_layout", "declared_columns", "find", "record_of_items"]

READABLE = {
    ColumnType.FLOAT: {"float", "double", "int", "long"},
    ColumnType.INTEGER: {"int", "long"},
    ColumnType.TEXT: {"string"},
}


def branches_of(node: Node) -> list[Node]:
    """Give what a value can be beside null."""
    branches = node.branches if isinstance(node, Union) else (node,)
    return [branch for branch in branches if not (isinstance(branch, Primitive) and branch.name == "null")]


def find(node: Node, path: str) -> Node | None:
    """Give the type of a field, following records and unions of null and one record; None if absent."""
    for name in path.split("."):
        branches = branches_of(node)
        if len(branches) != 1 or not isinstance(branches[0], Record):
            return None
        found = dict(branches[0].fields).get(name)
        if found is None:
            return None
        node = found
    return node


def record_of_items(node: Node) -> Record | None:
    """Give the record that an array holds, where the array and its items may be null; None if it is none."""
    branches = branches_of(node)
    if len(branches) != 1 or not isinstance(branches[0], Array):
        return None
    items = branches_of(branches[0].items)
    return items[0] if len(items) == 1 and isinstance(items[0], Record) else None


def check_layout(root: Record, layout: Layout) -> None:
    """Refuse a schema from which a layout cannot be read.

    Raises
    ------
    RejectedAlertError
        ``missing_field`` for a required field that is absent, ``schema`` for one of another type.
    """
    for column in layout.columns:
        _check_column(root, column, "")
    for table in layout.tables:
        node = find(root, table.path)
        if node is None:
            continue
        items = record_of_items(node)
        if items is None:
            raise RejectedAlertError(RejectionCode.SCHEMA, f"field {table.path} is no array of records")
        for column in table.columns:
            _check_column(items, column, f"{table.path}.")


def declared_columns(root: Record, layout: Layout) -> frozenset[str]:
    """Give the paths of the layout's ``DECLARED`` columns that a schema has."""
    declared = (column.path for column in layout.columns if column.type is ColumnType.DECLARED)
    return frozenset(path for path in declared if find(root, path) is not None)


def _check_column(root: Record, column: Column, prefix: str) -> None:
    if column.type is ColumnType.DECLARED:
        return
    node = find(root, column.path)
    if node is None:
        _check_absent(root, column, prefix)
        return
    for branch in branches_of(node):
        if not (isinstance(branch, Primitive) and branch.name in READABLE[column.type]):
            message = f"field {prefix}{column.path} is not {column.type.name.lower()}"
            raise RejectedAlertError(RejectionCode.SCHEMA, message)


def _check_absent(root: Record, column: Column, prefix: str) -> None:
    """Refuse a schema without a required field, or with something else where a record should hold it."""
    if column.required:
        message = f"the schema has no field {prefix}{column.path}"
        raise RejectedAlertError(RejectionCode.MISSING_FIELD, message)
    names = column.path.split(".")
    for n_names in range(1, len(names)):
        parent = find(root, ".".join(names[:n_names]))
        if parent is not None and [type(branch) for branch in branches_of(parent)] != [Record]:
            message = f"field {prefix}{'.'.join(names[:n_names])} is not one record"
            raise RejectedAlertError(RejectionCode.SCHEMA, message)
