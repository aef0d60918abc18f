"""Draw the members of a population that a survey can see, from their volumetric luminosity function."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulation.environment import Environment
from training.simulation.sources.luminosity import Luminosity, VolumeSample, draw_visible

__all__ = ["Volume", "draw_from_pool", "draw_members"]


@dataclass(frozen=True, slots=True)
class Volume:
    """Where members are drawn.

    Attributes
    ----------
    z_range
        Smallest and largest redshift.
    rate_power
        The rate per comoving volume and rest-frame time goes as (1 + z) ** rate_power.
    margin_mag
        Added to the survey's limit: K correction and colour between M_r + distance modulus and the brightest
        band. The synthetic photometry decides later.
    """

    z_range: tuple[float, float]
    rate_power: float
    margin_mag: float = 0.8


def draw_members(
    rng: np.random.Generator, environment: Environment, count: int, luminosity: Luminosity, volume: Volume
) -> VolumeSample:
    """Draw members whose luminosities are independent of their other properties.

    Parameters
    ----------
    rng
        Source of randomness.
    environment
        Distances and the survey's limit.
    count
        Number of members.
    luminosity
        Distribution of peak absolute magnitudes.
    volume
        Where they are drawn.
    """
    return draw_visible(
        rng,
        environment.cosmology,
        count,
        luminosity.draw,
        luminosity.brightest,
        limit_mag=environment.limit_mag + volume.margin_mag,
        rate_power=volume.rate_power,
        z_range=volume.z_range,
    )


def draw_from_pool(
    rng: np.random.Generator,
    environment: Environment,
    count: int,
    magnitude: NDArray[np.float64],
    volume: Volume,
) -> tuple[VolumeSample, NDArray[np.int64]]:
    """Draw members out of a pool of objects, whose other properties come with their luminosities.

    Parameters
    ----------
    rng
        Source of randomness.
    environment
        Distances and the survey's limit.
    count
        Number of members.
    magnitude
        Shape (pool,), distinct absolute magnitudes.
    volume
        Where they are drawn.

    Returns
    -------
    sample
        Redshifts and magnitudes.
    row
        Shape (count,): which object of the pool each member is.
    """
    sample = draw_visible(
        rng,
        environment.cosmology,
        count,
        lambda generator, n: magnitude[generator.integers(0, magnitude.size, n)],
        float(magnitude.min()),
        limit_mag=environment.limit_mag + volume.margin_mag,
        rate_power=volume.rate_power,
        z_range=volume.z_range,
    )
    # The magnitude identifies the object.
    order = np.argsort(magnitude)
    return sample, order[np.searchsorted(magnitude[order], sample.magnitude)]
