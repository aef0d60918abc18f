"""Recurring sources: active nuclei, pulsating and eclipsing stars, outbursts."""

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

__all__ = ["ActiveNuclei", "DwarfNovae", "Novae", "PeriodicSources", "PeriodicStars"]

_BAND_ANGSTROM = {
    Band.U: 3680.0,
    Band.G: 4790.0,
    Band.R: 6290.0,
    Band.I: 7600.0,
    Band.Z: 8680.0,
    Band.Y: 9730.0,
}


def _wavelengths(environment: Environment) -> NDArray[np.float64]:
    """Return the effective wavelengths of the instrument's bands, shape (bands,), A."""
    return np.array([_BAND_ANGSTROM[band] for band in environment.instrument.bands])


def _colour_leverage(wavelength_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return magnitudes per g - r relative to r, along a straight line in 1 / lambda."""
    r_angstrom, g_angstrom = _BAND_ANGSTROM[Band.R], _BAND_ANGSTROM[Band.G]
    return (1 / wavelength_angstrom - 1 / r_angstrom) / (1 / g_angstrom - 1 / r_angstrom)


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


def _magnitude_range(environment: Environment, bright_mag: float) -> tuple[float, float]:
    """Return the range of mean magnitudes; a source fainter than the limit may vary above it."""
    return bright_mag, environment.limit_mag + 0.8


def _power_law_magnitudes(
    rng: np.random.Generator, count: int, limits: tuple[float, float], slope: float
) -> NDArray[np.float64]:
    """Draw magnitudes with dN/dm ~ 10 ** (slope m)."""
    low, high = (10 ** (slope * limit) for limit in limits)
    return np.asarray(np.log10(low + rng.random(count) * (high - low)) / slope)


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
        magnitude = _power_law_magnitudes(rng, count, _magnitude_range(environment, 15.0), 0.35)
        redshift = self._redshift(rng, environment, magnitude)
        wavelength = _wavelengths(environment)
        absolute = magnitude - environment.cosmology.distance_modulus(redshift)
        amplitude, tau = self._walk(rng, absolute, redshift, wavelength)
        start, end = environment.window_days
        days = np.arange(start - 400, end, self.step_days)
        walk = self._damped_random_walk(rng, tau, days.size)
        # f_nu ~ nu^-0.5 and what varies is bluer: the amplitude grows to the blue.
        slope = rng.normal(0.5, 0.2, count)[:, None]
        mean_mag = magnitude[:, None] + 2.5 * slope * np.log10(6290.0 / wavelength)
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
        wavelength = _wavelengths(environment)
        bright, faint = _magnitude_range(environment, 13.0)
        r_mag = _power_law_magnitudes(rng, count, (bright, faint), 0.15)
        colour = rng.normal(*self.g_minus_r_mag, count)
        magnitude = r_mag[:, None] + colour[:, None] * _colour_leverage(wavelength)
        amplitude = rng.uniform(*self.amplitude_mag, count)[:, None]
        sharpness = rng.uniform(0.05, 0.25, count)
        return PeriodicSources(
            labels=Labels("Other", [self.template] * count, np.full(count, np.nan), mwebv),
            mean_flux=flux_njy(magnitude),
            amplitude_mag=amplitude * (wavelength / 6290.0) ** -self.blue_slope,
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
        peak_mag = _power_law_magnitudes(rng, count, (13.5, environment.limit_mag), 0.15)
        recurrence = 10 ** rng.normal(2.0, 0.4, count)
        since = days % np.maximum(recurrence, 15.0)[:, None]
        shape = self._outburst(rng, since)
        wavelength = _wavelengths(environment)
        colour = rng.normal(0.05, 0.15, count)[:, None]
        leverage = _colour_leverage(wavelength)
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
        peak_mag = _power_law_magnitudes(rng, count, (14.5, environment.limit_mag), 0.2)
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
        wavelength = _wavelengths(environment)
        colour = rng.normal(0.15, 0.15, count)[:, None]
        leverage = _colour_leverage(wavelength)
        dust = mwebv[:, None] * extinction_per_ebv(wavelength)
        magnitude = peak_mag[:, None] + colour * leverage + dust
        # H alpha keeps r bright while the continuum fades.
        return _outbursts("nova", since, magnitude, shape, 1 + 0.12 * leverage, mwebv)
