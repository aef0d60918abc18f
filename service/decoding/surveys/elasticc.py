"""Alerts of the ELAsTiCC challenge, 0.9 (with its pre-release) and 0.9.1: which fields, what they mean."""

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
"""What SNANA writes where it has no value."""

HIGHEST_REDSHIFT = 20.0
LARGEST_MWEBV = 100.0


def map_alerts(raw: RawAlerts) -> MappedAlerts:
    """Bring ELAsTiCC alerts to the common form."""
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
        mwebv=known(columns["diaObject.mwebv"], LARGEST_MWEBV).astype(np.float32),
    )


def checked_triggers(columns: dict[str, NDArray[Any]], checks: Checks) -> Triggers:
    """Give the triggering exposures; what is impossible goes into `checks`."""
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
    """Give the rows of ``prvDiaSources`` or ``prvDiaForcedSources``."""
    table = raw.tables[path]
    columns, owners = table.columns, table.owners()
    flux_njy, flux_err_njy = fluxes(columns["psFlux"], columns["psFluxErr"], unit_njy[owners])
    band = bands_of(columns["filterName"], BANDS)
    return Rows(owners, columns["midPointTai"], flux_njy, flux_err_njy, band, kind, columns[id_name])


def fluxes(
    flux: NDArray[np.float64], error: NDArray[np.float64], unit_njy: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give flux and error in nJy; NaN where one of them is a sentinel."""
    is_missing = np.zeros(len(flux), np.bool_)
    for sentinel in SENTINELS:
        is_missing |= (flux == sentinel) | (error == sentinel)
    return np.where(is_missing, np.nan, flux * unit_njy), error * unit_njy


def flux_units_njy(is_prerelease: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give the flux unit of each alert in nJy.

    The challenge's alerts are in nJy. Those made before it are in SNANA's FLUXCAL (zero point 27.5): their
    errors, read as nJy, would be those of a telescope 4 magnitudes deeper than LSST in every band.
    """
    return np.where(is_prerelease, njy_of_fluxcal(), 1.0)


def redshifts(columns: dict[str, NDArray[Any]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give redshift and error of the nearest host: spectroscopic if there is one, else photometric."""
    redshift = np.full(len(columns["diaObject.hostgal_z"]), np.nan)
    redshift_err = redshift.copy()
    for name in ("hostgal_zspec", "hostgal_z", "hostgal_zphot"):
        value = known(columns[f"diaObject.{name}"], HIGHEST_REDSHIFT)
        error = known(columns[f"diaObject.{name}_err"], HIGHEST_REDSHIFT)
        is_better = np.isnan(redshift) & ~np.isnan(value)
        redshift[is_better] = value[is_better]
        redshift_err[is_better] = error[is_better]
    return redshift.astype(np.float32), redshift_err.astype(np.float32)


def known(values: NDArray[np.float64], largest: float) -> NDArray[np.float64]:
    """Give values that are none of the sentinels and can be what they are said to be; else NaN."""
    # All negative sentinels fail the first comparison, 999 the second.
    return np.where((values >= 0) & (values <= largest), values, np.nan)
