"""Our simulator's Parquet: one row per object, photometry in list columns."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, Survey
from service.errors import InputError
from training.data.light_curves import LightCurves
from training.data.tables import column_text

__all__ = ["read_simulated"]

_LISTS = ("mjd_tai", "flux_njy", "flux_err_njy", "band", "kind")


def read_simulated(path: Path, survey: Survey) -> LightCurves:
    """Read what ``nightjar-train simulate`` wrote.

    Raises
    ------
    InputError
        The file is not Parquet, or lacks a column.
    """
    try:
        table = pyarrow.parquet.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a Parquet file: {error}") from error
    for name in ("object_id", "class", "redshift", "mwebv", *_LISTS):
        if name not in table.column_names:
            raise InputError(f"{path}: no column {name!r}; was it written by nightjar-train simulate?")
    offsets = _offsets(table)
    rows = np.zeros(int(offsets[-1]), dtype=OBSERVATION)
    for name in _LISTS:
        rows[name] = np.asarray(_list(table, name).flatten())
    # The simulator writes light curves in order of time; a file of another hand may not.
    owner = np.repeat(np.arange(table.num_rows), np.diff(offsets))
    rows = rows[np.lexsort((rows["band"], rows["kind"], rows["mjd_tai"], owner))]
    rows["source_id"] = np.arange(len(rows)) - offsets[owner]
    names = column_text(table, "object_id")
    return LightCurves(
        survey=survey,
        object_id=names,
        label=column_text(table, "class"),
        source=np.full(len(names), "simulated"),
        canonical_id=names,
        redshift=_floats(table, "redshift").astype(np.float32),
        mwebv=_floats(table, "mwebv").astype(np.float32),
        ra_deg=_floats(table, "ra_deg"),
        dec_deg=_floats(table, "dec_deg"),
        offsets=offsets,
        observations=rows,
    )


def _list(table: pa.Table, name: str) -> pa.ListArray:
    return table.column(name).combine_chunks()


def _offsets(table: pa.Table) -> NDArray[np.int64]:
    lengths = np.asarray(_list(table, _LISTS[0]).value_lengths(), dtype=np.int64)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return np.asarray(table.column(name).cast(pa.float64()).fill_null(np.nan), dtype=np.float64)
