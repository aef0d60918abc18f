"""Columns of tables: what is nested in JSON, made flat, and the units of columns."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["NESTED", "describe_column", "flat_row", "unit_of"]

NESTED = frozenset({"classification", "classifications", "classifier", "links", "probabilities"})
"""Fields that have columns of their own only in rows where they are not null."""

# By the end of a column's name, in the notation of VOUnits, which astropy reads too.
_UNITS = {
    "mjd_tai": "d",
    "_days": "d",
    "_deg": "deg",
    "_arcsec": "arcsec",
    "_njy": "nJy",
    "mag": "mag",
    "mag_err": "mag",
    "mwebv": "mag",
}
_PROBABILITIES = {
    "raw_probability_": "Probability of {} as the network gave it, before calibration",
    "probability_": "Calibrated probability of {}",
}
# Fields of the classification nested in an object which the object itself has.
_OF_OBJECT = ("alert_id", "status", "reason", "top_class", "top_class_probability", "classifier_")


def flat_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a table for an object in JSON.

    Class vectors become one column ``probability_<class>`` per class, and ``raw_probability_<class>`` where
    raw probabilities are given. Columns of other nested fields begin with the name of the field; what a
    nested classification repeats of its object is left out. Lists are joined by blanks.

    Parameters
    ----------
    row
        A model of `schemas` as a mapping.
    """
    columns: dict[str, Any] = {}
    for name, value in row.items():
        if name == "links" or (name in NESTED and value is None):
            continue
        if name == "classifications":
            columns |= _class_columns(value)
        elif name == "probabilities":
            columns |= {f"probability_{class_name}": each for class_name, each in value.items()}
        elif isinstance(value, Mapping):
            columns |= {
                key: each for key, each in _nested(name, flat_row(value)).items() if key not in columns
            }
        elif isinstance(value, list):
            columns[name] = " ".join(map(str, value))
        else:
            columns[name] = value
    return columns


def _class_columns(vector: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the columns of a class vector; a class without a name goes by its number in the vector."""
    return {
        f"{kind}_{entry['class_name'] or number}": entry[kind]
        for kind in ("probability", "raw_probability")
        for number, entry in enumerate(vector)
    }


def _nested(name: str, columns: Mapping[str, Any]) -> dict[str, Any]:
    kept = {
        column: value
        for column, value in columns.items()
        if name != "classification" or not column.startswith(_OF_OBJECT)
    }
    return {
        column if column.startswith(tuple(_PROBABILITIES)) else f"{name}_{column}": value
        for column, value in kept.items()
    }


def unit_of(column: str) -> str | None:
    """Return the unit of a column; None for a number without one, and for a text."""
    return next((unit for end, unit in _UNITS.items() if column.endswith(end)), None)


def describe_column(column: str, descriptions: Mapping[str, str | None]) -> str:
    """Return the description of a column, empty where there is none.

    Parameters
    ----------
    column
        As `flat_row` names it.
    descriptions
        Of the fields of the row's schema.
    """
    for prefix, text in _PROBABILITIES.items():
        if column.startswith(prefix):
            return text.format(column.removeprefix(prefix))
    return descriptions.get(column) or ""
