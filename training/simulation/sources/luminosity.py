"""Luminosity functions, and the members of a population that a survey can see."""

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
        """Draw absolute magnitudes.

        Parameters
        ----------
        rng
            Source of randomness.
        count
            Number of draws.

        Returns
        -------
        ndarray, shape (count,)
        """


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
        """Draw absolute magnitudes; values beyond the cut are reflected at it.

        Parameters
        ----------
        rng
            Source of randomness.
        count
            Number of draws.
        """
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
        """Draw absolute magnitudes by inversion of dN/dM ~ 10 ** (0.4 slope M).

        Parameters
        ----------
        rng
            Source of randomness.
        count
            Number of draws.
        """
        k = 0.4 * self.slope * np.log(10)
        low, high = np.exp(k * self.brightest), np.exp(k * self.faintest)
        return np.asarray(np.log(low + rng.random(count) * (high - low)) / k)


@dataclass(frozen=True, slots=True)
class VolumeSample:
    """Events bright enough to be seen.

    Attributes
    ----------
    redshift, magnitude
        Shape (n,): redshift and peak absolute magnitude.
    """

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
    """Draw events in a volume, of those whose peak may be brighter than a limit.

    Parameters
    ----------
    rng
        Source of randomness.
    cosmology
        Distances.
    count
        Number of events.
    draw_magnitude
        Draws absolute magnitudes from the volumetric luminosity function.
    brightest
        Brightest magnitude that it draws; bounds the volume.
    limit_mag
        Apparent magnitude that M + distance modulus must not exceed. Without K correction and dust: add a
        margin, and cut again on the synthetic photometry.
    rate_power
        Evolution of the rate, see `Cosmology.draw_redshifts`.
    z_range
        Smallest and largest redshift.
    """
    z_far = float(np.clip(cosmology.redshift_at(limit_mag - brightest), z_range[0] * 1.01, z_range[1]))
    redshifts, magnitudes, n_seen = [], [], 0
    while n_seen < count:
        z = cosmology.draw_redshifts(rng, _BATCH, z_range[0], z_far, rate_power)
        magnitude = draw_magnitude(rng, _BATCH)
        seen = magnitude + cosmology.distance_modulus(z) < limit_mag
        redshifts.append(z[seen])
        magnitudes.append(magnitude[seen])
        n_seen += int(seen.sum())
    return VolumeSample(np.concatenate(redshifts)[:count], np.concatenate(magnitudes)[:count])
