"""Answers as astropy tables, with units."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from .schemas.columns import NESTED, describe_column, flat_row, unit_of
from .schemas.objects import LightCurve, ObjectHistory

__all__ = ["object_table", "rows_table"]


def object_table(answer: LightCurve | ObjectHistory, entries: Sequence[BaseModel]) -> Any:
    """Return observations or classifications of one object as an `astropy.table.QTable`.

    Parameters
    ----------
    answer
        Names the object; every row begins with its names.
    entries
        One row each.
    """
    names = {"id": answer.id, "survey": answer.survey, "object_id": answer.object_id}
    rows = [names | entry.model_dump(mode="json") for entry in entries]
    return rows_table(rows, type(entries[0]) if entries else type(answer), names)


def rows_table(rows: Sequence[Mapping[str, Any]], schema: type[BaseModel], meta: Mapping[str, Any]) -> Any:
    """Return rows as an `astropy.table.QTable`; a column is masked where a row has no value.

    Parameters
    ----------
    rows
        Dumped models, nested or not.
    schema
        Describes the columns.
    meta
        Of the table.

    Raises
    ------
    ImportError
        Astropy is not installed.
    """
    from astropy.table import QTable

    flat = [flat_row(row) for row in rows]
    names = dict.fromkeys(name for row in flat for name in row) or dict.fromkeys(schema.model_fields)
    descriptions = {name: field.description for name, field in schema.model_fields.items()}
    table = QTable(meta=dict(meta))
    for name in names:
        if name not in NESTED:
            table[name] = _column(name, [row.get(name) for row in flat], describe_column(name, descriptions))
    return table


def _column(name: str, values: Sequence[Any], description: str) -> Any:
    import numpy as np
    from astropy.table import Column, MaskedColumn

    mask = [value is None for value in values]
    filler = next((value for value in values if value is not None), 0.0)
    filled = [filler if value is None else value for value in values]
    # Ids take all 64 bits, more than numpy's default integer holds.
    dtype = np.uint64 if isinstance(filler, int) and name.endswith("_id") else None
    options = {"unit": unit_of(name), "dtype": dtype, "description": description}
    return MaskedColumn(filled, mask=mask, **options) if any(mask) else Column(filled, **options)
