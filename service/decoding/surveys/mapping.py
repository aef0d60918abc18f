"""What the surveys' mappings share: checks of values, and putting light curves together."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, Band, Kind, Observations, Survey
from service.core.lightcurve.merge import REPORTED_EPOCH_MJD_TAI, merge_many, one_per_exposure
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
"""1982 to 2091: any time outside is damage, not a time (the oldest precursor images are of 2012)."""

CONTEXT = ("real_bogus", "star_galaxy", "star_distance_arcsec", "redshift", "redshift_err", "mwebv")
"""Columns that not every survey gives."""

NO_BAND = 255
"""Stands for a band that is missing or none of ours."""


@dataclass(frozen=True, slots=True)
class MappedAlerts:
    """One survey's alerts in common units; columns as in `AlertBatch`, before bad ones are taken out.

    Attributes
    ----------
    errors
        By index of the alert: why it is rejected. Its row in the columns means nothing.
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
    """What every alert has, checked; columns as in `AlertBatch`, ids as int64."""

    alert_id: NDArray[np.int64]
    mjd_tai: NDArray[np.float64]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    band: NDArray[np.uint8]


class Checks:
    """Collects for each alert the first thing that is wrong with it."""

    def __init__(self) -> None:
        self.errors: dict[int, RejectedAlertError] = {}

    def given(self, name: str, is_missing: NDArray[np.bool_]) -> None:
        """Refuse alerts without a value; `is_missing` has shape (n_alerts,)."""
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
        """Refuse alerts with an impossible value.

        Parameters
        ----------
        name
            The field, for the message.
        values, is_valid
            Shape (n_alerts,), or (n_rows,) of a table.
        owners
            The alert of each row, for a table.
        """
        if is_valid.all():
            return
        for position in np.flatnonzero(~is_valid).tolist():
            index = position if owners is None else int(owners[position])
            if index not in self.errors:
                message = f"{name} has the impossible value {values[position].item()!r:.100}"
                self.errors[index] = RejectedAlertError(RejectionCode.INVALID_VALUE, message)

    def position(
        self, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], names: tuple[str, str]
    ) -> None:
        """Refuse alerts without a place on the sky."""
        # A NaN fails the comparisons as well.
        self.valid(names[0], ra_deg, (ra_deg >= 0) & (ra_deg <= 360))
        self.valid(names[1], dec_deg, (dec_deg >= -90) & (dec_deg <= 90))

    def time(self, name: str, mjd_tai: NDArray[np.float64]) -> None:
        """Refuse alerts without a time in the age of CCD surveys."""
        self.valid(name, mjd_tai, is_time(mjd_tai))

    def rows(self, name: str, rows: "Rows") -> None:
        """Refuse alerts with a usable row of an impossible time or id."""
        self.valid(f"{name} time", rows.mjd_tai, is_time(rows.mjd_tai) | ~rows.is_usable, rows.owner)
        self.valid(f"{name} id", rows.source_id, (rows.source_id > 0) | ~rows.is_usable, rows.owner)


@dataclass(slots=True)
class Rows:
    """Observations of one kind as columns, each of shape (n_rows,).

    Attributes
    ----------
    owner
        int64, the alert of each row, ascending.
    mjd_tai, flux_njy, flux_err_njy
        float64.
    band
        uint8, `Band` or `NO_BAND`.
    kind
        The same for all rows, or uint8 of each.
    source_id
        int64.
    is_usable
        bool, False where the survey gave no measurement. Rows without a finite flux in float32, a positive
        error, a band or a time are not usable either.
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
        """Take out what cannot be stored as a measurement."""
        if not len(self.is_usable):
            self.is_usable = np.ones(len(self.owner), np.bool_)
        with np.errstate(over="ignore", under="ignore"):
            flux, error = self.flux_njy.astype(np.float32), self.flux_err_njy.astype(np.float32)
        is_measured = np.isfinite(flux) & np.isfinite(error) & (error > 0)
        self.is_usable = self.is_usable & is_measured & (self.band != NO_BAND) & ~np.isnan(self.mjd_tai)


@dataclass(frozen=True, slots=True)
class LightCurves:
    """Rows ``offsets[i]:offsets[i + 1]`` of `observations` are the canonical light curve of alert i."""

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
    """Put alerts together; `context` are those of the columns of `CONTEXT` that the survey gives."""
    nothing = np.full(len(object_id), np.nan, np.float32)
    return MappedAlerts(
        survey=curves.survey,
        object_id=object_id,
        alert_id=np.maximum(triggers.alert_id, 0).astype(np.uint64),  # those not positive are refused
        mjd_tai=triggers.mjd_tai,
        ra_deg=triggers.ra_deg,
        dec_deg=triggers.dec_deg,
        band=triggers.band,
        is_solar_system=is_solar_system,
        offsets=curves.offsets,
        observations=curves.observations,
        errors=checks.errors,
        **{name: context.get(name, nothing) for name in CONTEXT},
    )


def light_curves(
    survey: Survey,
    triggers: Triggers,
    flux_njy: NDArray[np.float64],
    flux_err_njy: NDArray[np.float64],
    others: tuple[Rows, ...],
) -> LightCurves:
    """Put together the usable rows of all kinds, alert by alert.

    Parameters
    ----------
    survey
        Decides whether forced photometry repeats detections.
    triggers, flux_njy, flux_err_njy
        The detections that made the alerts; their times are when all rows were reported.
    others
        Rows of every other kind.
    """
    mjd_tai = triggers.mjd_tai
    owners = np.arange(len(mjd_tai))
    detections = Rows(
        owners, mjd_tai, flux_njy, flux_err_njy, triggers.band, Kind.DETECTION, triggers.alert_id
    )
    rows, offsets = _gathered((detections, *others), len(mjd_tai))
    rows["reported_s"] = np.repeat(reported_seconds_of(mjd_tai), np.diff(offsets))
    none = np.zeros(len(offsets), np.int64)
    is_one = np.full(len(mjd_tai), one_per_exposure(survey), np.bool_)
    merged = merge_many(rows[:0], none, rows, offsets, is_one)
    return LightCurves(survey, merged.offsets, merged.rows)


def _gathered(pieces: tuple[Rows, ...], n_alerts: int) -> tuple[Observations, NDArray[np.int64]]:
    """Put the usable rows of each alert behind each other; give them, and where each alert's begin."""
    usable = [slice(None) if p.is_usable.all() else np.flatnonzero(p.is_usable) for p in pieces]
    owners = [piece.owner[keep] for piece, keep in zip(pieces, usable, strict=True)]
    counts = [np.bincount(owner, minlength=n_alerts) for owner in owners]
    offsets = np.concatenate([[0], np.cumsum(np.sum(counts, axis=0))]).astype(np.int64)
    rows = np.empty(offsets[-1], OBSERVATION)
    next_row = offsets[:-1].copy()
    for piece, keep, owner, count in zip(pieces, usable, owners, counts, strict=True):
        first = np.cumsum(count) - count  # among the piece's own rows, of each alert
        place = np.arange(len(owner)) + (next_row - first)[owner]
        for name in ("mjd_tai", "flux_njy", "flux_err_njy", "band", "source_id"):
            rows[name][place] = getattr(piece, name)[keep]
        rows["kind"][place] = piece.kind if isinstance(piece.kind, Kind) else piece.kind[keep]
        next_row += count
    return rows, offsets


def reported_seconds_of(mjd_tai: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Return `reported_seconds` of many alerts; of those without a time, any value."""
    seconds = np.rint((np.where(is_time(mjd_tai), mjd_tai, FIRST_MJD_TAI) - REPORTED_EPOCH_MJD_TAI) * 86400)
    return seconds.astype(np.uint32)


def is_time(mjd_tai: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each value is a time in the age of CCD surveys; False for NaN."""
    return (mjd_tai >= FIRST_MJD_TAI) & (mjd_tai <= LAST_MJD_TAI)


def first_given(*values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the first id that is neither null nor 0, which stands for null; 0 where none is."""
    result = np.zeros_like(values[0])
    for candidates in reversed(values):
        result = np.where((candidates != 0) & (candidates != MISSING_INTEGER), candidates, result)
    return result


def bands_of(names: NDArray[np.bytes_], bands: dict[bytes, Band]) -> NDArray[np.uint8]:
    """Give the band of each name; `NO_BAND` for any other."""
    result = np.full(len(names), NO_BAND, np.uint8)
    for name, band in bands.items():
        result[names == name] = band
    return result


def in_unit_interval(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Give scores as float32, NaN where the survey's value is no score (such as -999)."""
    return np.where((values >= 0) & (values <= 1), values, np.nan).astype(np.float32)
