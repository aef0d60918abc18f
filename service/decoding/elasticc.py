"""Alerts of the ELAsTiCC challenge, 0.9 (with its pre-release) and 0.9.1: which fields, what they mean."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band, Kind, Survey
from service.core.photometry import njy_of_fluxcal
from service.decoding.columns import Column, ColumnType, Layout, RawAlerts, Table
from service.decoding.mapping import (
    NO_BAND,
    Checks,
    MappedAlerts,
    Rows,
    as_ids,
    bands_of,
    first_given,
    light_curves,
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
    alert_id = columns["diaSource.diaSourceId"]
    checks.valid("diaSource.diaSourceId", alert_id, alert_id > 0)
    mjd_tai = columns["diaSource.midPointTai"]
    checks.time("diaSource.midPointTai", mjd_tai)
    ra_deg, dec_deg = columns["diaSource.ra"], columns["diaSource.decl"]
    checks.position(ra_deg, dec_deg, ("diaSource.ra", "diaSource.decl"))
    band = bands_of(columns["diaSource.filterName"], BANDS)
    checks.valid("diaSource.filterName", columns["diaSource.filterName"], band != NO_BAND)
    dia_object = first_given(columns["diaSource.diaObjectId"], columns["diaObject.diaObjectId"])
    checks.given("diaObjectId", dia_object == 0)
    checks.valid("diaObjectId", dia_object, dia_object >= 0)

    unit_njy = flux_units_njy(columns["diaObject.hostgal_zphot_q99"])
    owners = np.arange(raw.n_alerts)
    pieces = (
        rows(columns, "diaSource.", "diaSourceId", owners, unit_njy, Kind.DETECTION),
        table_rows(raw, "prvDiaSources", "diaSourceId", unit_njy, Kind.DETECTION),
        table_rows(raw, "prvDiaForcedSources", "diaForcedSourceId", unit_njy, Kind.FORCED),
    )
    checks.rows("prvDiaSources", pieces[1])
    checks.rows("prvDiaForcedSources", pieces[2])
    curves = light_curves(Survey.ELASTICC, mjd_tai, pieces)
    redshift, redshift_err = redshifts(columns)
    nothing = np.full(raw.n_alerts, np.nan, np.float32)
    return MappedAlerts(
        survey=Survey.ELASTICC,
        object_id=[str(number) for number in dia_object.tolist()],
        alert_id=as_ids(alert_id),
        mjd_tai=mjd_tai,
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        band=band,
        is_solar_system=np.zeros(raw.n_alerts, np.bool_),  # the challenge has none
        real_bogus=nothing,
        star_galaxy=nothing,
        star_distance_arcsec=nothing,
        redshift=redshift,
        redshift_err=redshift_err,
        mwebv=known(columns["diaObject.mwebv"], LARGEST_MWEBV).astype(np.float32),
        offsets=curves.offsets,
        observations=curves.observations,
        errors=checks.errors,
    )


def table_rows(raw: RawAlerts, path: str, id_name: str, unit_njy: NDArray[np.float64], kind: Kind) -> Rows:
    """Give the rows of ``prvDiaSources`` or ``prvDiaForcedSources``."""
    table = raw.tables[path]
    owners = table.owners()
    return rows(table.columns, "", id_name, owners, unit_njy[owners], kind)


def rows(
    columns: dict[str, NDArray[Any]],
    prefix: str,
    id_name: str,
    owners: NDArray[np.int64],
    unit_njy: NDArray[np.float64],
    kind: Kind,
) -> Rows:
    """Give measurements as rows; a flux or error that is a sentinel is none."""
    flux, error = columns[prefix + "psFlux"], columns[prefix + "psFluxErr"]
    return Rows(
        owners,
        columns[prefix + "midPointTai"],
        flux * unit_njy,
        error * unit_njy,
        bands_of(columns[prefix + "filterName"], BANDS),
        kind,
        columns[prefix + id_name],
        ~np.isin(flux, SENTINELS) & ~np.isin(error, SENTINELS),
    )


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
