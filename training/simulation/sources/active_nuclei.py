"""Active galactic nuclei: damped random walks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band
from training.simulation.environment import Environment
from training.simulation.photometry import flux_njy
from training.simulation.sources.batch import Labels, TabulatedSources
from training.simulation.sources.dust import extinction_per_ebv
from training.simulation.sources.magnitudes import (
    BAND_ANGSTROM,
    band_wavelengths,
    magnitude_range,
    power_law_magnitudes,
)

__all__ = ["ActiveNuclei"]


@dataclass(frozen=True, slots=True)
class ActiveNuclei:
    """AGN: damped random walks (MacLeod et al. 2010, ApJ 721, 1014) minus a reference image.

    Attributes
    ----------
    step_days
        Of the light curve's time grid, observer's frame.
    """

    step_days: float = 2.0

    def draw(
        self, rng: np.random.Generator, environment: Environment, mwebv: NDArray[np.float64]
    ) -> TabulatedSources:
        """Draw one nucleus behind each Milky Way E(B-V) of `mwebv`; see `Population`."""
        count = mwebv.size
        magnitude = power_law_magnitudes(rng, count, magnitude_range(environment, 15.0), 0.35)
        redshift = self._redshift(rng, environment, magnitude)
        wavelength = band_wavelengths(environment)
        absolute = magnitude - environment.cosmology.distance_modulus(redshift)
        amplitude, tau = self._walk(rng, absolute, redshift, wavelength)
        start, end = environment.window_days
        days = np.arange(start - 400, end, self.step_days)
        walk = self._damped_random_walk(rng, tau, days.size)
        # f_nu ~ nu^-0.5 and what varies is bluer: the amplitude grows to the blue.
        slope = rng.normal(0.5, 0.2, count)[:, None]
        mean_mag = magnitude[:, None] + 2.5 * slope * np.log10(BAND_ANGSTROM[Band.R] / wavelength)
        mean_mag = mean_mag + mwebv[:, None] * extinction_per_ebv(wavelength)
        # The tabulated amplitude is that of the structure function: sqrt(2) times the walk's.
        delta = walk[:, :, None] * (amplitude / np.sqrt(2))[:, None, :]
        flux = flux_njy(np.clip(mean_mag[:, None, :] - delta, 8.0, 35.0))
        before = days < start
        epochs = rng.choice(np.flatnonzero(before), 15)
        difference = flux[:, ~before] - flux[:, epochs].mean(axis=1, keepdims=True)
        labels = Labels("AGN", ["damped-random-walk"] * count, redshift, mwebv)
        return TabulatedSources(labels, np.broadcast_to(days[~before], (count, (~before).sum())), difference)

    @staticmethod
    def _redshift(
        rng: np.random.Generator, environment: Environment, magnitude: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Draw luminosities (M = -19 ... -26) and return the redshifts at which they have the magnitudes."""
        absolute = -(19.0 + 8.0 * rng.beta(2.0, 2.0, magnitude.size))
        return np.clip(environment.cosmology.redshift_at(magnitude - absolute), 0.005, 4.0)

    @staticmethod
    def _walk(
        rng: np.random.Generator,
        absolute: NDArray[np.float64],
        redshift: NDArray[np.float64],
        wavelength_angstrom: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the amplitude SF_inf (n, bands), mag, and the observed damping time (n,), days."""
        log_mass = 2.0 - 0.27 * np.clip(absolute, -28.0, -17.0) + rng.normal(0, 0.3, absolute.size) - 9
        rest = np.log10(wavelength_angstrom[None, :] / (1 + redshift[:, None]) / 4000.0)
        common = -0.51 + 0.131 * (absolute + 23) + 0.18 * log_mass + rng.normal(0, 0.1, absolute.size)
        amplitude = 10 ** (common[:, None] - 0.479 * rest)
        log_tau = 2.4 + 0.17 * rest.mean(axis=1) + 0.03 * (absolute + 23) + 0.21 * log_mass
        tau = 10 ** (log_tau + rng.normal(0, 0.2, absolute.size)) * (1 + redshift)
        return np.minimum(amplitude, 1.0), tau

    def _damped_random_walk(
        self, rng: np.random.Generator, tau_days: NDArray[np.float64], steps: int
    ) -> NDArray[np.float64]:
        """Draw stationary walks of unit variance, shape (n, steps)."""
        memory = np.exp(-self.step_days / tau_days)
        kick = np.sqrt(1 - memory**2)
        noise = rng.standard_normal((tau_days.size, steps))
        walk = noise
        for i in range(1, steps):
            walk[:, i] = memory * walk[:, i - 1] + kick * noise[:, i]
        return walk
