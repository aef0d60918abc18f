"""Blank records of an Avro schema, to be filled in."""

from collections.abc import Mapping
from typing import Any

__all__ = ["blank_records"]

_BLANK: dict[str, Any] = {
    "null": None,
    "boolean": False,
    "int": 0,
    "long": 0,
    "float": float("nan"),
    "double": float("nan"),
    "string": "",
    "bytes": b"",
}


def blank_records(schema: Mapping[str, Any], *, null_where_allowed: bool) -> dict[str, dict[str, Any]]:
    """Give one blank of every record that a schema declares.

    Parameters
    ----------
    schema
        Of a record, other records declared within.
    null_where_allowed
        Whether a union with null is blank as null (ZTF), or as its other branch: NaN, 0, False (LSST).
        Arrays, records and bytes are null in any case.

    Returns
    -------
    dict
        Short name of the record to its blank.
    """
    records: dict[str, dict[str, Any]] = {}
    _collect(schema, records, null_where_allowed=null_where_allowed)
    return records


def _collect(schema: Any, records: dict[str, dict[str, Any]], *, null_where_allowed: bool) -> None:
    """Walk down a schema."""
    if isinstance(schema, list):
        for branch in schema:
            _collect(branch, records, null_where_allowed=null_where_allowed)
    elif isinstance(schema, Mapping) and schema["type"] == "array":
        _collect(schema["items"], records, null_where_allowed=null_where_allowed)
    elif isinstance(schema, Mapping) and schema["type"] == "record":
        blank: dict[str, Any] = {}
        for field in schema["fields"]:
            blank[field["name"]] = _blank(field["type"], null_where_allowed=null_where_allowed)
            _collect(field["type"], records, null_where_allowed=null_where_allowed)
        records[schema["name"].rpartition(".")[2]] = blank


def _blank(kind: Any, *, null_where_allowed: bool) -> Any:
    """Give the blank of one field."""
    if not isinstance(kind, list):
        return _BLANK.get(kind) if isinstance(kind, str) else None
    branch = next(each for each in kind if each != "null")
    if null_where_allowed or not isinstance(branch, str) or branch in {"string", "bytes"}:
        return None
    return _BLANK.get(branch)
