"""Interface descriptions of the surveys' published schemas, and their expansion to Avro.

The descriptions are this project's own. They contain the names, types and order of fields, which is all that
the wire format depends on. One JSON file per survey lists its versions in order; each has complete
``records``, ``changes`` to a record of the previous version (``remove``, ``retype``, ``insert_after``), and
records to ``drop``. A list of fields is written as text:

- ``ra:d raErr:?f``: names and types. Types are b(oolean), i(nt), l(ong), f(loat), d(ouble), s(tring),
  y (bytes), the name of a record, or one of these in brackets for an array; ``?`` before it for a union
  with null. (In the versions listed as ``null_last`` null is the second branch of every union.)
- ``u,g,r*(%_H:?f %_Chi2:?f)``: the fields in parentheses, repeated for each word before the asterisk, which
  replaces ``%``.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

__all__ = ["shipped_schema", "shipped_versions"]

TYPES = {
    "b": "boolean",
    "i": "int",
    "l": "long",
    "f": "float",
    "d": "double",
    "s": "string",
    "y": "bytes",
}
TOKEN = re.compile(r"(?P<words>[\w,]+)\*\((?P<body>[^)]*)\)|(?P<field>\S+)")

Fields = dict[str, str]


@cache
def _description(survey: str) -> dict[str, Any]:
    text = files(__name__).joinpath(f"{survey}.json").read_bytes()
    description: dict[str, Any] = orjson.loads(text)
    return description


def shipped_versions(survey: str) -> tuple[str, ...]:
    """Return the versions of a survey's alert schema that are described here, oldest first.

    Parameters
    ----------
    survey
        ``ztf``, ``lsst`` or ``elasticc``.
    """
    return tuple(_description(survey)["versions"])


def shipped_schema(survey: str, version: str) -> dict[str, Any]:
    """Return the Avro schema of a survey's alert.

    Parameters
    ----------
    survey
        ``ztf``, ``lsst`` or ``elasticc``.
    version
        One of `shipped_versions`.

    Returns
    -------
    dict
        One record named ``alert``, with every other record declared where it is first used; without
        documentation, defaults and logical types.
    """
    description = _description(survey)
    namespace = description["namespace"].format(version=version.split("-")[0].replace(".", "_"))
    alert_namespace = description.get("alert_namespace", namespace)
    null_last = version in description.get("null_last", ())
    records = _records(description["versions"], version)
    written: set[str] = set()

    def type_of(code: str) -> Any:
        if code.startswith("?"):
            value = type_of(code[1:])
            return [value, "null"] if null_last else ["null", value]
        if code.startswith("["):
            return {"type": "array", "items": type_of(code[1:-1])}
        return TYPES.get(code) or record_of(code)

    def record_of(name: str) -> Any:
        full_name = f"{alert_namespace if name == 'alert' else namespace}.{name}"
        if name in written:
            return full_name
        written.add(name)
        fields = [{"name": field, "type": type_of(code)} for field, code in records[name].items()]
        return {"type": "record", "name": full_name, "fields": fields}

    schema: dict[str, Any] = record_of("alert")
    return schema


def _records(versions: dict[str, Any], last: str) -> dict[str, Fields]:
    """Apply the versions one after the other up to and including the wanted one."""
    records: dict[str, Fields] = {}
    for version, entry in versions.items():
        records = {name: fields for name, fields in records.items() if name not in entry.get("drop", ())}
        for name, text in entry.get("records", {}).items():
            records[name] = dict(_fields(text))
        for name, change in entry.get("changes", {}).items():
            records[name] = _apply_change(records[name], change)
        if version == last:
            return records
    raise KeyError(last)


def _apply_change(fields: Fields, change: dict[str, Any]) -> Fields:
    removed = set(" ".join(change.get("remove", ())).split())
    retyped = dict(_fields(change.get("retype", ())))
    inserted = {name: dict(_fields(text)) for name, text in change.get("insert_after", {}).items()}
    result: Fields = dict(inserted.get("", {}))
    for name, code in fields.items():
        if name not in removed:
            result[name] = retyped.get(name, code)
        result.update(inserted.get(name, {}))
    return result


def _fields(text: Iterator[str] | list[str] | tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Parse a list of fields; see the module docstring."""
    for token in TOKEN.finditer(" ".join(text)):
        words = token["words"].split(",") if token["words"] else [""]
        for word in words:
            for field in (token["body"] or token["field"]).replace("%", word).split():
                name, _, code = field.partition(":")
                yield name, code
