"""Readers of the public light-curve sets of a data directory.

``nightjar-train data`` lists the sets and their sources.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.core.alerts import Kind, Survey
from service.core.times import TAI_MINUS_UTC_DAYS
from service.decoding.light_curve_table import BAND_OF_NAME, magnitude_to_flux, read_table
from training.data.light_curves import (
    LabelledLightCurves,
    PhotometryTable,
    assemble,
    detection_kinds,
)
from training.data.tables import column_numbers, column_text

__all__ = ["PUBLIC_SETS", "read_public"]

JANSKY_IN_NJY = 1e9
MICROJANSKY_IN_NJY = 1e3
SNR_THRESHOLD = 5.0  # of detections and of limits
# A_V = 3.1 E(B-V): the Milky Way's law, which BTS uses.
R_V = 3.1


def read_public(directory: Path, name: str) -> LabelledLightCurves:
    """Read one public set by name.

    Parameters
    ----------
    directory
        The data directory, with one folder per set.
    name
        A key of `PUBLIC_SETS`.

    Raises
    ------
    InputError
        The set is missing or cannot be read.
    """
    return PUBLIC_SETS[name](directory / name)


def _bts(folder: Path, time: str, band: str, mag: str, error: str) -> LabelledLightCurves:
    """Read alert detections of the Bright Transient Survey: magnitudes, UTC."""
    table, objects = read_table(folder / "lightcurves.csv.gz"), read_table(folder / "objects.csv")
    flux, flux_err = magnitude_to_flux(column_numbers(table, mag), column_numbers(table, error))
    columns = _objects(objects)
    columns["mwebv"] = column_numbers(objects, "A_V") / R_V
    columns["ra_deg"] = _sexagesimal(column_text(objects, "ra")) * 15.0
    columns["dec_deg"] = _sexagesimal(column_text(objects, "dec"))
    kind = np.full(len(flux), Kind.DETECTION, dtype=np.uint8)
    return assemble(Survey.ZTF, folder.name, columns, _rows(table, time, band, flux, flux_err, kind))


def _read_bts(folder: Path) -> LabelledLightCurves:
    return _bts(folder, "ant_mjd", "ant_passband", "ant_mag", "ant_magerr")


def _read_bts_snia(folder: Path) -> LabelledLightCurves:
    return _bts(folder, "time", "band", "mag", "magerr")


def _read_slsn(folder: Path) -> LabelledLightCurves:
    """Read detections and limits, except the points that the authors ignore."""
    table, objects = read_table(folder / "lightcurves.csv.gz"), read_table(folder / "objects.csv")
    flux, flux_err = magnitude_to_flux(column_numbers(table, "Mag"), column_numbers(table, "MagErr"))
    limit = np.asarray(table.column("UL"))
    # A limit is listed at its 5 sigma depth with a magnitude error of -1.
    flux_err = np.where(limit, flux / SNR_THRESHOLD, flux_err)
    flux = np.where(limit, 0.0, flux)
    flux_err[np.asarray(table.column("Ignore"))] = np.nan
    kind = np.where(limit, Kind.UPPER_LIMIT, Kind.DETECTION).astype(np.uint8)
    return assemble(
        Survey.ZTF, folder.name, _objects(objects), _rows(table, "MJD", "Filter", flux, flux_err, kind)
    )


def _read_tde(folder: Path) -> LabelledLightCurves:
    """Read forced photometry in Jy; above 5 sigma it counts as a detection."""
    table, objects = read_table(folder / "lightcurves.csv.gz"), read_table(folder / "objects.csv")
    flux = column_numbers(table, "flux") * JANSKY_IN_NJY
    flux_err = column_numbers(table, "flux_err") * JANSKY_IN_NJY
    kind = detection_kinds(np.abs(flux) > SNR_THRESHOLD * flux_err)
    return assemble(
        Survey.ZTF, folder.name, _objects(objects), _rows(table, "mjd", "filter", flux, flux_err, kind)
    )


def _read_mallorn(folder: Path) -> LabelledLightCurves:
    """Read points above 3 sigma in microjansky; all count as detections, as the set lists nothing else."""
    table, objects = read_table(folder / "lightcurves.csv.gz"), read_table(folder / "objects.csv")
    flux = column_numbers(table, "Flux") * MICROJANSKY_IN_NJY
    flux_err = column_numbers(table, "Flux_err") * MICROJANSKY_IN_NJY
    kind = np.full(len(flux), Kind.DETECTION, dtype=np.uint8)
    columns = _objects(objects) | {"redshift": column_numbers(objects, "Z")}
    rows = _rows(table, "Time (MJD)", "Filter", flux, flux_err, kind, utc=False)
    return assemble(Survey.LSST, folder.name, columns, rows)


def _read_elasticc_fink(folder: Path) -> LabelledLightCurves:
    table, objects = read_table(folder / "lightcurves.csv.gz"), read_table(folder / "objects.csv")
    kind = detection_kinds(column_numbers(table, "detected") == 1)
    columns = _objects(objects) | {
        "redshift": column_numbers(objects, "ZHELIO"),
        "mwebv": column_numbers(objects, "MWEBV"),
        "ra_deg": column_numbers(objects, "RA"),
        "dec_deg": column_numbers(objects, "DEC"),
    }
    flux, flux_err = column_numbers(table, "flux"), column_numbers(table, "flux_err")
    rows = _rows(table, "mjd", "band", flux, flux_err, kind, utc=False)
    return assemble(Survey.LSST, folder.name, columns, rows)


PUBLIC_SETS: dict[str, Callable[[Path], LabelledLightCurves]] = {
    "ztf_bts_antares": _read_bts,
    "ztf_bts_snia_antares": _read_bts_snia,
    "ztf_slsn": _read_slsn,
    "ztf_tde": _read_tde,
    "lsst_mallorn": _read_mallorn,
    "lsst_elasticc_fink": _read_elasticc_fink,
}


def _objects(table: pa.Table) -> dict[str, NDArray[Any]]:
    """Return the columns that the sets spell alike; a set's finest class becomes the label."""
    names = {name.lower(): name for name in table.column_names}
    label = next(names[key] for key in ("spectype", "model", "type") if key in names)
    columns: dict[str, NDArray[Any]] = {
        "object_id": column_text(table, "object_id"),
        "label": column_text(table, label),
    }
    if "canonical_id" in names:
        columns["canonical_id"] = column_text(table, "canonical_id")
    for key, name in (("redshift", "redshift"), ("mwebv", "ebv"), ("ra_deg", "ra"), ("dec_deg", "dec")):
        if name in names:
            columns[key] = column_numbers(table, names[name])
    return columns


def _rows(
    table: pa.Table,
    time: str,
    band: str,
    flux: NDArray[np.float64],
    flux_err: NDArray[np.float64],
    kind: NDArray[np.uint8],
    *,
    utc: bool = True,
) -> PhotometryTable:
    """Return photometry whose times and bands are columns of the given names."""
    names, codes = np.unique(column_text(table, band), return_inverse=True)
    bands = np.array([BAND_OF_NAME[str(name)] for name in names], dtype=np.uint8)
    return PhotometryTable(
        object_id=column_text(table, "object_id"),
        mjd_tai=column_numbers(table, time) + (TAI_MINUS_UTC_DAYS if utc else 0.0),
        flux_njy=flux,
        flux_err_njy=flux_err,
        band=bands[codes],
        kind=kind,
    )


def _sexagesimal(texts: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return ``+33:54:22.8`` as 33.906, in the unit of the text: hours or degrees."""
    parts = [text.lstrip("+-").split(":") for text in texts]
    values = [float(part[0]) + float(part[1]) / 60.0 + float(part[2]) / 3600.0 for part in parts]
    return np.array(
        [-value if text.startswith("-") else value for text, value in zip(texts, values, strict=True)]
    )
