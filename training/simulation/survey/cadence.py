"""When and how deep a survey looked at a position: real visit lists."""

from bisect import bisect_right
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band, Survey
from training.simulation.sources.dust import galactic_latitude_deg
from training.simulation.survey.generated_cadence import GeneratedCadence
from training.simulation.survey.instruments import Instrument
from training.simulation.survey.visits import Cadence, Visits

__all__ = ["LsstCadence", "ZtfCadence", "load_cadence"]

TAI_MINUS_UTC_DAYS = 37 / 86_400
_SECONDS_PER_DAY = 86_400


def load_cadence(instrument: Instrument, data_dir: Path | None) -> Cadence:
    """Read the survey's visit list from the data directory; generate one where there is none."""
    names = {Survey.ZTF: "ztf_visits_2018_2022.npz", Survey.LSST: "lsst_baseline_v3.0_visits.npz"}
    path = data_dir / "cadence" / names[instrument.survey] if data_dir is not None else None
    if path is None or not path.is_file():
        return GeneratedCadence(instrument)
    with np.load(path) as file:
        arrays = dict(file)
    return (ZtfCadence if instrument.survey is Survey.ZTF else LsstCadence)(instrument, arrays)


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
    # The list holds all programmes, the public stream less: repeats within a night, and the nights of the
    # one-day programmes, are mostly not in it. Part of the positions with each shortest repeat, days.
    repeat_days = (0.0, 0.5, 1.7)
    repeat_share = (0.3, 0.4, 0.3)
    chip_gap_fraction = 0.13  # of the field of view (Dekany et al. 2020); a position keeps its place in it

    def __init__(self, instrument: Instrument, arrays: dict[str, NDArray[np.generic]]) -> None:
        band = np.array([Band.G, Band.R, Band.I], np.uint8)[arrays["band"].astype(int)]
        keep = np.isin(band, instrument.bands)
        self._ra = arrays["field_ra"].astype(np.float64)
        self._dec = arrays["field_dec"].astype(np.float64)
        field = arrays["field"].astype(np.int64)[keep]
        shift = TAI_MINUS_UTC_DAYS + instrument.exposure_s / 2 / _SECONDS_PER_DAY
        self._mjd = arrays["mjd"].astype(np.float64)[keep] + shift
        self._band = band[keep]
        self._depth = arrays["m5"].astype(np.float64)[keep]
        self._offsets = np.searchsorted(field, np.arange(self._ra.size + 1))
        # Every position gets light curves in both of the public bands.
        counts = [
            np.bincount(field[self._band == band], minlength=self._ra.size) for band in (Band.G, Band.R)
        ]
        self._busy = np.min(counts, axis=0) >= 40

    @property
    def span_mjd(self) -> tuple[float, float]:
        """First and last day on which an event may peak."""
        return float(self._mjd.min()) + 20.0, float(self._mjd.max()) - 60.0

    def draw_positions(
        self, rng: np.random.Generator, count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw positions within fields that were visited, outside the Milky Way's plane."""
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
        """Give the visits of all fields over a position, less the fields whose chip gap it falls into."""
        across = (self._ra - ra_deg + 180) % 360 - 180
        covers = (np.abs(self._dec - dec_deg) < self.half_width_deg) & (
            np.abs(across) * np.cos(np.radians(dec_deg)) < self.half_width_deg
        )
        fields = np.flatnonzero(covers & self._busy)
        fields = fields[rng.random(fields.size) > self.chip_gap_fraction]
        slices = []
        for field in fields:
            first, last = self._offsets[field : field + 2]
            inside = np.searchsorted(self._mjd[first:last], [start_mjd, end_mjd]) + first
            slices.append(np.arange(inside[0], inside[1]))
        rows = np.concatenate(slices) if slices else np.empty(0, np.int64)
        rows = rows[np.argsort(self._mjd[rows], kind="stable")]
        repeat = float(rng.choice(self.repeat_days, p=self.repeat_share))
        rows = rows[_thinned(self._mjd[rows], self._band[rows], repeat)]
        return Visits(self._mjd[rows], self._band[rows], self._depth[rows])


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
        self._mjd = arrays["mjd"].astype(np.float64)[keep] + TAI_MINUS_UTC_DAYS
        self._band = arrays["band"].astype(np.uint8)[keep]
        self._depth = arrays["m5"].astype(np.float64)[keep]
        self._offsets = np.searchsorted(position, np.arange(self._ra.size + 1))

    @property
    def span_mjd(self) -> tuple[float, float]:
        """First and last day on which an event may peak."""
        return float(self._mjd.min()) + 20.0, float(self._mjd.max()) - 60.0

    def draw_positions(
        self, rng: np.random.Generator, count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw positions of the list; the visits cover 1.75 degrees around each."""
        chosen = rng.choice(self._ra.size, count, p=self._chance)
        dec = np.clip(self._dec[chosen] + rng.uniform(-1, 1, count), -89, 89)
        ra = (self._ra[chosen] + rng.uniform(-1, 1, count) / np.cos(np.radians(dec))) % 360
        return ra, dec

    def visits(
        self,
        rng: np.random.Generator,  # noqa: ARG002  the interface's: ZTF has chip gaps
        ra_deg: float,
        dec_deg: float,
        start_mjd: float,
        end_mjd: float,
    ) -> Visits:
        """Give the visits of the nearest position of the list."""
        across = ((self._ra - ra_deg + 180) % 360 - 180) * np.cos(np.radians(dec_deg))
        nearest = int(np.argmin(across**2 + (self._dec - dec_deg) ** 2))
        first, last = self._offsets[nearest : nearest + 2]
        low, high = np.searchsorted(self._mjd[first:last], [start_mjd, end_mjd]) + first
        return Visits(self._mjd[low:high], self._band[low:high], self._depth[low:high])


def _thinned(mjd: NDArray[np.float64], band: NDArray[np.uint8], repeat_days: float) -> NDArray[np.bool_]:
    """Keep one visit a band in each `repeat_days`: 0 all, 0.5 one a night, more counts from the last kept."""
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
        kept, next_one = [], 0
        while next_one < len(times):
            kept.append(next_one)
            next_one = bisect_right(times, times[next_one] + repeat_days)
        keep[rows[kept]] = True
    return keep
