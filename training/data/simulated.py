"""Our simulator's Parquet files: one row per object, photometry in list columns."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, Kind, Survey
from service.errors import InputError
from training.data.forms import detections_around_peak
from training.data.labels import coarse_classes
from training.data.light_curves import LabelledLightCurves, concatenate
from training.data.tables import column_text

__all__ = ["read_simulated", "read_simulated_like_real"]

_LISTS = ("mjd_tai", "flux_njy", "flux_err_njy", "band", "kind")


def read_simulated(path: Path, survey: Survey) -> LabelledLightCurves:
    """Read what ``nightjar-train simulate`` wrote.

    Parameters
    ----------
    path
        Parquet file.
    survey
        Whose passbands the bands are.

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
    # The simulator writes light curves in order of time; files from elsewhere may not be.
    owner = np.repeat(np.arange(table.num_rows), np.diff(offsets))
    rows = rows[np.lexsort((rows["band"], rows["kind"], rows["mjd_tai"], owner))]
    rows["source_id"] = np.arange(len(rows)) - offsets[owner]
    names = column_text(table, "object_id")
    return LabelledLightCurves(
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


def read_simulated_like_real(path: Path, survey: Survey, *, fine: bool = False) -> LabelledLightCurves:
    """Read a simulation in the form of the real sets: detections only, and for ZTF around the peak.

    Parameters
    ----------
    path
        Parquet file.
    survey
        Whose passbands the bands are.
    fine
        Keep the simulator's own classes instead of the models' coarse ones.

    Raises
    ------
    InputError
        The file is not Parquet, or lacks a column.
    """
    curves = read_simulated(path, survey)
    if not fine:
        curves = curves.relabel(coarse_classes(curves.label))
    if survey is Survey.LSST:
        kept = _detections(curves)
    else:
        # Variable sources keep their detections of either sign.
        recurring = np.isin(curves.label, ("AGN", "Other"))
        kept = concatenate(
            [detections_around_peak(curves.take(~recurring)), _detections(curves.take(recurring))]
        )
    return kept.take((kept.counts > 0) & (kept.label != ""))


def _detections(curves: LabelledLightCurves) -> LabelledLightCurves:
    return curves.keep_rows(curves.observations["kind"] == Kind.DETECTION)


def _list(table: pa.Table, name: str) -> pa.ListArray:
    return table.column(name).combine_chunks()


def _offsets(table: pa.Table) -> NDArray[np.int64]:
    lengths = np.asarray(_list(table, _LISTS[0]).value_lengths(), dtype=np.int64)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return np.asarray(table.column(name).cast(pa.float64()).fill_null(np.nan), dtype=np.float64)
