"""Which fields of an alert a survey's mapping reads, and the columns they are read into.

Decoding has two halves. The first reads the fields of a `Layout` from the bytes of every alert into
`RawColumns`, knowing nothing of what they mean; the second, one module per survey, turns them into the
common batch with a few array operations.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Survey

__all__ = ["MISSING_INTEGER", "Column", "ColumnType", "Layout", "RawAlerts", "RawTable", "Table"]

MISSING_INTEGER = int(np.iinfo(np.int64).min)
"""Stands for null where an integer was asked for; no survey uses it as a value."""


class ColumnType(Enum):
    """What a field is read as. A null, or a field the schema does not have, is the value in brackets.

    ``DECLARED`` reads no value: it is whether the alert's schema has the field at all.
    """

    FLOAT = "float64"  # [NaN]
    INTEGER = "int64"  # [MISSING_INTEGER]
    TEXT = "bytes"  # [empty]; UTF-8, cut off at the column's width
    DECLARED = "bool"


@dataclass(frozen=True, slots=True)
class Column:
    """One field to read.

    Attributes
    ----------
    path
        Its name, with those of the records it lies in: ``candidate.jd``.
    type
        What it is read as.
    width
        Bytes kept of a text: more than any value that means something has, so that a cut value is none.
    required
        Whether a schema without it is refused.
    """

    path: str
    type: ColumnType
    width: int = 0
    required: bool = True

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the column's array."""
        return np.dtype(f"S{self.width}" if self.type is ColumnType.TEXT else self.type.value)

    @property
    def missing(self) -> float | int | bytes:
        """What stands for null."""
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
    """One array of records to read, such as the previous detections; absent or null, it has no rows."""

    path: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """All that one survey's mapping reads."""

    survey: Survey
    columns: tuple[Column, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class RawTable:
    """The rows of one table, alert after alert.

    Attributes
    ----------
    offsets
        int64, shape (n_alerts + 1,): rows ``offsets[i]:offsets[i + 1]`` are alert i's.
    columns
        By path; each of shape (n_rows,).
    """

    offsets: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]

    def owners(self) -> NDArray[np.int64]:
        """Give the alert of each row; int64, shape (n_rows,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


@dataclass(frozen=True, slots=True)
class RawAlerts:
    """The fields of one survey's alerts as they were written.

    Attributes
    ----------
    n_alerts
        How many alerts.
    columns
        By path; each of shape (n_alerts,).
    tables
        By path.
    """

    n_alerts: int
    columns: dict[str, NDArray[Any]]
    tables: dict[str, RawTable]
