"""Luminosity functions, and how many of a population a survey can see."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.simulation.sources.cosmology import Cosmology

__all__ = ["BrokenPowerLaw", "Gaussian", "Luminosity", "VolumeSample", "draw_visible"]

_BATCH = 20_000


class Luminosity(Protocol):
    """A distribution of peak absolute magnitudes per volume."""

    @property
    def brightest(self) -> float:
        """No draw is brighter than this."""

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Draw absolute magnitudes, shape (count,)."""


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A normal distribution cut at `brightest`.

    Attributes
    ----------
    mean, sigma
        Magnitudes.
    brightest
        The cut.
    """

    mean: float
    sigma: float
    brightest: float

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Draw; what is beyond the cut is drawn again from below it by reflection."""
        magnitude = rng.normal(self.mean, self.sigma, count)
        return np.where(magnitude < self.brightest, 2 * self.brightest - magnitude, magnitude)


@dataclass(frozen=True, slots=True)
class BrokenPowerLaw:
    """dN / dlog L ~ L ** -slope between two magnitudes.

    Attributes
    ----------
    faintest, brightest
        Magnitudes.
    slope
        Of the luminosity function.
    """

    faintest: float
    brightest: float
    slope: float

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Draw by inversion: dN/dM ~ 10 ** (0.4 slope M)."""
        k = 0.4 * self.slope * np.log(10)
        low, high = np.exp(k * self.brightest), np.exp(k * self.faintest)
        return np.asarray(np.log(low + rng.random(count) * (high - low)) / k)


@dataclass(frozen=True, slots=True)
class VolumeSample:
    """Redshifts and peak absolute magnitudes of events bright enough to matter; shape (n,) each."""

    redshift: NDArray[np.float64]
    magnitude: NDArray[np.float64]


def draw_visible(
    rng: np.random.Generator,
    cosmology: Cosmology,
    count: int,
    draw_magnitude: Callable[[np.random.Generator, int], NDArray[np.float64]],
    brightest: float,
    *,
    limit_mag: float,
    rate_power: float,
    z_range: tuple[float, float],
) -> VolumeSample:
    """Draw events in volume and keep those whose peak may be brighter than a limit.

    Parameters
    ----------
    rng
        Source of randomness.
    cosmology
        Distances.
    count
        How many to give.
    draw_magnitude
        Draws absolute magnitudes from the volumetric luminosity function.
    brightest
        The brightest it gives: bounds the volume.
    limit_mag
        Apparent magnitude that M + distance modulus must not exceed. No K correction and no dust: give
        it a margin and cut again on the synthetic photometry.
    rate_power
        Evolution of the rate, see `Cosmology.draw_redshifts`.
    z_range
        Smallest and largest redshift.
    """
    z_far = float(np.clip(cosmology.redshift_at(limit_mag - brightest), z_range[0] * 1.01, z_range[1]))
    redshifts, magnitudes, found = [], [], 0
    while found < count:
        z = cosmology.draw_redshifts(rng, _BATCH, z_range[0], z_far, rate_power)
        magnitude = draw_magnitude(rng, _BATCH)
        seen = magnitude + cosmology.distance_modulus(z) < limit_mag
        redshifts.append(z[seen])
        magnitudes.append(magnitude[seen])
        found += int(seen.sum())
    return VolumeSample(np.concatenate(redshifts)[:count], np.concatenate(magnitudes)[:count])
