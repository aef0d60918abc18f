"""Answers as tables: CSV, VOTable, Parquet."""

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
from service.client.schemas.columns import NESTED, describe_column, flat_row, unit_of

__all__ = ["TABLES", "Format", "FormatParameter", "table_response"]

Format = Literal["json", "csv", "votable", "parquet"]

FormatParameter = Annotated[
    Format, Query(alias="format", description="json, or a table: csv, votable or parquet")
]
"""The parameter of endpoints that return tables."""

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
"""The ``responses`` of an endpoint for OpenAPI: the tables it may answer with."""


def table_response(
    rows: Sequence[Row], model: type[BaseModel], form: Format, name: str, headers: Mapping[str, str]
) -> Response:
    """Return a table as a response.

    Parameters
    ----------
    rows
        Rows, nested or not; a column is null where a row does not have it.
    model
        Its fields describe the columns.
    form
        A format other than JSON.
    name
        Name of the file, without its suffix.
    headers
        Further headers.

    Raises
    ------
    ProblemError
        This server cannot write the format.
    """
    table = _table([flat_row(row) for row in rows], model)
    write: Callable[[pa.Table], bytes] = {"csv": _csv, "parquet": _parquet, "votable": _votable}[form]
    file_name = "".join(letter if letter.isalnum() else "_" for letter in name) + "." + SUFFIXES[form]
    disposition = {"Content-Disposition": f'attachment; filename="{file_name}"'}
    return Response(write(table), media_type=MEDIA_TYPES[form], headers=disposition | dict(headers))


def _table(rows: Sequence[Row], model: type[BaseModel]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row)) or list(model.model_fields)
    names = [name for name in names if name not in NESTED]
    descriptions = {name: field.description for name, field in model.model_fields.items()}
    columns, fields = [], []
    for name in names:
        column = _column([row.get(name) for row in rows])
        columns.append(column)
        described = {"description": describe_column(name, descriptions), "unit": unit_of(name)}
        metadata = {key: text for key, text in described.items() if text}
        fields.append(pa.field(name, column.type, metadata=metadata))
    return pa.table(columns, schema=pa.schema(fields))


def _column(values: Sequence[Any]) -> pa.Array:
    """Return a column of numbers or texts; times are texts, as in JSON."""
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
        # Imported on demand: it is large, and most servers never need it.
        from astropy.io.votable import from_table
        from astropy.table import Table
    except ImportError as error:
        detail = "VOTables need astropy: install astropy on the server"
        raise ProblemError(ProblemType.FORMAT_UNAVAILABLE, detail) from error
    votable = Table(masked=True)
    for field in table.schema:
        votable[field.name] = _masked(table.column(field.name))
        metadata = {key.decode(): text.decode() for key, text in (field.metadata or {}).items()}
        votable[field.name].unit = metadata.get("unit") or None
        votable[field.name].description = metadata.get("description", "")
    buffer = io.BytesIO()
    from_table(votable).to_xml(buffer)
    return buffer.getvalue()


def _masked(column: pa.ChunkedArray) -> np.ma.MaskedArray[Any, Any]:
    """Return a column as VOTable can hold it: unsigned 64-bit integers, which it lacks, become texts."""
    values: list[Any] = column.to_pylist()
    if pa.types.is_uint64(column.type):
        values = [None if value is None else str(value) for value in values]
    missing = [value is None for value in values]
    kinds: dict[bool, Any] = {pa.types.is_floating(column.type): np.nan, pa.types.is_integer(column.type): 0}
    filler = kinds.get(True, "")
    if pa.types.is_boolean(column.type):
        filler = False
    data = np.array(
        [filler if is_missing else value for value, is_missing in zip(values, missing, strict=True)]
    )
    if not len(data):
        data = np.array([], dtype="U1" if filler == "" else type(filler))
    return np.ma.MaskedArray(data, missing)
