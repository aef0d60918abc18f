"""PLAsTiCC and ELAsTiCC tables: a table of photometry and one of objects, CSV or Parquet."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.core.alerts import Survey
from service.core.photometry import DETECTION_SIGMA
from service.decoding.light_curve_table import BAND_OF_NAME, read_table
from service.errors import InputError
from training.data.light_curves import LabelledLightCurves, PhotometryTable, assemble, detection_kinds
from training.data.snana import FLUXCAL_TO_NJY
from training.data.tables import column_numbers, column_text

__all__ = ["PLASTICC_TARGETS", "read_plasticc"]

# PLAsTiCC numbers its passbands ugrizy from 0 and its classes by arbitrary numbers (arXiv 1810.00001).
PLASTICC_TARGETS = {
    "90": "SNIa",
    "67": "SNIa-91bg",
    "52": "SNIax",
    "62": "SNIbc",
    "42": "SNII",
    "95": "SLSN-I",
    "15": "TDE",
    "88": "AGN",
    "64": "KN",
    "992": "ILOT",
    "993": "CART",
    "994": "PISN",
    "92": "RRL",
    "16": "EB",
    "53": "LPV",
    "65": "M-dwarf Flare",
    "6": "uLens",
    "991": "uLens",
    "99": "other",
}
_IDENTITY = ("object_id", "SNID", "diaObjectId")
_TIME = ("mjd", "MJD", "midPointTai", "midpointMjdTai")
_BAND = ("passband", "band", "BAND", "FLT", "filterName")
_LABEL = ("true_target", "target", "class", "SIM_MODEL_NAME", "classname")
_REDSHIFT = ("hostgal_specz", "true_z", "REDSHIFT_FINAL", "REDSHIFT_HELIO", "ZHELIO")
# Column of the flux, of its error, and what one unit is in nJy.
_FLUX = (
    ("flux", "flux_err", FLUXCAL_TO_NJY),
    ("FLUXCAL", "FLUXCALERR", FLUXCAL_TO_NJY),
    ("psFlux", "psFluxErr", 1.0),
    ("psfFlux", "psfFluxErr", 1.0),
)


def read_plasticc(light_curves: Path, metadata: Path | None = None) -> LabelledLightCurves:
    """Read PLAsTiCC's pair of CSV files, or ELAsTiCC light curves as a data frame.

    Parameters
    ----------
    light_curves
        One row per observation. Fluxes named ``flux`` or ``FLUXCAL`` have AB zero point 27.5, ``psFlux`` is
        in nJy. The column ``detected_bool`` or ``detected`` marks detections; without it they are the rows
        above 5 sigma.
    metadata
        One row per object, with class, redshift and position; None: nothing is known of them.

    Raises
    ------
    InputError
        A file cannot be read or lacks a column; the message names the spellings looked for.
    """
    table = read_table(light_curves)
    identity = column_text(table, _find(light_curves, table, _IDENTITY))
    flux_name, error_name, unit = next(
        (names for names in _FLUX if names[0] in table.column_names), ("flux", "flux_err", 1.0)
    )
    flux = column_numbers(table, _find(light_curves, table, (flux_name,))) * unit
    error = column_numbers(table, _find(light_curves, table, (error_name,))) * unit
    flag = next((name for name in ("detected_bool", "detected") if name in table.column_names), None)
    detected = column_numbers(table, flag) == 1 if flag else np.abs(flux) > DETECTION_SIGMA * error
    rows = PhotometryTable(
        object_id=identity,
        mjd_tai=column_numbers(table, _find(light_curves, table, _TIME)),
        flux_njy=flux,
        flux_err_njy=error,
        band=_bands(light_curves, column_text(table, _find(light_curves, table, _BAND))),
        kind=detection_kinds(detected),
    )
    if metadata is None:
        return assemble(Survey.LSST, light_curves.name, {"object_id": np.unique(identity)}, rows)
    return assemble(Survey.LSST, light_curves.name, _objects(metadata), rows)


def _objects(path: Path) -> dict[str, NDArray[Any]]:
    table = read_table(path)
    names = {name.lower(): name for name in table.column_names}
    columns: dict[str, NDArray[Any]] = {"object_id": column_text(table, _find(path, table, _IDENTITY))}
    label = next((name for name in _LABEL if name in table.column_names), None)
    if label:
        texts = column_text(table, label)
        columns["label"] = np.array([PLASTICC_TARGETS.get(str(text), str(text)) for text in texts])
    redshift = next((name for name in _REDSHIFT if name in table.column_names), None)
    if redshift:
        values = column_numbers(table, redshift)
        # PLAsTiCC has 0 for galactic objects and NaN or -9 where there is no spectrum.
        columns["redshift"] = np.where(values > 0, values, np.nan)
    for key, spellings in (("mwebv", ("mwebv",)), ("ra_deg", ("ra",)), ("dec_deg", ("decl", "dec"))):
        name = next((names[spelling] for spelling in spellings if spelling in names), None)
        if name:
            columns[key] = column_numbers(table, name)
    return columns


def _bands(path: Path, names: NDArray[np.str_]) -> NDArray[np.uint8]:
    listed, codes = np.unique(names, return_inverse=True)
    try:
        bands: NDArray[np.uint8] = np.array(
            [int(name) if name in set("012345") else BAND_OF_NAME[str(name)] for name in listed], np.uint8
        )
    except KeyError as error:
        raise InputError(
            f"{path}: passband {error.args[0]!r} is neither 0..5 nor one of u g r i z y"
        ) from error
    return bands[codes]


def _find(path: Path, table: pa.Table, spellings: tuple[str, ...]) -> str:
    for name in spellings:
        if name in table.column_names:
            return name
    raise InputError(f"{path}: none of the columns {', '.join(spellings)}")
