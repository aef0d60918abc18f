"""Reading light curves from CSV or Parquet tables with one row per observation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, Band, Kind, Observations
from service.core.photometry import (
    DETECTION_SIGMA,
    flux_njy_of_magnitude,
    noise_njy_of_limit,
    relative_error_of_magnitude,
)
from service.core.times import mjd_tai_of_mjd_utc
from service.errors import InputError

__all__ = ["BAND_OF_NAME", "LightCurveTable", "magnitude_to_flux", "read_light_curve_table", "read_table"]

MAX_MJD = 1_000_000.0
"""Larger values are Julian dates."""

_BAND_PREFIXES = ("", "zt", "ztf", "ztf_", "ZTF_", "lsst", "lsst_", "LSST_", "LSST-")
_BAND_SUFFIXES = (".ztf", ".lsst")

# Upper-case R is the ZTF r of ANTARES exports, upper-case Y the ELAsTiCC spelling.
BAND_OF_NAME: dict[str, Band] = {
    spelling: band
    for band, letters in zip(Band, ("uU", "gG", "rR", "iI", "zZ", "yY"), strict=True)
    for letter in letters
    for spelling in (
        *(prefix + letter for prefix in _BAND_PREFIXES),
        *(letter + suffix for suffix in _BAND_SUFFIXES),
    )
}
BAND_OF_NAME |= {"zg": Band.G, "zr": Band.R, "zi": Band.I}
"""Spellings of the bands in use."""


@dataclass(frozen=True, slots=True)
class LightCurveTable:
    """Light curves in the order in which their objects first appear in the file.

    Attributes
    ----------
    object_id
        str, shape (n,).
    offsets
        int64, shape (n + 1,): rows ``offsets[i]:offsets[i + 1]`` of `observations` are object i's.
    observations
        `OBSERVATION`, by time within an object; `source_id` numbers an object's rows in that order.
    redshift, mwebv
        float32, shape (n,), NaN where not given: the first value of each object.
    """

    object_id: tuple[str, ...]
    offsets: NDArray[np.int64]
    observations: Observations
    redshift: NDArray[np.float32]
    mwebv: NDArray[np.float32]


def magnitude_to_flux(
    mag: NDArray[np.float64], mag_err: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Convert AB magnitudes and their errors to fluxes and errors.

    Parameters
    ----------
    mag, mag_err
        float64, shape (n,), AB magnitude and its 1-sigma error.

    Returns
    -------
    flux_njy, flux_err_njy : ndarray, shape (n,), float64
        The error is to first order.
    """
    flux = flux_njy_of_magnitude(mag)
    return flux, flux * relative_error_of_magnitude(mag_err)


def read_light_curve_table(
    path: Path, *, utc: bool = False, detection_snr: float = DETECTION_SIGMA
) -> LightCurveTable:
    """Read a table with ``object_id, mjd, band`` and ``flux_njy, flux_err_njy`` or ``mag, mag_err``.

    The light curves that the API returns as CSV or Parquet are such tables.

    Parameters
    ----------
    path
        ``.csv``, ``.csv.gz`` or ``.parquet``. Optional columns: redshift, mwebv, and detected (0 or 1) or
        kind (detection, forced, upper_limit); limiting_mag, for rows without a magnitude; ``mjd_tai`` instead
        of ``mjd``. Other columns are ignored. Fluxes take precedence in a file with fluxes and magnitudes.
    utc
        Whether the times are UTC instead of TAI.
    detection_snr
        Without a `kind` or `detected` column, a flux whose absolute value is at least this multiple of its
        error is a detection. A magnitude always is one.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, or a value is invalid; the message contains file,
        column and row.
    """
    table = read_table(path)
    photometry = ("flux_njy", "flux_err_njy") if "flux_njy" in table.column_names else ("mag", "mag_err")
    time = "mjd_tai" if "mjd_tai" in table.column_names and "mjd" not in table.column_names else "mjd"
    if time == "mjd_tai" and utc:
        raise InputError(f"{path}: column mjd_tai is TAI already: omit --utc")
    for name in ("object_id", time, "band", *photometry):
        if name not in table.column_names:
            raise InputError(f"{path}: no column {name!r}; it has {', '.join(table.column_names) or 'none'}")
    names, codes = _object_codes(path, table)
    flux, error, kind = _fluxes(path, table, photometry, detection_snr)
    rows = np.zeros(table.num_rows, dtype=OBSERVATION)
    mjd = _numbers(path, table, time)
    _reject_first(path, time, mjd >= MAX_MJD, "is not an MJD (JD - 2400000.5)")
    rows["mjd_tai"] = mjd_tai_of_mjd_utc(mjd) if utc else mjd
    rows["band"] = _bands(path, table)
    rows["flux_njy"], rows["flux_err_njy"] = flux, error
    rows["kind"] = kind
    # Ties are broken by the measured values, so that the order of rows in the file does not matter.
    order = np.lexsort(
        (rows["flux_err_njy"], rows["flux_njy"], rows["band"], rows["kind"], rows["mjd_tai"], codes)
    )
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(names)))]).astype(np.int64)
    rows = rows[order]
    rows["source_id"] = np.arange(len(rows)) - offsets[codes[order]]
    return LightCurveTable(
        object_id=names,
        offsets=offsets,
        observations=rows,
        redshift=_per_object(path, table, "redshift", codes, len(names)),
        mwebv=_per_object(path, table, "mwebv", codes, len(names)),
    )


def read_table(path: Path) -> pa.Table:
    """Read a CSV (also ``.csv.gz``) or Parquet file.

    Parameters
    ----------
    path
        The suffix decides the format: Parquet for ``.parquet`` and ``.pq``, else CSV.

    Returns
    -------
    pyarrow.Table
        From CSV, ``object_id`` and ``band`` are strings and the other types are inferred.

    Raises
    ------
    InputError
        If the file does not exist or is not of the format of its suffix.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return pyarrow.parquet.read_table(path)
        text = {name: pa.string() for name in ("object_id", "band")}
        options = pyarrow.csv.ConvertOptions(column_types=text, strings_can_be_null=False)
        return pyarrow.csv.read_csv(path, convert_options=options)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a readable table: {str(error).splitlines()[0]}") from error


def _object_codes(path: Path, table: pa.Table) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    column = pc.cast(table.column("object_id"), pa.string()).combine_chunks()
    empty = pc.or_kleene(pc.is_null(column), pc.equal(pc.fill_null(column, ""), ""))
    _reject_first(path, "object_id", np.asarray(empty), "is empty")
    encoded = pc.dictionary_encode(column)
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    return tuple(encoded.dictionary.to_pylist()), np.asarray(encoded.indices).astype(np.int64)


def _fluxes(
    path: Path, table: pa.Table, columns: tuple[str, str], detection_snr: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.uint8]]:
    """Return flux (nJy), error (nJy) and `Kind` of each row."""
    is_flux = columns[0] == "flux_njy"
    is_limit = np.zeros(table.num_rows, np.bool_)
    limit = np.full(table.num_rows, np.nan)
    if not is_flux and "limiting_mag" in table.column_names:
        limit = _numbers(path, table, "limiting_mag", optional=True)
        is_limit = np.isfinite(limit) & ~np.isfinite(_numbers(path, table, "mag", optional=True))
    first, second = (_numbers(path, table, name, may_be_empty=is_limit) for name in columns)
    _reject_first(path, columns[1], ~(second > 0) & ~is_limit, "must be greater than 0")
    flux, error = (first, second) if is_flux else magnitude_to_flux(first, second)
    flux, error = np.where(is_limit, 0.0, flux), np.where(is_limit, noise_njy_of_limit(limit), error)
    detected = np.abs(flux) >= detection_snr * error if is_flux else np.ones(len(flux), np.bool_)
    if "detected" in table.column_names:
        given = _numbers(path, table, "detected")
        _reject_first(path, "detected", ~np.isin(given, (0, 1)), "must be 0 or 1")
        detected = given == 1
    kind = np.where(detected, Kind.DETECTION, Kind.FORCED)
    if "detected" not in table.column_names and "kind" in table.column_names:
        kind = _kinds(table, kind)
    return flux, error, np.where(is_limit, Kind.UPPER_LIMIT, kind).astype(np.uint8)


def _kinds(table: pa.Table, otherwise: NDArray[np.int64]) -> NDArray[np.int64]:
    """Read the ``kind`` column if it has our names of kinds; else it has another meaning and is ignored."""
    codes = {kind.name.lower(): int(kind) for kind in Kind}
    names = table.column("kind").to_pylist()
    return np.array([codes[name] for name in names]) if set(names) <= set(codes) else otherwise


def _bands(path: Path, table: pa.Table) -> NDArray[np.uint8]:
    encoded = pc.dictionary_encode(pc.fill_null(pc.cast(table.column("band"), pa.string()), ""))
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    names = encoded.dictionary.to_pylist()
    code = np.array([BAND_OF_NAME.get(name.strip(), 255) for name in names], dtype=np.uint8)
    indices = np.asarray(encoded.indices)
    bands = code[indices] if len(names) else np.zeros(0, np.uint8)
    unknown = np.flatnonzero(bands == 255)
    if len(unknown):
        value = names[indices[unknown[0]]]
        raise InputError(f"{path}: column band, row {unknown[0] + 1}: {value!r} is not one of u g r i z y")
    return bands


def _per_object(
    path: Path, table: pa.Table, name: str, codes: NDArray[np.int64], count: int
) -> NDArray[np.float32]:
    values = np.full(count, np.nan, dtype=np.float32)
    if name in table.column_names:
        given = _numbers(path, table, name, optional=True)
        # Assigned in reverse, so that the first value of each object remains.
        rows = np.flatnonzero(np.isfinite(given))[::-1]
        values[codes[rows]] = given[rows]
    return values


def _numbers(
    path: Path,
    table: pa.Table,
    name: str,
    *,
    optional: bool = False,
    may_be_empty: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Read a column of numbers, with NaN for empty values.

    Empty values are allowed everywhere if `optional`, else only in the rows of `may_be_empty`.
    """
    column = table.column(name)
    if pa.types.is_null(column.type):
        values = np.full(table.num_rows, np.nan)
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        values = _parse(path, name, column)
    else:
        try:
            values = np.asarray(pc.fill_null(pc.cast(column, pa.float64()), np.nan), dtype=np.float64)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(f"{path}: column {name}: holds {column.type}, not numbers") from error
    if not optional:
        required = np.ones(len(values), np.bool_) if may_be_empty is None else ~may_be_empty
        _reject_first(path, name, required & ~np.isfinite(values), "is empty or not a finite number")
    return values


def _parse(path: Path, name: str, column: pa.ChunkedArray) -> NDArray[np.float64]:
    values = np.empty(len(column))
    for row, text in enumerate(column.to_pylist()):
        try:
            values[row] = float(text) if text not in (None, "") else np.nan
        except ValueError as error:
            raise InputError(f"{path}: column {name}, row {row + 1}: {text!r} is not a number") from error
    return values


def _reject_first(path: Path, name: str, is_invalid: NDArray[np.bool_], reason: str) -> None:
    """Raise `InputError` for the first invalid row, if there is one."""
    rows = np.flatnonzero(is_invalid)
    if len(rows):
        raise InputError(f"{path}: column {name}, row {rows[0] + 1}: {reason}")
