"""Looking up a layout's fields in a schema."""

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
    """Return the types that a value may have other than null.

    Parameters
    ----------
    node
        Any type; one that is not a union counts as its only branch.
    """
    branches = node.branches if isinstance(node, Union) else (node,)
    return [branch for branch in branches if not (isinstance(branch, Primitive) and branch.name == "null")]


def find(node: Node, path: str) -> Node | None:
    """Return the type of a field, following records and unions of null and one record.

    Parameters
    ----------
    node
        Type in which the path begins.
    path
        Field names joined by dots.

    Returns
    -------
    Node or None
        None if there is no such field.
    """
    for name in path.split("."):
        branches = branches_of(node)
        if len(branches) != 1 or not isinstance(branches[0], Record):
            return None
        child = dict(branches[0].fields).get(name)
        if child is None:
            return None
        node = child
    return node


def record_of_items(node: Node) -> Record | None:
    """Return the record type of an array's items.

    Parameters
    ----------
    node
        Array of records, where both may be unions with null.

    Returns
    -------
    Record or None
        None if the type is anything else.
    """
    branches = branches_of(node)
    if len(branches) != 1 or not isinstance(branches[0], Array):
        return None
    items = branches_of(branches[0].items)
    return items[0] if len(items) == 1 and isinstance(items[0], Record) else None


def check_layout(root: Record, layout: Layout) -> None:
    """Check that a schema has the fields of a layout.

    Parameters
    ----------
    root
        Schema of the alert.
    layout
        Fields to look for.

    Raises
    ------
    RejectedAlertError
        ``missing_field`` if a required field is absent, ``schema`` if a field has another type.
    """
    for column in layout.columns:
        _check_column(root, column, "")
    for table in layout.tables:
        node = find(root, table.path)
        if node is None:
            continue
        items = record_of_items(node)
        if items is None:
            raise RejectedAlertError(RejectionCode.SCHEMA, f"field {table.path} is not an array of records")
        for column in table.columns:
            _check_column(items, column, f"{table.path}.")


def declared_columns(root: Record, layout: Layout) -> frozenset[str]:
    """Return the paths of a layout's ``DECLARED`` columns that a schema has.

    Parameters
    ----------
    root
        Schema of the alert.
    layout
        Fields to look for.
    """
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
    """Reject a schema without a required field, or with another type in place of a record on its path."""
    if column.required:
        message = f"the schema has no field {prefix}{column.path}"
        raise RejectedAlertError(RejectionCode.MISSING_FIELD, message)
    names = column.path.split(".")
    for n_names in range(1, len(names)):
        parent = find(root, ".".join(names[:n_names]))
        if parent is not None and [type(branch) for branch in branches_of(parent)] != [Record]:
            message = f"field {prefix}{'.'.join(names[:n_names])} is not a record"
            raise RejectedAlertError(RejectionCode.SCHEMA, message)
