"""Variable stars: pulsating and eclipsing ones, dwarf novae, novae."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band
from training.simulation.environment import Environment
from training.simulation.photometry import flux_njy
from training.simulation.sources.batch import Labels, SourceBatch, TabulatedSources
from training.simulation.sources.dust import extinction_per_ebv
from training.simulation.sources.magnitudes import (
    BAND_ANGSTROM,
    band_wavelengths,
    colour_slope,
    magnitude_range,
    power_law_magnitudes,
)

__all__ = ["DwarfNovae", "Novae", "PeriodicSources", "PeriodicStars"]


@dataclass(frozen=True)
class PeriodicSources:
    """Periodic variable stars.

    Attributes
    ----------
    labels
        Classes and redshifts.
    mean_flux
        Shape (n, bands), nJy: flux of the reference image.
    amplitude_mag
        Shape (n, bands), peak to peak.
    period_days, phase
        Shape (n,).
    shape
        Maps (index, phase in [0, 1)) to a magnitude change of peak-to-peak 1 about its mean.
    """

    labels: Labels
    mean_flux: NDArray[np.float64]
    amplitude_mag: NDArray[np.float64]
    period_days: NDArray[np.float64]
    phase: NDArray[np.float64]
    shape: Callable[[int, NDArray[np.float64]], NDArray[np.float64]]

    @cached_property
    def peak_flux_njy(self) -> NDArray[np.float64]:
        """Shape (n, bands): the largest possible difference flux."""
        return np.asarray(self.mean_flux * (10 ** (0.4 * self.amplitude_mag) - 1))

    def flux_njy(self, index: int, days: NDArray[np.float64], band: int) -> NDArray[np.float64]:
        """Return the flux minus that of the reference image; see `SourceBatch`."""
        phase = (days / self.period_days[index] + self.phase[index]) % 1.0
        change = self.amplitude_mag[index, band] * self.shape(index, phase)
        return np.asarray(self.mean_flux[index, band] * (10 ** (-0.4 * change) - 1))


@dataclass(frozen=True, slots=True)
class PeriodicStars:
    """A kind of periodic variable.

    Attributes
    ----------
    template
        Its name.
    log_period_days
        Range of log10 of the period.
    amplitude_mag
        Range of the peak-to-peak amplitude in r.
    blue_slope
        How the amplitude scales with wavelength: ~ lambda ** -blue_slope.
    g_minus_r_mag
        Mean and scatter of the colour.
    harmonics
        Sawtooth (pulsators), sine (Mira) or eclipse.
    """

    template: str
    log_period_days: tuple[float, float]
    amplitude_mag: tuple[float, float]
    blue_slope: float
    g_minus_r_mag: tuple[float, float]
    harmonics: str

    def draw(
        self, rng: np.random.Generator, environment: Environment, mwebv: NDArray[np.float64]
    ) -> SourceBatch:
        """Draw one star behind each Milky Way E(B-V) of `mwebv`; see `Population`."""
        count = mwebv.size
        wavelength = band_wavelengths(environment)
        bright, faint = magnitude_range(environment, 13.0)
        r_mag = power_law_magnitudes(rng, count, (bright, faint), 0.15)
        colour = rng.normal(*self.g_minus_r_mag, count)
        magnitude = r_mag[:, None] + colour[:, None] * colour_slope(wavelength)
        amplitude = rng.uniform(*self.amplitude_mag, count)[:, None]
        sharpness = rng.uniform(0.05, 0.25, count)
        return PeriodicSources(
            labels=Labels("Other", [self.template] * count, np.full(count, np.nan), mwebv),
            mean_flux=flux_njy(magnitude),
            amplitude_mag=amplitude * (wavelength / BAND_ANGSTROM[Band.R]) ** -self.blue_slope,
            period_days=10 ** rng.uniform(*self.log_period_days, count),
            phase=rng.random(count),
            shape=lambda index, phase: _waveform(self.harmonics, phase, float(sharpness[index])),
        )


def _waveform(kind: str, phase: NDArray[np.float64], sharpness: float) -> NDArray[np.float64]:
    """Return a magnitude change of about unit range and zero mean."""
    if kind == "sine":
        return np.asarray(0.5 * np.sin(2 * np.pi * phase))
    if kind == "eclipse":
        primary = np.exp(-0.5 * ((phase - 0.25) / (0.5 * sharpness)) ** 2)
        secondary = 0.4 * np.exp(-0.5 * ((phase - 0.75) / (0.5 * sharpness)) ** 2)
        return np.asarray(primary + secondary - 1.4 * 0.5 * sharpness * np.sqrt(2 * np.pi))
    # A sawtooth: fast rise over `sharpness` of the period, slow decline.
    falling = (phase - sharpness) / (1 - sharpness) - 0.5
    return np.where(phase < sharpness, 0.5 - phase / sharpness, falling)


@dataclass(frozen=True, slots=True)
class DwarfNovae:
    """Cataclysmic variables in outburst, several times over (Coppejans et al. 2016, MNRAS 456, 4441)."""

    def draw(
        self, rng: np.random.Generator, environment: Environment, mwebv: NDArray[np.float64]
    ) -> TabulatedSources:
        """Draw one binary behind each Milky Way E(B-V) of `mwebv`; see `Population`."""
        count = mwebv.size
        days = np.arange(*environment.window_days, 0.5)
        peak_mag = power_law_magnitudes(rng, count, (13.5, environment.limit_mag), 0.15)
        recurrence = 10 ** rng.normal(2.0, 0.4, count)
        since = days % np.maximum(recurrence, 15.0)[:, None]
        shape = self._outburst(rng, since)
        wavelength = band_wavelengths(environment)
        colour = rng.normal(0.05, 0.15, count)[:, None]
        leverage = colour_slope(wavelength)
        # Only a part of the Milky Way's dust lies in front of its own stars.
        dust = mwebv[:, None] * 0.3 * extinction_per_ebv(wavelength)
        magnitude = peak_mag[:, None] + colour * leverage + dust
        # The fading disc reddens a little: the blue bands fall faster.
        return _outbursts("dwarf-nova", days, magnitude, shape, 1 + 0.08 * leverage, mwebv)

    @staticmethod
    def _outburst(rng: np.random.Generator, since: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the flux relative to maximum: a rise in a day, a slow decline, then a fast one."""
        count = since.shape[0]
        rise = rng.uniform(0.5, 2.5, (count, 1))
        length = 10 ** rng.normal(0.9, 0.25, (count, 1))
        slow = rng.uniform(0.02, 0.15, (count, 1))
        fast = rng.uniform(0.5, 1.2, (count, 1))
        after = since - rise
        magnitude = slow * np.maximum(after, 0) + fast * np.maximum(after - length, 0)
        falling = 10 ** (-0.4 * np.minimum(magnitude, 20.0))
        return np.where(after < 0, np.clip(since / rise, 0, 1) ** 2, falling)


@dataclass(frozen=True, slots=True)
class Novae:
    """Classical novae of nearby galaxies (decline times after Strope et al. 2010, AJ 140, 34)."""

    def draw(
        self, rng: np.random.Generator, environment: Environment, mwebv: NDArray[np.float64]
    ) -> TabulatedSources:
        """Draw one nova behind each Milky Way E(B-V) of `mwebv`; see `Population`."""
        count = mwebv.size
        since = np.concatenate([np.arange(0, 20, 0.5), np.arange(20, 100, 2.0), np.arange(100, 520, 10.0)])
        peak_mag = power_law_magnitudes(rng, count, (14.5, environment.limit_mag), 0.2)
        rise = rng.uniform(0.5, 4.0, count)[:, None]
        two_mag = (10 ** rng.normal(1.3, 0.35, count))[:, None]
        after = np.maximum(since - rise, 0.0)
        # Linear in magnitude at first, slower later on.
        decline = 2 * np.minimum(after, two_mag) / two_mag + np.maximum(after - two_mag, 0) / two_mag * 0.7
        wiggle = rng.normal(0, 0.25, (count, 1)) * np.sin(
            after / (0.3 * two_mag) + rng.uniform(0, 6, (count, 1))
        )
        shape = (
            10 ** (-0.4 * np.minimum(decline + wiggle * (after > 0), 20.0)) * np.clip(since / rise, 0, 1) ** 2
        )
        wavelength = band_wavelengths(environment)
        colour = rng.normal(0.15, 0.15, count)[:, None]
        leverage = colour_slope(wavelength)
        dust = mwebv[:, None] * extinction_per_ebv(wavelength)
        magnitude = peak_mag[:, None] + colour * leverage + dust
        # H alpha keeps r bright while the continuum fades.
        return _outbursts("nova", since, magnitude, shape, 1 + 0.12 * leverage, mwebv)


def _outbursts(
    template: str,
    days: NDArray[np.float64],
    magnitude: NDArray[np.float64],
    shape: NDArray[np.float64],
    power: NDArray[np.float64],
    mwebv: NDArray[np.float64],
) -> TabulatedSources:
    """Return outbursts of stars.

    Parameters
    ----------
    template
        Name given to the light curves.
    days
        Shape (t,).
    magnitude
        Shape (n, bands), at maximum.
    shape
        Shape (n, t): flux relative to maximum.
    power
        Shape (bands,): exponent of `shape`, for colours that change as the outburst fades.
    mwebv
        Shape (n,).
    """
    count = mwebv.size
    flux = flux_njy(magnitude)[:, None, :] * shape[:, :, None] ** power
    labels = Labels("Other", [template] * count, np.full(count, np.nan), mwebv)
    return TabulatedSources(labels, np.broadcast_to(days, (count, days.size)), flux)
