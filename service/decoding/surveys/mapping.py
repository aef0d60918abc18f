"""Common parts of the surveys' mappings: validation of values and assembly of light curves."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, Band, Kind, Observations, Survey
from service.core.lightcurve.merge import merge_many, one_per_exposure, reported_seconds
from service.decoding.columns import MISSING_INTEGER
from service.errors import RejectedAlertError, RejectionCode

__all__ = [
    "FIRST_MJD_TAI",
    "LAST_MJD_TAI",
    "Checks",
    "LightCurves",
    "MappedAlerts",
    "Rows",
    "Triggers",
    "bands_of",
    "first_given",
    "in_unit_interval",
    "light_curves",
    "mapped_alerts",
]

FIRST_MJD_TAI = 45000.0
LAST_MJD_TAI = 85000.0
"""1982 to 2091: any other time is corrupt (the oldest precursor images are of 2012)."""

CONTEXT = ("real_bogus", "star_galaxy", "star_distance_arcsec", "redshift", "redshift_err", "mwebv")
"""Columns that not every survey provides; NaN where missing."""

NO_BAND = 255
"""Stands for a missing or unknown band."""


@dataclass(frozen=True, slots=True)
class MappedAlerts:
    """One survey's alerts in common units, invalid ones included; columns as in `AlertBatch`.

    Attributes
    ----------
    errors
        Reasons for rejection by index of the alert; the columns of a rejected alert are meaningless.
    """

    survey: Survey
    object_id: list[str]
    alert_id: NDArray[np.uint64]
    mjd_tai: NDArray[np.float64]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    band: NDArray[np.uint8]
    is_solar_system: NDArray[np.bool_]
    real_bogus: NDArray[np.float32]
    star_galaxy: NDArray[np.float32]
    star_distance_arcsec: NDArray[np.float32]
    redshift: NDArray[np.float32]
    redshift_err: NDArray[np.float32]
    mwebv: NDArray[np.float32]
    offsets: NDArray[np.int64]
    observations: Observations
    errors: dict[int, RejectedAlertError]


@dataclass(frozen=True, slots=True)
class Triggers:
    """Columns of the triggering exposures, as in `AlertBatch` but with int64 ids; validated by `Checks`."""

    alert_id: NDArray[np.int64]
    mjd_tai: NDArray[np.float64]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    band: NDArray[np.uint8]


class Checks:
    """Collects the first error of each alert.

    Attributes
    ----------
    errors
        By index of the alert.
    """

    def __init__(self) -> None:
        self.errors: dict[int, RejectedAlertError] = {}

    def given(self, name: str, is_missing: NDArray[np.bool_]) -> None:
        """Reject alerts without a value.

        Parameters
        ----------
        name
            Field, for the message.
        is_missing
            bool, shape (n_alerts,).
        """
        for index in np.flatnonzero(is_missing).tolist():
            error = RejectedAlertError(RejectionCode.MISSING_FIELD, f"{name} is null")
            self.errors.setdefault(index, error)

    def valid(
        self,
        name: str,
        values: NDArray[Any],
        is_valid: NDArray[np.bool_],
        owners: NDArray[np.int64] | None = None,
    ) -> None:
        """Reject alerts with an invalid value.

        Parameters
        ----------
        name
            Field, for the message.
        values, is_valid
            Shape (n_alerts,), or (n_rows,) for a table.
        owners
            For a table: int64, shape (n_rows,), index of each row's alert.
        """
        if is_valid.all():
            return
        for position in np.flatnonzero(~is_valid).tolist():
            index = position if owners is None else int(owners[position])
            if index not in self.errors:
                message = f"{name} has the invalid value {values[position].item()!r:.100}"
                self.errors[index] = RejectedAlertError(RejectionCode.INVALID_VALUE, message)

    def position(
        self, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], names: tuple[str, str]
    ) -> None:
        """Reject alerts without a valid position.

        Parameters
        ----------
        ra_deg, dec_deg
            float64, shape (n_alerts,), degrees; NaN is invalid.
        names
            Their fields, for the message.
        """
        self.valid(names[0], ra_deg, (ra_deg >= 0) & (ra_deg <= 360))
        self.valid(names[1], dec_deg, (dec_deg >= -90) & (dec_deg <= 90))

    def time(self, name: str, mjd_tai: NDArray[np.float64]) -> None:
        """Reject alerts without a valid time.

        Parameters
        ----------
        name
            Field, for the message.
        mjd_tai
            float64, shape (n_alerts,), days; NaN is invalid.
        """
        self.valid(name, mjd_tai, is_time(mjd_tai))

    def rows(self, name: str, rows: "Rows") -> None:
        """Reject alerts with a usable row of an invalid time or id.

        Parameters
        ----------
        name
            Table, for the message.
        rows
            Its rows.
        """
        self.valid(f"{name} time", rows.mjd_tai, is_time(rows.mjd_tai) | ~rows.is_usable, rows.owner)
        self.valid(f"{name} id", rows.source_id, (rows.source_id > 0) | ~rows.is_usable, rows.owner)


@dataclass(slots=True)
class Rows:
    """Observations of one kind as columns, each of shape (n_rows,).

    Attributes
    ----------
    owner
        int64, index of each row's alert, ascending.
    mjd_tai, flux_njy, flux_err_njy
        float64: days, nJy, and 1 sigma in nJy.
    band
        uint8, `Band` or `NO_BAND`.
    kind
        One kind for all rows, or uint8 for each.
    source_id
        int64.
    is_usable
        bool, False where the survey provides no measurement. Rows without a flux that is finite in float32, a
        positive error, a band or a time are not usable either.
    """

    owner: NDArray[np.int64]
    mjd_tai: NDArray[np.float64]
    flux_njy: NDArray[np.float64]
    flux_err_njy: NDArray[np.float64]
    band: NDArray[np.uint8]
    kind: Kind | NDArray[np.uint8]
    source_id: NDArray[np.int64]
    is_usable: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))

    def __post_init__(self) -> None:
        """Mark rows that cannot be stored as a measurement as not usable."""
        if not len(self.is_usable):
            self.is_usable = np.ones(len(self.owner), np.bool_)
        with np.errstate(over="ignore", under="ignore"):
            flux, error = self.flux_njy.astype(np.float32), self.flux_err_njy.astype(np.float32)
        is_measured = np.isfinite(flux) & np.isfinite(error) & (error > 0)
        self.is_usable = self.is_usable & is_measured & (self.band != NO_BAND) & ~np.isnan(self.mjd_tai)


@dataclass(frozen=True, slots=True)
class LightCurves:
    """Light curves of one survey's alerts.

    Attributes
    ----------
    survey
        The survey.
    offsets
        int64, shape (n_alerts + 1,): rows ``offsets[i]:offsets[i + 1]`` belong to alert i.
    observations
        `OBSERVATION`, canonical light curves end to end.
    """

    survey: Survey
    offsets: NDArray[np.int64]
    observations: Observations


def mapped_alerts(
    triggers: Triggers,
    curves: "LightCurves",
    checks: Checks,
    object_id: list[str],
    is_solar_system: NDArray[np.bool_],
    **context: NDArray[np.float32],
) -> MappedAlerts:
    """Assemble the alerts of one survey.

    Parameters
    ----------
    triggers, curves
        Triggers and light curves of n alerts.
    checks
        Their errors.
    object_id
        The survey's own names of the n objects.
    is_solar_system
        bool, shape (n,).
    context
        float32, shape (n,): those columns of `CONTEXT` that the survey provides.
    """
    missing = np.full(len(object_id), np.nan, np.float32)
    return MappedAlerts(
        survey=curves.survey,
        object_id=object_id,
        alert_id=np.maximum(triggers.alert_id, 0).astype(np.uint64),  # the others are rejected
        mjd_tai=triggers.mjd_tai,
        ra_deg=triggers.ra_deg,
        dec_deg=triggers.dec_deg,
        band=triggers.band,
        is_solar_system=is_solar_system,
        offsets=curves.offsets,
        observations=curves.observations,
        errors=checks.errors,
        **{name: context.get(name, missing) for name in CONTEXT},
    )


def light_curves(
    survey: Survey,
    triggers: Triggers,
    flux_njy: NDArray[np.float64],
    flux_err_njy: NDArray[np.float64],
    others: tuple[Rows, ...],
) -> LightCurves:
    """Merge the usable rows of all kinds into one light curve per alert.

    Parameters
    ----------
    survey
        Decides whether forced photometry repeats detections.
    triggers
        The triggering exposures; all rows of an alert are reported at the time of its trigger.
    flux_njy, flux_err_njy
        float64, shape (n_alerts,), flux and 1-sigma error of the triggers.
    others
        Rows from the packets' tables.
    """
    mjd_tai = triggers.mjd_tai
    owners = np.arange(len(mjd_tai))
    detections = Rows(
        owners, mjd_tai, flux_njy, flux_err_njy, triggers.band, Kind.DETECTION, triggers.alert_id
    )
    rows, offsets = _gathered((detections, *others), len(mjd_tai))
    rows["reported_s"] = np.repeat(reported_seconds(mjd_tai), np.diff(offsets))
    no_offsets = np.zeros(len(offsets), np.int64)
    is_one_per_exposure = np.full(len(mjd_tai), one_per_exposure(survey), np.bool_)
    merged = merge_many(rows[:0], no_offsets, rows, offsets, is_one_per_exposure)
    return LightCurves(survey, merged.offsets, merged.rows)


def _gathered(pieces: tuple[Rows, ...], n_alerts: int) -> tuple[Observations, NDArray[np.int64]]:
    """Return the usable rows of all pieces grouped by alert, and the offsets of the alerts."""
    usable = [slice(None) if p.is_usable.all() else np.flatnonzero(p.is_usable) for p in pieces]
    owners = [piece.owner[keep] for piece, keep in zip(pieces, usable, strict=True)]
    counts = [np.bincount(owner, minlength=n_alerts) for owner in owners]
    offsets = np.concatenate([[0], np.cumsum(np.sum(counts, axis=0))]).astype(np.int64)
    rows = np.empty(offsets[-1], OBSERVATION)
    next_row = offsets[:-1].copy()
    for piece, keep, owner, count in zip(pieces, usable, owners, counts, strict=True):
        first = np.cumsum(count) - count  # first row of each alert within the piece
        target = np.arange(len(owner)) + (next_row - first)[owner]
        for name in ("mjd_tai", "flux_njy", "flux_err_njy", "band", "source_id"):
            rows[name][target] = getattr(piece, name)[keep]
        rows["kind"][target] = piece.kind if isinstance(piece.kind, Kind) else piece.kind[keep]
        next_row += count
    return rows, offsets


def is_time(mjd_tai: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether each value is a plausible time of an observation.

    Parameters
    ----------
    mjd_tai
        float64, shape (n,), days; NaN is not a time.
    """
    return (mjd_tai >= FIRST_MJD_TAI) & (mjd_tai <= LAST_MJD_TAI)


def first_given(*values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each alert the first id that is given.

    Parameters
    ----------
    values
        int64, each of shape (n,), in order of preference. `MISSING_INTEGER` and 0 mean that there is no id.

    Returns
    -------
    ndarray, shape (n,), int64
        0 where no id is given.
    """
    result = np.zeros_like(values[0])
    for candidates in reversed(values):
        result = np.where((candidates != 0) & (candidates != MISSING_INTEGER), candidates, result)
    return result


def bands_of(names: NDArray[np.bytes_], bands: dict[bytes, Band]) -> NDArray[np.uint8]:
    """Return the band of each name.

    Parameters
    ----------
    names
        bytes, shape (n,).
    bands
        The survey's names of its bands.

    Returns
    -------
    ndarray, shape (n,), uint8
        `Band`, or `NO_BAND` for any other name.
    """
    result = np.full(len(names), NO_BAND, np.uint8)
    for name, band in bands.items():
        result[names == name] = band
    return result


def in_unit_interval(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return scores as float32.

    Parameters
    ----------
    values
        float64, shape (n,); values outside [0, 1], such as -999, mean that there is no score.

    Returns
    -------
    ndarray, shape (n,), float32
        NaN where there is no score.
    """
    return np.where((values >= 0) & (values <= 1), values, np.nan).astype(np.float32)
