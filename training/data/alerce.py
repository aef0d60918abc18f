"""ALeRCE-style ZTF tables: detections, and where given non-detections, objects and labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.core.alerts import Kind, Survey
from service.core.photometry import DETECTION_SIGMA
from service.core.times import TAI_MINUS_UTC_DAYS
from service.decoding.light_curve_table import magnitude_to_flux, read_table
from service.errors import InputError
from training.data.light_curves import LabelledLightCurves, PhotometryTable, assemble
from training.data.tables import column_numbers, column_text

__all__ = ["read_alerce"]


def read_alerce(
    detections: Path, *, non_detections: Path | None = None, labels: Path | None = None
) -> LabelledLightCurves:
    """Read ALeRCE tables: magnitudes of the difference image with their sign, times in UTC.

    Parameters
    ----------
    detections
        CSV or Parquet: ``oid, mjd, fid, magpsf, sigmapsf``, and optionally ``isdiffpos, ra, dec``.
    non_detections
        ``oid, mjd, fid, diffmaglim``: 5 sigma limits.
    labels
        ``oid`` or ``objectId`` and a column whose name begins with ``class``.

    Raises
    ------
    InputError
        A file cannot be read or lacks a column.
    """
    parts = [_detections(detections)] + ([_limits(non_detections)] if non_detections else [])
    rows = PhotometryTable(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return assemble(Survey.ZTF, detections.name, _objects(detections, labels), rows)


def _detections(path: Path) -> tuple[NDArray[Any], ...]:
    table = _columns(path, "oid", "mjd", "fid", "magpsf", "sigmapsf")
    flux, error = magnitude_to_flux(column_numbers(table, "magpsf"), column_numbers(table, "sigmapsf"))
    if "isdiffpos" in table.column_names:
        negative = np.isin(column_text(table, "isdiffpos"), ("-1", "-1.0", "f", "0"))
        flux = np.where(negative, -flux, flux)
    return _common(table, flux, error, Kind.DETECTION)


def _limits(path: Path) -> tuple[NDArray[Any], ...]:
    table = _columns(path, "oid", "mjd", "fid", "diffmaglim")
    limit, _ = magnitude_to_flux(column_numbers(table, "diffmaglim"), np.zeros(table.num_rows))
    return _common(table, np.zeros(table.num_rows), limit / DETECTION_SIGMA, Kind.UPPER_LIMIT)


def _common(
    table: pa.Table, flux: NDArray[np.float64], error: NDArray[np.float64], kind: Kind
) -> tuple[NDArray[Any], ...]:
    """Return the columns of `PhotometryTable`, in its order."""
    # ZTF numbers g, r, i as 1, 2, 3, as `Band` does.
    band = column_numbers(table, "fid").astype(np.uint8)
    mjd = column_numbers(table, "mjd") + TAI_MINUS_UTC_DAYS
    return column_text(table, "oid"), mjd, flux, error, band, np.full(len(flux), kind, dtype=np.uint8)


def _objects(detections: Path, labels: Path | None) -> dict[str, NDArray[Any]]:
    table = read_table(detections)
    names, first = np.unique(column_text(table, "oid"), return_index=True)
    columns: dict[str, NDArray[Any]] = {"object_id": names}
    for key, name in (("ra_deg", "ra"), ("dec_deg", "dec")):
        if name in table.column_names:
            columns[key] = column_numbers(table, name)[first]
    if labels:
        listed = read_table(labels)
        identity = next((name for name in ("oid", "objectId") if name in listed.column_names), None)
        label = next((name for name in listed.column_names if name.startswith("class")), None)
        if identity is None or label is None:
            raise InputError(f"{labels}: needs a column oid or objectId and one that begins with class")
        known = dict(zip(column_text(listed, identity), column_text(listed, label), strict=True))
        columns["label"] = np.array([known.get(name, "") for name in names])
    return columns


def _columns(path: Path, *names: str) -> pa.Table:
    table = read_table(path)
    for name in names:
        if name not in table.column_names:
            raise InputError(f"{path}: no column {name!r}")
    return table
