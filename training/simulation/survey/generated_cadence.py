"""A generated cadence, for a machine without lists of visits."""

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band, Survey
from training.simulation.sources.dust import galactic_latitude_deg
from training.simulation.survey.instruments import Instrument
from training.simulation.survey.visits import Visits

__all__ = ["GeneratedCadence"]

_Columns = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]


class GeneratedCadence:
    """A generated cadence with the survey's seasons, moon, weather and depth.

    The numbers are those of the public ZTF survey (Bellm et al. 2019) and of the Rubin baseline (visits by
    band and depths of Bianco et al. 2022).

    Parameters
    ----------
    instrument
        The survey and its bands.
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
        """Draw positions uniformly over the footprint, outside the Milky Way's plane; see `Cadence`."""
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
        dec_deg: float,  # noqa: ARG002  part of the interface: here all declinations are alike
        start_mjd: float,
        end_mjd: float,
    ) -> Visits:
        """Generate the visits of a position; see `Cadence`."""
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
    def _ztf_nights(rng: np.random.Generator, nights: NDArray[np.float64]) -> _Columns:
        """Return one g and one r visit every third night (i every sixth)."""
        nights = nights[rng.random(nights.size) < 1 / 2.5]
        mjd = np.concatenate([nights + rng.uniform(0.15, 0.5, nights.size) for _ in range(3)])
        band = np.repeat([Band.G, Band.R, Band.I], nights.size)
        keep = (band != Band.I) | (rng.random(band.size) < 0.4)
        moon = 0.6 * _moon(mjd)
        depth = np.array([0, 20.9, 20.75, 20.3])[band] - moon + rng.normal(0, 0.3, band.size)
        return mjd[keep], band[keep], depth[keep]

    @staticmethod
    def _lsst_nights(rng: np.random.Generator, nights: NDArray[np.float64]) -> _Columns:
        """Return pairs of visits half an hour apart; bands by their share, u and g in dark time."""
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


def _moon(mjd: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the illuminated fraction of the moon (full on MJD 58150)."""
    return np.asarray((1 + np.cos(2 * np.pi * (mjd - 58_150.0) / 29.53)) / 2)
