"""When and how deep a survey looked at a position: real visit lists, or generated ones."""

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band, Survey
from training.simulation.dust import galactic_latitude_deg
from training.simulation.surveys import Instrument

__all__ = ["Cadence", "GeneratedCadence", "LsstCadence", "Visits", "ZtfCadence", "load_cadence"]

TAI_MINUS_UTC_DAYS = 37 / 86_400
_SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Visits:
    """The visits of one position, in order of time.

    Attributes
    ----------
    mjd_tai
        Shape (n,), float64, days, middle of the exposure.
    band
        Shape (n,), uint8, `Band`.
    depth_mag
        Shape (n,), float64, 5 sigma for a point source.
    """

    mjd_tai: NDArray[np.float64]
    band: NDArray[np.uint8]
    depth_mag: NDArray[np.float64]


class Cadence(Protocol):
    """Where and when a survey observes."""

    @property
    def span_mjd(self) -> tuple[float, float]:
        """First and last day on which an event may peak."""

    def draw_positions(
        self, rng: np.random.Generator, count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw `count` positions of the footprint: RA and Dec, degrees."""

    def visits(
        self, rng: np.random.Generator, ra_deg: float, dec_deg: float, start_mjd: float, end_mjd: float
    ) -> Visits:
        """Give the visits of one position between two dates (MJD TAI)."""


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


class GeneratedCadence:
    """A made-up cadence with the survey's rhythm: seasons, moon, weather and depth.

    The numbers are those of the public ZTF survey (Bellm et al. 2019) and of the Rubin baseline
    (visits by band and depths of Bianco et al. 2022).
    """

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    @property
    def span_mjd(self) -> tuple[float, float]:
        """First and last day on which an event may peak."""
        return (58_300.0, 59_800.0) if self._instrument.survey is Survey.ZTF else (60_980.0, 64_600.0)

    def draw_positions(
        self, rng: np.random.Generator, count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw positions uniformly over the footprint, outside the Milky Way's plane."""
        south, north = (-28.0, 80.0) if self._instrument.survey is Survey.ZTF else (-62.0, 2.0)
        low, high = np.sin(np.radians(south)), np.sin(np.radians(north))
        ra, dec = np.empty(0), np.empty(0)
        while ra.size < count:
            new_ra = rng.uniform(0, 360, 2 * count)
            new_dec = np.degrees(np.arcsin(rng.uniform(low, high, 2 * count)))
            good = np.abs(galactic_latitude_deg(new_ra, new_dec)) > 10
            ra, dec = np.concatenate([ra, new_ra[good]]), np.concatenate([dec, new_dec[good]])
        return ra[:count], dec[:count]

    def visits(
        self,
        rng: np.random.Generator,
        ra_deg: float,
        dec_deg: float,  # noqa: ARG002  the interface's: this sky is the same at every declination
        start_mjd: float,
        end_mjd: float,
    ) -> Visits:
        """Generate the visits between two dates."""
        nights = np.arange(np.floor(start_mjd), np.ceil(end_mjd))
        # The position culminates at midnight when the sun's RA is 12 h away; MJD 58197 is an equinox.
        sun_ra = (nights - 58_197.0) / 365.25 * 360
        from_midnight = np.abs((ra_deg - sun_ra) % 360 - 180)
        nights = nights[(from_midnight < 105) & (rng.random(nights.size) > 0.25)]
        make = self._ztf_nights if self._instrument.survey is Survey.ZTF else self._lsst_nights
        mjd, band, depth = make(rng, nights)
        keep = np.isin(band, self._instrument.bands) & (mjd >= start_mjd) & (mjd < end_mjd)
        mjd, band, depth = mjd[keep], band[keep], depth[keep]
        order = np.argsort(mjd, kind="stable")
        return Visits(mjd[order], band[order].astype(np.uint8), depth[order])

    @staticmethod
    def _ztf_nights(rng: np.random.Generator, nights: NDArray[np.float64]) -> "_Columns":
        """One g and one r visit every third night (i every sixth)."""
        nights = nights[rng.random(nights.size) < 1 / 2.5]
        mjd = np.concatenate([nights + rng.uniform(0.15, 0.5, nights.size) for _ in range(3)])
        band = np.repeat([Band.G, Band.R, Band.I], nights.size)
        keep = (band != Band.I) | (rng.random(band.size) < 0.4)
        moon = 0.6 * _moon(mjd)
        depth = np.array([0, 20.9, 20.75, 20.3])[band] - moon + rng.normal(0, 0.3, band.size)
        return mjd[keep], band[keep], depth[keep]

    @staticmethod
    def _lsst_nights(rng: np.random.Generator, nights: NDArray[np.float64]) -> "_Columns":
        """Pairs of visits half an hour apart; bands by their share, u and g in the dark."""
        nights = nights[rng.random(nights.size) < 1 / 4.0]
        bright = _moon(nights) > 0.5
        share = np.array([[0.08, 0.13, 0.24, 0.24, 0.16, 0.15], [0.01, 0.04, 0.25, 0.28, 0.21, 0.21]])
        cumulative = np.cumsum(share, axis=1)[bright.astype(int)]
        first = np.minimum((rng.random(nights.size)[:, None] > cumulative).sum(axis=1), 5)
        second = np.clip(first + rng.choice([-1, 0, 1], nights.size, p=[0.4, 0.2, 0.4]), 0, 5)
        start = nights + rng.uniform(0.0, 0.35, nights.size)
        mjd = np.concatenate([start, start + rng.uniform(0.015, 0.03, nights.size)])
        band = np.concatenate([first, second])
        depth = np.array([23.7, 24.5, 24.1, 23.6, 22.95, 22.1])[band] + rng.normal(0, 0.25, band.size)
        return mjd, band, depth


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


_Columns = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]


def _moon(mjd: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the lit fraction of the moon (full on MJD 58150)."""
    return np.asarray((1 + np.cos(2 * np.pi * (mjd - 58_150.0) / 29.53)) / 2)
