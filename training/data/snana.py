"""SNANA simulations and data: FITS HEAD/PHOT pairs and text files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from service.core.alerts import Survey
from service.core.photometry import DETECTION_SIGMA
from service.decoding.light_curve_table import BAND_OF_NAME
from service.errors import InputError
from training.data.light_curves import (
    LabelledLightCurves,
    PhotometryTable,
    assemble,
    concatenate,
    detection_kinds,
)

__all__ = ["FLUXCAL_TO_NJY", "read_snana_fits", "read_snana_text"]

# FLUXCAL has AB zero point 27.5, nJy has 31.4.
FLUXCAL_TO_NJY = 10.0 ** (0.4 * (31.4 - 27.5))
# MJD of the row that ends a light curve in a PHOT table.
END_OF_LIGHT_CURVE = -777.0
# PHOTFLAG bit of a detection in SNANA's alert-like simulations (PLAsTiCC, ELAsTiCC).
DETECTION_FLAG = 4096


def read_snana_fits(head: Path, survey: Survey) -> LabelledLightCurves:
    """Read a ``*_HEAD.FITS[.gz]`` and the ``*_PHOT.FITS[.gz]`` in the same directory.

    PHOTFLAG marks detections; if it marks none they are the rows above 5 sigma. The label is
    SIM_MODEL_NAME, or SNTYPE as text where that is missing.

    Parameters
    ----------
    head
        The HEAD file.
    survey
        Whose passbands the bands are.

    Raises
    ------
    InputError
        A file is missing, not FITS, or without the columns of SNANA.
    """
    photometry = head.with_name(head.name.replace("_HEAD.", "_PHOT."))
    objects, rows = _fits_table(head), _fits_table(photometry)
    first, count = _extent(objects, rows, photometry)
    identity = _text(objects["SNID"])
    index = np.concatenate([np.arange(a, a + n) for a, n in zip(first, count, strict=True)])
    owner = np.repeat(np.arange(len(identity)), count)
    flux = rows["FLUXCAL"][index].astype(np.float64) * FLUXCAL_TO_NJY
    error = rows["FLUXCALERR"][index].astype(np.float64) * FLUXCAL_TO_NJY
    flagged = _flagged(rows)[index]
    detected = flagged if flagged.any() else np.abs(flux) > DETECTION_SIGMA * error
    bands = _bands(_text(rows[_band_column(rows)][index]), photometry)
    columns = {
        "object_id": identity,
        "label": _label(objects),
        "redshift": _known(objects, "REDSHIFT_FINAL"),
        "mwebv": _known(objects, "MWEBV"),
        "ra_deg": _known(objects, "RA"),
        "dec_deg": _known(objects, "DECL" if "DECL" in (objects.dtype.names or ()) else "DEC"),
    }
    table = PhotometryTable(
        identity[owner], rows["MJD"][index].astype(np.float64), flux, error, bands, detection_kinds(detected)
    )
    return assemble(survey, head.name.split("_HEAD")[0], columns, table)


def read_snana_text(paths: list[Path], survey: Survey) -> LabelledLightCurves:
    """Read SNANA text files, one object each.

    Parameters
    ----------
    paths
        Files with a VARLIST, in any order of columns.
    survey
        Whose passbands the bands are.

    Raises
    ------
    InputError
        A file has no VARLIST, or lacks a column, or a row does not fit.
    """
    return concatenate([_text_object(path, survey) for path in paths])


def _text_object(path: Path, survey: Survey) -> LabelledLightCurves:
    header: dict[str, str] = {}
    observations: list[list[str]] = []
    names: list[str] = []
    for key, values in _text_lines(path):
        if key == "VARLIST":
            names = values
        elif key == "OBS":
            if len(values) != len(names):
                raise InputError(f"{path}: an OBS row has {len(values)} values, VARLIST {len(names)}")
            observations.append(values)
        elif values:
            header.setdefault(key, values[0])
    columns = dict(zip(names, zip(*observations, strict=True), strict=True))
    band = "FLT" if "FLT" in columns else "BAND"
    for name in ("MJD", band, "FLUXCAL", "FLUXCALERR"):
        if name not in columns:
            raise InputError(f"{path}: VARLIST has no {name}")
    flux = np.array(columns["FLUXCAL"], dtype=np.float64) * FLUXCAL_TO_NJY
    error = np.array(columns["FLUXCALERR"], dtype=np.float64) * FLUXCAL_TO_NJY
    identity = header.get("SNID", path.stem)
    objects = {
        "object_id": np.array([identity]),
        "label": np.array([header.get("SIM_MODEL_NAME", header.get("SNTYPE", header.get("TYPE", "")))]),
        "redshift": np.array([_header_number(header, "REDSHIFT_FINAL")]),
        "mwebv": np.array([_header_number(header, "MWEBV")]),
        "ra_deg": np.array([_header_number(header, "RA")]),
        "dec_deg": np.array([_header_number(header, "DECL")]),
    }
    detected = np.abs(flux) > DETECTION_SIGMA * error
    mjd = np.array(columns["MJD"], dtype=np.float64)
    bands = _bands(np.array(columns[band]), path)
    rows = PhotometryTable(np.full(len(mjd), identity), mjd, flux, error, bands, detection_kinds(detected))
    return assemble(survey, header.get("SURVEY", path.parent.name), objects, rows)


def _text_lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    for line in text.splitlines():
        key, separator, rest = line.partition(":")
        if separator and not key.startswith("#"):
            yield key.strip(), rest.split()


def _fits_table(path: Path) -> NDArray[np.void]:
    try:
        with fits.open(path) as file:
            return np.asarray(file[1].data)
    except (OSError, IndexError) as error:
        raise InputError(f"{path}: not an SNANA FITS file: {error}") from error


def _extent(
    objects: NDArray[np.void], rows: NDArray[np.void], path: Path
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each object's first row and number of rows.

    They follow from HEAD's PTROBS columns. In files from which objects were removed these are wrong; then
    the rows of MJD -777 that end each light curve are used, if their spacing agrees with HEAD's NOBS.
    """
    first = objects["PTROBS_MIN"].astype(np.int64) - 1
    count = objects["PTROBS_MAX"].astype(np.int64) - first
    ends = np.flatnonzero(rows["MJD"] == END_OF_LIGHT_CURVE)
    after = first + count
    if (after <= len(rows)).all() and np.isin(after[after < len(rows)], ends).all():
        return first, count
    starts = np.concatenate([[0], ends + 1])
    starts = starts[starts < len(rows)]
    lengths = np.diff(np.append(starts, len(rows) + 1 if starts.size > ends.size else ends[-1] + 1)) - 1
    if not np.array_equal(lengths, objects["NOBS"]):
        raise InputError(
            f"{path}: its light curves agree with neither PTROBS_MIN and PTROBS_MAX nor NOBS of HEAD"
        )
    return starts, lengths


def _flagged(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    """Return the detection bit of PHOTFLAG, False where the column is missing."""
    if "PHOTFLAG" not in (rows.dtype.names or ()):
        return np.zeros(len(rows), dtype=np.bool_)
    marked: NDArray[np.bool_] = (rows["PHOTFLAG"].astype(np.int64) & DETECTION_FLAG) > 0
    return marked


def _text(column: NDArray[Any]) -> NDArray[np.str_]:
    """Return a FITS column, bytes or numbers, as stripped strings."""
    decoded = np.char.decode(column, "ascii") if column.dtype.kind == "S" else column.astype(np.str_)
    stripped: NDArray[np.str_] = np.char.strip(decoded)
    return stripped


def _band_column(rows: NDArray[np.void]) -> str:
    return "FLT" if "FLT" in (rows.dtype.names or ()) else "BAND"


def _bands(names: NDArray[np.str_], path: Path) -> NDArray[np.uint8]:
    """Return the bands of SNANA filters: a letter, sometimes after an instrument, as in ``LSST-g``."""
    listed, codes = np.unique(names, return_inverse=True)
    unknown = [str(name) for name in listed if str(name)[-1:] not in BAND_OF_NAME]
    if unknown:
        raise InputError(f"{path}: filter {unknown[0]!r} is not one of u g r i z y")
    bands: NDArray[np.uint8] = np.array([BAND_OF_NAME[str(name)[-1]] for name in listed], dtype=np.uint8)
    return bands[codes]


def _label(objects: NDArray[np.void]) -> NDArray[np.str_]:
    column = "SIM_MODEL_NAME" if "SIM_MODEL_NAME" in (objects.dtype.names or ()) else "SNTYPE"
    return _text(objects[column])


def _known(objects: NDArray[np.void], name: str) -> NDArray[np.float64]:
    """Return a HEAD column, NaN for SNANA's -9 and -999."""
    if name not in (objects.dtype.names or ()):
        return np.full(len(objects), np.nan)
    values = objects[name].astype(np.float64)
    return np.where(values <= -9, np.nan, values) if name.startswith("REDSHIFT") else values


def _header_number(header: dict[str, str], key: str) -> float:
    try:
        value = float(header[key])
    except (KeyError, ValueError):
        return np.nan
    return np.nan if key.startswith("REDSHIFT") and value <= -9 else value
