"""Alerts of the ELAsTiCC challenge, schema 0.9 (with its pre-release) and 0.9.1."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band, Kind, Survey
from service.core.photometry import njy_of_fluxcal
from service.decoding.columns import Column, ColumnType, Layout, RawAlerts, Table
from service.decoding.surveys.mapping import (
    NO_BAND,
    Checks,
    MappedAlerts,
    Rows,
    Triggers,
    bands_of,
    first_given,
    light_curves,
    mapped_alerts,
)

__all__ = ["LAYOUT", "map_alerts"]

F, I, T = ColumnType.FLOAT, ColumnType.INTEGER, ColumnType.TEXT  # noqa: E741

MEASUREMENT = (
    Column("midPointTai", F),
    Column("psFlux", F),
    Column("psFluxErr", F),
    Column("filterName", T, 4),
)

LAYOUT = Layout(
    Survey.ELASTICC,
    (
        # Not alertId: in the pre-release it is the same number in every alert.
        Column("diaSource.diaSourceId", I),
        Column("diaSource.diaObjectId", I),
        Column("diaSource.midPointTai", F),
        Column("diaSource.ra", F),
        Column("diaSource.decl", F),
        Column("diaSource.psFlux", F),
        Column("diaSource.psFluxErr", F),
        Column("diaSource.filterName", T, 4),
        Column("diaObject.diaObjectId", I),
        Column("diaObject.mwebv", F, required=False),
        Column("diaObject.hostgal_zspec", F, required=False),
        Column("diaObject.hostgal_zspec_err", F, required=False),
        Column("diaObject.hostgal_zphot", F, required=False),
        Column("diaObject.hostgal_zphot_err", F, required=False),
        Column("diaObject.hostgal_z", F, required=False),  # the pre-release's one host redshift
        Column("diaObject.hostgal_z_err", F, required=False),
        Column("diaObject.hostgal_zphot_q99", ColumnType.DECLARED),  # only in the pre-release
    ),
    (
        Table("prvDiaSources", (Column("diaSourceId", I), *MEASUREMENT)),
        Table("prvDiaForcedSources", (Column("diaForcedSourceId", I), *MEASUREMENT)),
    ),
)

BANDS = {
    b"u": Band.U,
    b"g": Band.G,
    b"r": Band.R,
    b"i": Band.I,
    b"z": Band.Z,
    b"Y": Band.Y,
    b"y": Band.Y,
}

SENTINELS = (-9.0, -99.0, -999.0, -9999.0, 999.0)
"""SNANA's values for missing data."""

MAX_REDSHIFT = 20.0
MAX_MWEBV = 100.0


def map_alerts(raw: RawAlerts) -> MappedAlerts:
    """Convert ELAsTiCC alerts to the common form.

    Parameters
    ----------
    raw
        Columns and tables of `LAYOUT`.
    """
    columns = raw.columns
    checks = Checks()
    triggers = checked_triggers(columns, checks)
    dia_object = first_given(columns["diaSource.diaObjectId"], columns["diaObject.diaObjectId"])
    checks.given("diaObjectId", dia_object == 0)
    checks.valid("diaObjectId", dia_object, dia_object >= 0)
    unit_njy = flux_units_njy(columns["diaObject.hostgal_zphot_q99"])
    flux_njy, flux_err_njy = fluxes(columns["diaSource.psFlux"], columns["diaSource.psFluxErr"], unit_njy)
    history = table_rows(raw, "prvDiaSources", "diaSourceId", unit_njy, Kind.DETECTION)
    forced = table_rows(raw, "prvDiaForcedSources", "diaForcedSourceId", unit_njy, Kind.FORCED)
    checks.rows("prvDiaSources", history)
    checks.rows("prvDiaForcedSources", forced)
    redshift, redshift_err = redshifts(columns)
    return mapped_alerts(
        triggers,
        light_curves(Survey.ELASTICC, triggers, flux_njy, flux_err_njy, (history, forced)),
        checks,
        object_id=list(map(str, dia_object.tolist())),
        is_solar_system=np.zeros(raw.n_alerts, np.bool_),  # the challenge has none
        redshift=redshift,
        redshift_err=redshift_err,
        mwebv=without_sentinels(columns["diaObject.mwebv"], MAX_MWEBV).astype(np.float32),
    )


def checked_triggers(columns: dict[str, NDArray[Any]], checks: Checks) -> Triggers:
    """Return the triggering exposures.

    Parameters
    ----------
    columns
        Columns of the layout.
    checks
        Receives the errors of invalid values.
    """
    alert_id = columns["diaSource.diaSourceId"]
    checks.valid("diaSource.diaSourceId", alert_id, alert_id > 0)
    mjd_tai = columns["diaSource.midPointTai"]
    checks.time("diaSource.midPointTai", mjd_tai)
    ra_deg, dec_deg = columns["diaSource.ra"], columns["diaSource.decl"]
    checks.position(ra_deg, dec_deg, ("diaSource.ra", "diaSource.decl"))
    band = bands_of(columns["diaSource.filterName"], BANDS)
    checks.valid("diaSource.filterName", columns["diaSource.filterName"], band != NO_BAND)
    return Triggers(alert_id, mjd_tai, ra_deg, dec_deg, band)


def table_rows(raw: RawAlerts, path: str, id_name: str, unit_njy: NDArray[np.float64], kind: Kind) -> Rows:
    """Return the rows of ``prvDiaSources`` or ``prvDiaForcedSources``.

    Parameters
    ----------
    raw
        Columns and tables of `LAYOUT`.
    path, id_name
        Name of the table and of its id column.
    unit_njy
        float64, shape (n_alerts,), flux unit of each alert.
    kind
        Kind of the rows.
    """
    table = raw.tables[path]
    columns, owners = table.columns, table.owners()
    flux_njy, flux_err_njy = fluxes(columns["psFlux"], columns["psFluxErr"], unit_njy[owners])
    band = bands_of(columns["filterName"], BANDS)
    return Rows(owners, columns["midPointTai"], flux_njy, flux_err_njy, band, kind, columns[id_name])


def fluxes(
    flux: NDArray[np.float64], error: NDArray[np.float64], unit_njy: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Convert fluxes and errors to nJy.

    Parameters
    ----------
    flux, error
        float64, shape (n,), in units of `unit_njy`; `SENTINELS` mean that there is no measurement.
    unit_njy
        float64, shape (n,).

    Returns
    -------
    flux_njy, flux_err_njy : ndarray, shape (n,), float64
        The flux is NaN where there is no measurement.
    """
    is_missing = np.zeros(len(flux), np.bool_)
    for sentinel in SENTINELS:
        is_missing |= (flux == sentinel) | (error == sentinel)
    return np.where(is_missing, np.nan, flux * unit_njy), error * unit_njy


def flux_units_njy(is_prerelease: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the flux unit of each alert.

    The challenge's alerts are in nJy. Those of the pre-release are in SNANA's FLUXCAL (zero point 27.5): read
    as nJy, their errors would be those of a telescope 4 magnitudes deeper than LSST in every band.

    Parameters
    ----------
    is_prerelease
        bool, shape (n_alerts,).

    Returns
    -------
    ndarray, shape (n_alerts,), float64
        nJy.
    """
    return np.where(is_prerelease, njy_of_fluxcal(), 1.0)


def redshifts(columns: dict[str, NDArray[Any]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the redshift of the nearest host and its error: spectroscopic if there is one, else photometric.

    Parameters
    ----------
    columns
        Columns of the layout.

    Returns
    -------
    redshift, redshift_err : ndarray, shape (n_alerts,), float32
        NaN where there is none.
    """
    redshift = np.full(len(columns["diaObject.hostgal_z"]), np.nan)
    redshift_err = redshift.copy()
    for name in ("hostgal_zspec", "hostgal_z", "hostgal_zphot"):
        value = without_sentinels(columns[f"diaObject.{name}"], MAX_REDSHIFT)
        error = without_sentinels(columns[f"diaObject.{name}_err"], MAX_REDSHIFT)
        is_better = np.isnan(redshift) & ~np.isnan(value)
        redshift[is_better] = value[is_better]
        redshift_err[is_better] = error[is_better]
    return redshift.astype(np.float32), redshift_err.astype(np.float32)


def without_sentinels(values: NDArray[np.float64], maximum: float) -> NDArray[np.float64]:
    """Replace sentinels and implausible values by NaN.

    Parameters
    ----------
    values
        float64, shape (n,).
    maximum
        Largest plausible value.
    """
    # The negative sentinels fail the first comparison, 999 the second.
    return np.where((values >= 0) & (values <= maximum), values, np.nan)
