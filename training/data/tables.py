"""CSV and Parquet tables with the columns of ``nightjar classify`` and classes."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Survey
from service.core.photometry import DETECTION_SIGMA
from service.decoding.light_curve_table import read_light_curve_table, read_table
from service.errors import InputError
from training.data.light_curves import LabelledLightCurves

__all__ = ["column_numbers", "column_text", "read_generic"]


def read_generic(
    path: Path, survey: Survey, *, objects: Path | None = None, detection_snr: float = DETECTION_SIGMA
) -> LabelledLightCurves:
    """Read one row per observation, with classes in the same file or in a table of objects.

    Parameters
    ----------
    path
        Columns as in `read_light_curve_table`, and optionally ``class``, ``ra``, ``dec`` (degrees).
    survey
        Whose passbands the bands are.
    objects
        One row per object: ``object_id``, ``class`` and optionally ``redshift, mwebv, ra, dec``;
        None: these columns are in `path`.
    detection_snr
        A row without a flag is a detection above this flux over error.

    Raises
    ------
    InputError
        A file or value that cannot be used, with file, column and row.
    """
    curves = read_light_curve_table(path, detection_snr=detection_snr)
    names = np.array(curves.object_id, dtype=np.str_)
    table = read_table(objects if objects is not None else path)
    if "class" not in table.column_names:
        raise InputError(f"{objects or path}: no column 'class'; training needs labels")
    listed, first = np.unique(column_text(table, "object_id"), return_index=True)
    position = np.searchsorted(listed, names).clip(0, len(listed) - 1)
    known = listed[position] == names
    row = first[position]

    def number(name: str, other: NDArray[np.floating]) -> NDArray[np.float64]:
        if name not in table.column_names:
            return other.astype(np.float64)
        values = column_numbers(table, name)[row]
        return np.where(known & np.isfinite(values), values, other)

    unknown = np.full(len(names), np.nan)
    return LabelledLightCurves(
        survey=survey,
        object_id=names,
        label=np.where(known, column_text(table, "class")[row], ""),
        source=np.full(len(names), path.name),
        canonical_id=names,
        redshift=number("redshift", curves.redshift).astype(np.float32),
        mwebv=number("mwebv", curves.mwebv).astype(np.float32),
        ra_deg=number("ra", unknown),
        dec_deg=number("dec", unknown),
        offsets=curves.offsets,
        observations=curves.observations,
    )


def column_text(table: object, name: str) -> NDArray[np.str_]:
    """Return a column of a pyarrow table as strings, shape (rows,), empty where a value is missing.

    Parameters
    ----------
    table
        A pyarrow table.
    name
        Of the column.
    """
    values = table.column(name).to_pylist()  # type: ignore[attr-defined]
    return np.array(["" if value is None else str(value) for value in values], dtype=np.str_)


def column_numbers(table: object, name: str) -> NDArray[np.float64]:
    """Return a column of a pyarrow table as float64, shape (rows,), NaN where there is no number.

    Parameters
    ----------
    table
        A pyarrow table.
    name
        Of the column.
    """
    return np.array([_number(value) for value in table.column(name).to_pylist()])  # type: ignore[attr-defined]


def _number(value: object) -> float:
    try:
        return np.nan if value is None else float(value)  # type: ignore[arg-type]
    except ValueError:
        return np.nan
