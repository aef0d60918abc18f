"""The schemas of the surveys' packets, and blank records to be filled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import fastavro

from service.core.alerts import Survey
from service.decoding.wire.shipped import shipped_schema

__all__ = ["VERSION", "PacketFormat", "blank_records", "packet_format"]

VERSION = {Survey.ZTF: "4.02", Survey.LSST: "10.0"}

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


@dataclass(frozen=True, slots=True)
class PacketFormat:
    """The format of a survey's packets.

    Attributes
    ----------
    schema
        As fastavro parses it.
    blank
        Short name of each record to a blank one.
    """

    schema: Any
    blank: Mapping[str, dict[str, Any]]


@cache
def packet_format(survey: Survey) -> PacketFormat:
    """Return the format of a survey's packets.

    Parameters
    ----------
    survey
        ZTF or LSST.
    """
    schema = shipped_schema(survey.value, VERSION[survey])
    # ZTF writes null where a value is unknown, LSST NaN, 0 or False.
    blank = blank_records(schema, null_where_allowed=survey is Survey.ZTF)
    return PacketFormat(fastavro.parse_schema(schema), blank)


def blank_records(schema: Mapping[str, Any], *, null_where_allowed: bool) -> dict[str, dict[str, Any]]:
    """Return a blank record of every record type that a schema declares.

    Parameters
    ----------
    schema
        Of a record, in which other records may be declared.
    null_where_allowed
        Whether a union with null is blank as null, or as its other branch: NaN, 0, False. Arrays, records,
        strings and bytes are null in either case.

    Returns
    -------
    dict
        Short name of a record type to its blank record.
    """
    records: dict[str, dict[str, Any]] = {}
    _collect(schema, records, null_where_allowed=null_where_allowed)
    return records


def _collect(schema: Any, records: dict[str, dict[str, Any]], *, null_where_allowed: bool) -> None:
    """Add the blank records of a schema and of everything declared within it."""
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
    """Return the blank value of a field."""
    if not isinstance(kind, list):
        return _BLANK.get(kind) if isinstance(kind, str) else None
    branch = next(branch for branch in kind if branch != "null")
    if null_where_allowed or not isinstance(branch, str) or branch in {"string", "bytes"}:
        return None
    return _BLANK.get(branch)
