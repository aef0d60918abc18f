"""Avro schemas as validated trees, with the minimum number of bytes of each type.

Schemas come with the messages and are as untrusted as these, so they are checked before anything is decoded
with them: no recursion, no deep nesting, no excessive size, and no type without bytes except null in a union.
A message thus cannot claim more values than it has bytes, and decoding takes time and memory in proportion to
the length of the message.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from service.errors import RejectedAlertError, RejectionCode

__all__ = ["Array", "Enum", "Fixed", "Map", "Node", "Primitive", "Record", "Union", "parse_schema", "to_avro"]

MAX_DEPTH = 32
"""Levels of nesting; the surveys' schemas have 6."""

MAX_NODES = 20_000
"""Values in a record with one item in every array; the surveys' schemas have up to 500."""

MIN_BYTES = {
    "null": 0,
    "boolean": 1,
    "int": 1,
    "long": 1,
    "float": 4,
    "double": 8,
    "bytes": 1,
    "string": 1,
}


@dataclass(frozen=True, slots=True)
class Primitive:
    """A primitive type; logical types are read as their underlying type."""

    name: str
    min_bytes: int
    nodes: int = 1


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum, encoded as the index of its symbol."""

    name: str
    symbols: tuple[str, ...]
    min_bytes: int = 1
    nodes: int = 1


@dataclass(frozen=True, slots=True)
class Fixed:
    """A fixed number of bytes, without a length prefix."""

    name: str
    min_bytes: int
    nodes: int = 1


@dataclass(frozen=True, slots=True)
class Array:
    """An array, encoded as blocks of items."""

    items: "Node"
    nodes: int
    min_bytes: int = 1


@dataclass(frozen=True, slots=True)
class Map:
    """A map, encoded as blocks of string keys and values."""

    values: "Node"
    nodes: int
    min_bytes: int = 1


@dataclass(frozen=True, slots=True)
class Union:
    """A union, encoded as the index of a branch and its value."""

    branches: tuple["Node", ...]
    min_bytes: int
    nodes: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record, encoded as its fields in order."""

    name: str
    fields: tuple[tuple[str, "Node"], ...]
    min_bytes: int
    nodes: int


Node = Primitive | Enum | Fixed | Array | Map | Union | Record


def parse_schema(text: bytes) -> Node:
    """Parse and validate an Avro schema (Avro specification 1.11).

    Parameters
    ----------
    text
        JSON.

    Raises
    ------
    RejectedAlertError
        ``schema`` if it is not a schema, or exceeds the limits of this module.
    """
    try:
        declaration = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _invalid(f"the schema is not JSON: {error}") from error
    return _Parser().node(declaration, "", 0)


def to_avro(root: Node) -> Any:
    """Convert a tree to the JSON form of a schema: names, types and order of fields only.

    Parameters
    ----------
    root
        From `parse_schema`.
    """
    written: set[str] = set()

    def node(tree: Node) -> Any:
        match tree:
            case Primitive():
                return tree.name
            case Array():
                return {"type": "array", "items": node(tree.items)}
            case Map():
                return {"type": "map", "values": node(tree.values)}
            case Union():
                return [node(branch) for branch in tree.branches]
            case _ if tree.name in written:
                return tree.name
        written.add(tree.name)
        if isinstance(tree, Enum):
            return {"type": "enum", "name": tree.name, "symbols": list(tree.symbols)}
        if isinstance(tree, Fixed):
            return {"type": "fixed", "name": tree.name, "size": tree.min_bytes}
        fields = [{"name": name, "type": node(value)} for name, value in tree.fields]
        return {"type": "record", "name": tree.name, "fields": fields}

    return node(root)


def _invalid(message: str) -> RejectedAlertError:
    return RejectedAlertError(RejectionCode.SCHEMA, message)


@dataclass(slots=True)
class _Parser:
    """Parses one schema; `named` holds the types declared so far, with None for those being declared."""

    named: dict[str, Node | None] = field(default_factory=dict)

    def node(self, declaration: Any, namespace: str, depth: int) -> Node:
        """Parse a type.

        Parameters
        ----------
        declaration
            JSON of the type: a name, a list of branches or an object.
        namespace
            Enclosing namespace.
        depth
            Number of enclosing types.
        """
        if depth > MAX_DEPTH:
            raise _invalid(f"the schema is nested more than {MAX_DEPTH} levels deep")
        tree = self._dispatch(declaration, namespace, depth)
        if tree.nodes > MAX_NODES:
            raise _invalid(f"the schema has more than {MAX_NODES} values in a record")
        return tree

    def _dispatch(self, declaration: Any, namespace: str, depth: int) -> Node:
        if isinstance(declaration, str):
            return self._reference(declaration, namespace)
        if isinstance(declaration, list):
            return self._union(declaration, namespace, depth)
        if not isinstance(declaration, dict):
            raise _invalid(f"the schema has {declaration!r:.40} in place of a type")
        kind = declaration.get("type")
        match kind:
            case "record" | "error":
                return self._record(declaration, namespace, depth)
            case "array":
                return self._array(declaration, namespace, depth)
            case "map":
                values = self.node(declaration.get("values"), namespace, depth + 1)
                return Map(values, values.nodes + 2)
            case "enum" | "fixed":
                return self._scalar(kind, declaration, namespace)
            case _:
                return self.node(kind, namespace, depth + 1)

    def _reference(self, name: str, namespace: str) -> Node:
        if name in MIN_BYTES:
            return Primitive(name, MIN_BYTES[name])
        # A bare name refers to the enclosing namespace; some writers use it for a type without namespace.
        for full_name in (_full_name(name, namespace), name):
            if full_name in self.named:
                tree = self.named[full_name]
                if tree is None:
                    raise _invalid(f"the schema's type {full_name} is recursive, which is not supported")
                return tree
        raise _invalid(f"the schema refers to an undeclared type: {name:.100}")

    def _union(self, declaration: list[Any], namespace: str, depth: int) -> Node:
        branches = tuple(self.node(branch, namespace, depth + 1) for branch in declaration)
        if not branches:
            raise _invalid("the schema has an empty union")
        smallest = min(branch.min_bytes for branch in branches)
        return Union(branches, 1 + smallest, 1 + sum(branch.nodes for branch in branches))

    def _array(self, declaration: dict[str, Any], namespace: str, depth: int) -> Node:
        items = self.node(declaration.get("items"), namespace, depth + 1)
        if items.min_bytes == 0:
            raise _invalid("the schema has an array of items that take no bytes, which is not supported")
        return Array(items, items.nodes + 1)

    def _record(self, declaration: dict[str, Any], namespace: str, depth: int) -> Node:
        name, namespace = self._declare(declaration, namespace)
        declared = declaration.get("fields")
        if not isinstance(declared, list) or not all(isinstance(entry, dict) for entry in declared):
            raise _invalid(f"the schema's record {name} has no list of fields")
        fields = tuple(
            (_text(entry, "name"), self.node(entry.get("type"), namespace, depth + 1)) for entry in declared
        )
        for field_name, value in fields:
            if value.min_bytes == 0:
                raise _invalid(f"the schema's field {field_name} takes no bytes, which is not supported")
        tree = Record(
            name,
            fields,
            sum(value.min_bytes for _, value in fields),
            1 + sum(value.nodes for _, value in fields),
        )
        self.named[name] = tree
        return tree

    def _scalar(self, kind: str, declaration: dict[str, Any], namespace: str) -> Node:
        name, _ = self._declare(declaration, namespace)
        tree: Node
        if kind == "enum":
            symbols = declaration.get("symbols")
            if not isinstance(symbols, list) or not symbols or not all(isinstance(s, str) for s in symbols):
                raise _invalid(f"the schema's enum {name} has no symbols")
            tree = Enum(name, tuple(symbols))
        else:
            size = declaration.get("size")
            if not isinstance(size, int) or size < 1:
                raise _invalid(f"the schema's fixed {name} has no size")
            tree = Fixed(name, size)
        self.named[name] = tree
        return tree

    def _declare(self, declaration: dict[str, Any], namespace: str) -> tuple[str, str]:
        """Begin the declaration of a named type; return its full name and the namespace within it."""
        declared = declaration.get("namespace", namespace)
        name = _full_name(_text(declaration, "name"), declared if isinstance(declared, str) else "")
        if name in self.named:
            raise _invalid(f"the schema declares {name:.100} twice")
        self.named[name] = None
        return name, name.rpartition(".")[0]


def _text(declaration: dict[str, Any], key: str) -> str:
    value = declaration.get(key)
    if not isinstance(value, str) or not value:
        raise _invalid(f"the schema has a declaration without a {key}")
    return value


def _full_name(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"
