"""Answers as tables for programs of astronomers: CSV, VOTable, Parquet."""

import io
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from fastapi import Query
from pydantic import BaseModel
from starlette.responses import Response

from service.api.problems import ProblemError, ProblemType

__all__ = ["TABLES", "AskedFormat", "Format", "flat", "table_response"]

Format = Literal["json", "csv", "votable", "parquet"]

AskedFormat = Annotated[
    Format, Query(alias="format", description="json, or a table: csv, votable or parquet")
]
"""The parameter of endpoints that give tables."""

Row = Mapping[str, Any]

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8; header=present",
    "votable": "application/x-votable+xml",
    "parquet": "application/vnd.apache.parquet",
}
SUFFIXES = {"csv": "csv", "votable": "vot", "parquet": "parquet"}

TABLES: dict[int | str, dict[str, Any]] = {
    200: {"content": {media_type.partition(";")[0]: {} for media_type in MEDIA_TYPES.values()}}
}
"""For the description of an endpoint: what else it may answer with."""

# Null where a row has none of it; rows that have it give it columns of its own.
NESTED = frozenset({"classification", "classifications", "classifier", "links", "probabilities", "top_class"})

# By the end of a column's name; VOTable's own notation (VOUnits).
UNITS = {
    "mjd_tai": "d",
    "_days": "d",
    "_deg": "deg",
    "_arcsec": "arcsec",
    "_njy": "nJy",
    "mag": "mag",
    "mag_err": "mag",
    "magnitude": "mag",
    "mwebv": "mag",
}


def flat(row: Row) -> dict[str, Any]:
    """Make columns of what is nested: class vectors become one column per class, the rest is joined by _."""
    columns: dict[str, Any] = {}
    for name, value in row.items():
        if name == "classifications" or name == "probabilities":
            columns |= _class_columns(value)
        elif name == "links":
            continue
        elif isinstance(value, Mapping):
            columns |= {f"{name}_{inner}": one for inner, one in flat(value).items()}
        elif isinstance(value, list):
            columns[name] = " ".join(map(str, value))
        else:
            columns[name] = value
    return columns


def _class_columns(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {f"probability_{name}": one for name, one in value.items()}
    return {
        f"{kind}_{one['class_name'] or place}": one[kind]
        for kind in ("probability", "raw_probability")
        for place, one in enumerate(value)
    }


def table_response(
    rows: Sequence[Row], model: type[BaseModel], form: Format, name: str, headers: Mapping[str, str]
) -> Response:
    """Answer with a table.

    Parameters
    ----------
    rows
        Flat rows; a column that a row does not have is null there.
    model
        Whose fields describe the columns.
    form
        Not JSON.
    name
        Of the file, without its suffix.
    headers
        Further headers.

    Raises
    ------
    ProblemError
        This server cannot write the format.
    """
    table = _table(rows, model)
    write: Callable[[pa.Table], bytes] = {"csv": _csv, "parquet": _parquet, "votable": _votable}[form]
    file_name = "".join(one if one.isalnum() else "_" for one in name) + "." + SUFFIXES[form]
    disposition = {"Content-Disposition": f'attachment; filename="{file_name}"'}
    return Response(write(table), media_type=MEDIA_TYPES[form], headers=disposition | dict(headers))


def _table(rows: Sequence[Row], model: type[BaseModel]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row)) or list(model.model_fields)
    names = [name for name in names if name not in NESTED]
    columns, fields = [], []
    for name in names:
        column = _column([row.get(name) for row in rows])
        columns.append(column)
        metadata = {key: text for key, text in _described(name, model).items() if text}
        fields.append(pa.field(name, column.type, metadata=metadata))
    return pa.table(columns, schema=pa.schema(fields))


def _column(values: Sequence[Any]) -> pa.Array:
    """Make a column of numbers or texts; times are texts, as in JSON."""
    plain = [_plain(value) for value in values]
    if any(isinstance(value, int) and not isinstance(value, bool) for value in plain):
        largest = max((value for value in plain if isinstance(value, int)), default=0)
        if largest >= 2**63:
            return pa.array(plain, pa.uint64())
    if all(value is None for value in plain):
        return pa.array(plain, pa.string())
    return pa.array(plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    # The shortest decimal that reads back as the same float32, as in JSON.
    return float(str(value)) if isinstance(value, np.floating) else value


def _described(name: str, model: type[BaseModel]) -> dict[str, str]:
    field = model.model_fields.get(name)
    unit = next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
    return {"description": (field.description or "") if field else "", "unit": unit}


def _csv(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(table, buffer, pyarrow.csv.WriteOptions(quoting_style="needed"))
    return buffer.getvalue()


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()


def _votable(table: pa.Table) -> bytes:
    try:
        # Loaded where it is asked for: it is large, and most servers are not asked.
        from astropy.io.votable import from_table
        from astropy.table import Table
    except ImportError as error:
        detail = "this server has no astropy, which writes VOTables: install astropy there"
        raise ProblemError(ProblemType.FORMAT_UNAVAILABLE, detail) from error
    made = Table(masked=True)
    for field in table.schema:
        made[field.name] = _masked(table.column(field.name))
        metadata = {key.decode(): text.decode() for key, text in (field.metadata or {}).items()}
        made[field.name].unit = metadata.get("unit") or None
        made[field.name].description = metadata.get("description", "")
    buffer = io.BytesIO()
    from_table(made).to_xml(buffer)
    return buffer.getvalue()


def _masked(column: pa.ChunkedArray) -> np.ma.MaskedArray[Any, Any]:
    """Give a column as VOTable can hold it: it has no unsigned 64-bit integers, which then are texts."""
    values: list[Any] = column.to_pylist()
    if pa.types.is_uint64(column.type):
        values = [None if value is None else str(value) for value in values]
    missing = [value is None for value in values]
    kinds: dict[bool, Any] = {pa.types.is_floating(column.type): np.nan, pa.types.is_integer(column.type): 0}
    filler = kinds.get(True, "")
    if pa.types.is_boolean(column.type):
        filler = False
    data = np.array([filler if gone else value for value, gone in zip(values, missing, strict=True)])
    if not len(data):
        data = np.array([], dtype="U1" if filler == "" else type(filler))
    return np.ma.MaskedArray(data, missing)
