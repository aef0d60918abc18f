"""LSST alerts, schema 7.0 to 11.1."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band, Kind, Survey
from service.decoding.columns import Column, ColumnType, Layout, RawAlerts, Table
from service.decoding.surveys.mapping import (
    NO_BAND,
    Checks,
    MappedAlerts,
    Rows,
    Triggers,
    bands_of,
    first_given,
    in_unit_interval,
    light_curves,
    mapped_alerts,
)

__all__ = ["LAYOUT", "map_alerts"]

F, I, T = ColumnType.FLOAT, ColumnType.INTEGER, ColumnType.TEXT  # noqa: E741

LAYOUT = Layout(
    Survey.LSST,
    (
        Column("diaSource.diaSourceId", I),
        Column("diaSource.diaObjectId", I),
        Column("diaSource.ssObjectId", I, required=False),
        Column("diaSource.midpointMjdTai", F),
        Column("diaSource.ra", F),
        Column("diaSource.dec", F),
        Column("diaSource.psfFlux", F),
        Column("diaSource.psfFluxErr", F),
        Column("diaSource.band", T, 4),
        Column("diaSource.reliability", F, required=False),
        Column("diaObject.diaObjectId", I),
        Column("ssSource.ssObjectId", I, required=False),  # from 8.0
        Column("ssObject.ssObjectId", I, required=False),  # up to 7.4
    ),
    (
        Table(
            "prvDiaSources",
            (
                Column("diaSourceId", I),
                Column("midpointMjdTai", F),
                Column("psfFlux", F),
                Column("psfFluxErr", F),
                Column("band", T, 4),
            ),
        ),
        Table(
            "prvDiaForcedSources",
            (
                Column("diaForcedSourceId", I),
                Column("visit", I),
                Column("detector", I),
                Column("midpointMjdTai", F),
                Column("psfFlux", F),
                Column("psfFluxErr", F),
                Column("band", T, 4),
            ),
        ),
    ),
)

BANDS = {b"u": Band.U, b"g": Band.G, b"r": Band.R, b"i": Band.I, b"z": Band.Z, b"y": Band.Y}

DETECTORS = 1000
"""More than LSSTCam has (205), so that visit * 1000 + detector identifies the exposure of one detector."""


def map_alerts(raw: RawAlerts) -> MappedAlerts:
    """Convert LSST alerts to the common form.

    Fluxes are used as they are: in nJy, and negative where the source faded. ``isNegative`` contradicts the
    sign in some rows, and photometry with ``psfFlux_flag`` agrees with the forced photometry of the same
    visits as well as any other, so neither is used.

    Parameters
    ----------
    raw
        Columns and tables of `LAYOUT`.
    """
    columns = raw.columns
    checks = Checks()
    triggers = checked_triggers(columns, checks)
    dia_object = first_given(columns["diaSource.diaObjectId"], columns["diaObject.diaObjectId"])
    checks.valid("diaObjectId", dia_object, dia_object >= 0)
    ss_object = first_given(
        columns["diaSource.ssObjectId"], columns["ssSource.ssObjectId"], columns["ssObject.ssObjectId"]
    )
    history, forced = history_rows(raw), forced_rows(raw)
    checks.rows("prvDiaSources", history)
    checks.rows("prvDiaForcedSources", forced)
    flux_njy, flux_err_njy = columns["diaSource.psfFlux"], columns["diaSource.psfFluxErr"]
    return mapped_alerts(
        triggers,
        light_curves(Survey.LSST, triggers, flux_njy, flux_err_njy, (history, forced)),
        checks,
        object_id=object_names(dia_object, ss_object, triggers.alert_id),
        is_solar_system=ss_object != 0,
        # No star score: extendedness is of the difference source, and a transient is a point source.
        real_bogus=in_unit_interval(columns["diaSource.reliability"]),
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
    mjd_tai = columns["diaSource.midpointMjdTai"]
    checks.time("diaSource.midpointMjdTai", mjd_tai)
    ra_deg, dec_deg = columns["diaSource.ra"], columns["diaSource.dec"]
    checks.position(ra_deg, dec_deg, ("diaSource.ra", "diaSource.dec"))
    band = bands_of(columns["diaSource.band"], BANDS)
    checks.given("diaSource.band", columns["diaSource.band"] == b"")
    checks.valid("diaSource.band", columns["diaSource.band"], band != NO_BAND)
    return Triggers(alert_id, mjd_tai, ra_deg, dec_deg, band)


def history_rows(raw: RawAlerts) -> Rows:
    """Return ``prvDiaSources``, which never contains the trigger.

    Parameters
    ----------
    raw
        Columns and tables of `LAYOUT`.
    """
    table = raw.tables["prvDiaSources"]
    columns = table.columns
    return Rows(
        table.owners(),
        columns["midpointMjdTai"],
        columns["psfFlux"],
        columns["psfFluxErr"],
        bands_of(columns["band"], BANDS),
        Kind.DETECTION,
        columns["diaSourceId"],
    )


def forced_rows(raw: RawAlerts) -> Rows:
    """Return ``prvDiaForcedSources``.

    They include the visits of the trigger and of other detections. The merge drops these: rows of equal time
    and band are of the same visit and detector.

    Parameters
    ----------
    raw
        Columns and tables of `LAYOUT`.
    """
    table = raw.tables["prvDiaForcedSources"]
    columns = table.columns
    visit, detector = columns["visit"], columns["detector"]
    # Corrupt visits may overflow; alerts are rejected if the id is not positive.
    with np.errstate(over="ignore"):
        exposure_id = visit * DETECTORS + detector
    return Rows(
        table.owners(),
        columns["midpointMjdTai"],
        columns["psfFlux"],
        columns["psfFluxErr"],
        bands_of(columns["band"], BANDS),
        Kind.FORCED,
        first_given(columns["diaForcedSourceId"], exposure_id),
    )


def object_names(
    dia_object: NDArray[np.int64], ss_object: NDArray[np.int64], dia_source: NDArray[np.int64]
) -> list[str]:
    """Name each alert's object: its diaObject, else its solar-system object, else the source itself.

    Parameters
    ----------
    dia_object, ss_object, dia_source
        int64, shape (n,), ids; 0 for none.

    Returns
    -------
    list of str
        As described in `service.core.alerts.AlertBatch`.
    """
    names = list(map(str, dia_object.tolist()))
    for index in np.flatnonzero(dia_object == 0).tolist():
        names[index] = f"ss{ss_object[index]}" if ss_object[index] else f"src{dia_source[index]}"
    return names
