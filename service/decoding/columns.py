"""The fields of an alert that a survey's mapping needs, and the columns they are read into.

Decoding has two stages. The first reads the fields of a `Layout` from the bytes of every alert into
`RawAlerts`, whatever they mean; the second, one module per survey, converts these to the common batch with a
few array operations.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Survey

__all__ = ["MISSING_INTEGER", "Column", "ColumnType", "Layout", "RawAlerts", "RawTable", "Table"]

MISSING_INTEGER = int(np.iinfo(np.int64).min)
"""Stands for null in integer columns; no survey uses it as a value."""


class ColumnType(Enum):
    """Type of a column. `Column.missing` stands for null and for fields that the schema does not have.

    ``DECLARED`` columns hold no values of the field, only whether the alert's schema has it.
    """

    FLOAT = "float64"
    INTEGER = "int64"
    TEXT = "bytes"  # UTF-8, truncated to the column's width
    DECLARED = "bool"


@dataclass(frozen=True, slots=True)
class Column:
    """One field to read.

    Attributes
    ----------
    path
        Name of the field, preceded by those of the records that contain it: ``candidate.jd``.
    type
        Type of the column.
    width
        Bytes to keep of a text: more than any valid value has, so that a truncated value is never valid.
    required
        Whether a schema without the field is rejected.
    """

    path: str
    type: ColumnType
    width: int = 0
    required: bool = True

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the column's elements."""
        return np.dtype(f"S{self.width}" if self.type is ColumnType.TEXT else self.type.value)

    @property
    def missing(self) -> float | int | bytes:
        """Value that stands for null: NaN, `MISSING_INTEGER`, an empty text or False."""
        match self.type:
            case ColumnType.FLOAT:
                return np.nan
            case ColumnType.INTEGER:
                return MISSING_INTEGER
            case ColumnType.TEXT:
                return b""
            case ColumnType.DECLARED:
                return False


@dataclass(frozen=True, slots=True)
class Table:
    """An array of records to read, such as the previous detections.

    Attributes
    ----------
    path
        Path of the array; it has no rows where it is absent or null.
    columns
        Fields of its records, their paths relative to the record.
    """

    path: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """All fields that one survey's mapping needs.

    Attributes
    ----------
    survey
        The survey.
    columns
        Fields with one value per alert.
    tables
        Arrays of records.
    """

    survey: Survey
    columns: tuple[Column, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class RawTable:
    """The rows of one table, grouped by alert.

    Attributes
    ----------
    offsets
        int64, shape (n_alerts + 1,): rows ``offsets[i]:offsets[i + 1]`` are alert i's.
    columns
        By path; each of shape (n_rows,), with the dtype of its `Column`.
    """

    offsets: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]

    def owners(self) -> NDArray[np.int64]:
        """Return the index of each row's alert; int64, shape (n_rows,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


@dataclass(frozen=True, slots=True)
class RawAlerts:
    """The fields of one survey's alerts, unconverted.

    Attributes
    ----------
    n_alerts
        Number of alerts.
    columns
        By path; each of shape (n_alerts,), with the dtype of its `Column`.
    tables
        By path.
    """

    n_alerts: int
    columns: dict[str, NDArray[Any]]
    tables: dict[str, RawTable]
