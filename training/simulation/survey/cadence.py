"""When and how deep a survey observes a position, from published lists of visits."""

from bisect import bisect_right
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band, Survey
from service.core.times import SECONDS_PER_DAY, TAI_MINUS_UTC_DAYS
from training.simulation.sources.dust import galactic_latitude_deg
from training.simulation.survey.generated_cadence import GeneratedCadence
from training.simulation.survey.instruments import Instrument
from training.simulation.survey.visits import Cadence, Visits

__all__ = ["LsstCadence", "ZtfCadence", "load_cadence"]


def load_cadence(instrument: Instrument, data_dir: Path | None) -> Cadence:
    """Return the survey's cadence: its list of visits, or without one a generated cadence.

    Parameters
    ----------
    instrument
        The survey and its bands.
    data_dir
        Directory with ``cadence/``, or None.
    """
    names = {Survey.ZTF: "ztf_visits_2018_2022.npz", Survey.LSST: "lsst_baseline_v3.0_visits.npz"}
    path = data_dir / "cadence" / names[instrument.survey] if data_dir is not None else None
    if path is None or not path.is_file():
        return GeneratedCadence(instrument)
    with np.load(path) as file:
        arrays = dict(file)
    return (ZtfCadence if instrument.survey is Survey.ZTF else LsstCadence)(instrument, arrays)


class _VisitTable:
    """Visits grouped by field or position, in order of time within a group.

    Parameters
    ----------
    group
        Shape (n,), ascending.
    n_groups
        Number of groups.
    mjd_tai, band, depth_mag
        Shape (n,), as in `Visits`.
    """

    def __init__(
        self,
        group: NDArray[np.int64],
        n_groups: int,
        mjd_tai: NDArray[np.float64],
        band: NDArray[np.uint8],
        depth_mag: NDArray[np.float64],
    ) -> None:
        self.mjd_tai, self.band, self.depth_mag = mjd_tai, band, depth_mag
        self._offsets = np.searchsorted(group, np.arange(n_groups + 1))

    @property
    def span_mjd(self) -> tuple[float, float]:
        """First and last day on which an event may peak, so that its rise and decline are covered."""
        return float(self.mjd_tai.min()) + 20.0, float(self.mjd_tai.max()) - 60.0

    def rows(self, group: int, start_mjd: float, end_mjd: float) -> NDArray[np.int64]:
        """Return the rows of a group between two times, ascending."""
        first, last = self._offsets[group : group + 2]
        low, high = np.searchsorted(self.mjd_tai[first:last], [start_mjd, end_mjd]) + first
        return np.arange(low, high)

    def take(self, rows: NDArray[np.int64]) -> Visits:
        """Return the visits of some rows."""
        return Visits(self.mjd_tai[rows], self.band[rows], self.depth_mag[rows])


class ZtfCadence:
    """Real ZTF visits: the union of the fields that cover a position.

    Parameters
    ----------
    instrument
        Which bands to keep.
    arrays
        ``field_ra, field_dec``, and per visit ``field, mjd`` (UTC), ``band`` (g r i), ``m5``, sorted by
        field and time.
    """

    half_width_deg = 3.4
    # The list has all programmes, the public stream fewer: repeats within a night, and the nights of the
    # one-day programmes, are mostly missing from it. Shortest repeats, days, and their shares of positions.
    repeat_days = (0.0, 0.5, 1.7)
    repeat_share = (0.3, 0.4, 0.3)
    chip_gap_fraction = 0.13  # of the field of view (Dekany et al. 2020); a position keeps its place in it

    def __init__(self, instrument: Instrument, arrays: dict[str, NDArray[np.generic]]) -> None:
        band = np.array([Band.G, Band.R, Band.I], np.uint8)[arrays["band"].astype(int)]
        keep = np.isin(band, instrument.bands)
        self._ra = arrays["field_ra"].astype(np.float64)
        self._dec = arrays["field_dec"].astype(np.float64)
        field = arrays["field"].astype(np.int64)[keep]
        shift = TAI_MINUS_UTC_DAYS + instrument.exposure_s / 2 / SECONDS_PER_DAY
        mjd_tai = arrays["mjd"].astype(np.float64)[keep] + shift
        depth_mag = arrays["m5"].astype(np.float64)[keep]
        self._table = _VisitTable(field, self._ra.size, mjd_tai, band[keep], depth_mag)
        # Every position gets light curves in both of the public bands.
        counts = [
            np.bincount(field[self._table.band == name], minlength=self._ra.size) for name in (Band.G, Band.R)
        ]
        self._busy = np.min(counts, axis=0) >= 40

    @property
    def span_mjd(self) -> tuple[float, float]:
        """First and last day on which an event may peak."""
        return self._table.span_mjd

    def draw_positions(
        self, rng: np.random.Generator, count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw positions in observed fields, outside the Milky Way's plane; see `Cadence`."""
        ra, dec = np.empty(0), np.empty(0)
        fields = np.flatnonzero(self._busy)
        while ra.size < count:
            chosen = rng.choice(fields, 2 * count)
            new_dec = self._dec[chosen] + rng.uniform(-1, 1, chosen.size) * self.half_width_deg
            width = self.half_width_deg / np.cos(np.radians(np.clip(new_dec, -85, 85)))
            new_ra = (self._ra[chosen] + rng.uniform(-1, 1, chosen.size) * width) % 360
            good = (np.abs(galactic_latitude_deg(new_ra, new_dec)) > 7) & (np.abs(new_dec) < 85)
            ra, dec = np.concatenate([ra, new_ra[good]]), np.concatenate([dec, new_dec[good]])
        return ra[:count], dec[:count]

    def visits(
        self, rng: np.random.Generator, ra_deg: float, dec_deg: float, start_mjd: float, end_mjd: float
    ) -> Visits:
        """Return the visits of all fields over a position that is not in their chip gaps; see `Cadence`."""
        across = (self._ra - ra_deg + 180) % 360 - 180
        covers = (np.abs(self._dec - dec_deg) < self.half_width_deg) & (
            np.abs(across) * np.cos(np.radians(dec_deg)) < self.half_width_deg
        )
        fields = np.flatnonzero(covers & self._busy)
        fields = fields[rng.random(fields.size) > self.chip_gap_fraction]
        table = self._table
        parts = [table.rows(field, start_mjd, end_mjd) for field in fields.tolist()]
        rows = np.concatenate(parts) if parts else np.empty(0, np.int64)
        rows = rows[np.argsort(table.mjd_tai[rows], kind="stable")]
        repeat = float(rng.choice(self.repeat_days, p=self.repeat_share))
        return table.take(rows[_thinned(table.mjd_tai[rows], table.band[rows], repeat)])


class LsstCadence:
    """Visits of the Rubin baseline at given positions.

    Parameters
    ----------
    instrument
        Which bands to keep.
    arrays
        ``pos_ra, pos_dec, pos_kind``, and per visit ``pos, mjd, band`` (u ... y), ``m5``, sorted by
        position and time.
    """

    deep_fraction = 0.03  # of the events, in deep-drilling fields

    def __init__(self, instrument: Instrument, arrays: dict[str, NDArray[np.generic]]) -> None:
        keep = np.isin(arrays["band"], instrument.bands)
        self._ra = arrays["pos_ra"].astype(np.float64)
        self._dec = arrays["pos_dec"].astype(np.float64)
        deep = np.array([not str(kind).startswith("WFD") for kind in arrays["pos_kind"]])
        self._chance = np.where(
            deep, self.deep_fraction / max(deep.sum(), 1), (1 - self.deep_fraction) / max((~deep).sum(), 1)
        )
        self._chance /= self._chance.sum()
        position = arrays["pos"].astype(np.int64)[keep]
        mjd_tai = arrays["mjd"].astype(np.float64)[keep] + TAI_MINUS_UTC_DAYS
        band = arrays["band"].astype(np.uint8)[keep]
        depth_mag = arrays["m5"].astype(np.float64)[keep]
        self._table = _VisitTable(position, self._ra.size, mjd_tai, band, depth_mag)

    @property
    def span_mjd(self) -> tuple[float, float]:
        """First and last day on which an event may peak."""
        return self._table.span_mjd

    def draw_positions(
        self, rng: np.random.Generator, count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw positions near those of the list, whose visits cover 1.75 degrees; see `Cadence`."""
        chosen = rng.choice(self._ra.size, count, p=self._chance)
        dec = np.clip(self._dec[chosen] + rng.uniform(-1, 1, count), -89, 89)
        ra = (self._ra[chosen] + rng.uniform(-1, 1, count) / np.cos(np.radians(dec))) % 360
        return ra, dec

    def visits(
        self,
        rng: np.random.Generator,  # noqa: ARG002  part of the interface: ZTF has chip gaps
        ra_deg: float,
        dec_deg: float,
        start_mjd: float,
        end_mjd: float,
    ) -> Visits:
        """Return the visits of the nearest position of the list; see `Cadence`."""
        across = ((self._ra - ra_deg + 180) % 360 - 180) * np.cos(np.radians(dec_deg))
        nearest = int(np.argmin(across**2 + (self._dec - dec_deg) ** 2))
        return self._table.take(self._table.rows(nearest, start_mjd, end_mjd))


def _thinned(mjd: NDArray[np.float64], band: NDArray[np.uint8], repeat_days: float) -> NDArray[np.bool_]:
    """Return which visits to keep: per band one in each `repeat_days`.

    0 keeps all, 0.5 one a night; longer times count from the last visit that was kept.
    """
    keep = np.zeros(mjd.size, np.bool_)
    for name in np.unique(band):
        rows = np.flatnonzero(band == name)
        if repeat_days < 1:
            # A night over America lies within one day of UTC. The list's times are rounded to minutes:
            # equal ones are one exposure.
            slots = np.floor(mjd[rows]) if repeat_days > 0 else mjd[rows]
            keep[rows[np.diff(slots, prepend=-np.inf) > 0]] = True
            continue
        times = mjd[rows].tolist()
        kept, index = [], 0
        while index < len(times):
            kept.append(index)
            index = bisect_right(times, times[index] + repeat_days)
        keep[rows[kept]] = True
    return keep
