"""Sources that shine like a black body: superluminous and parametric supernovae, tidal disruptions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulation.dust import extinction_per_ebv
from training.simulation.environment import Environment
from training.simulation.luminosity import Luminosity, VolumeSample, draw_visible
from training.simulation.magnetar import Magnetars, magnetar_light_curve
from training.simulation.sources import Labels, TabulatedSources
from training.simulation.spectra import BLACK_BODY_EDGES_ANGSTROM, LOG_TEMPERATURE
from training.simulation.supernovae import colour_warp, host_dust

__all__ = ["ParametricSupernova", "SuperluminousI", "TidalDisruption", "thermal_flux"]

_MIDDLE = (BLACK_BODY_EDGES_ANGSTROM[1:] + BLACK_BODY_EDGES_ANGSTROM[:-1]) / 2
_PER_EBV = extinction_per_ebv(np.clip(_MIDDLE, 912.0, None))
_MARGIN_MAG = 1.0  # hot sources are brighter in g than in r, more so when redshifted

TIME_DAYS = np.concatenate(
    [
        np.arange(-120.0, -30.0, 5.0),
        np.arange(-30.0, 60.0, 1.5),
        np.arange(60.0, 200.0, 5.0),
        np.arange(200.0, 701.0, 20.0),
    ]
)
"""Rest-frame days about the peak."""


def thermal_flux(
    environment: Environment,
    labels: Labels,
    luminosity: NDArray[np.float64],
    temperature_kelvin: NDArray[np.float64],
    rest_factor: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Give the observed flux of expanding or cooling black bodies.

    Parameters
    ----------
    environment
        Bands and distances.
    labels
        Redshifts (> 0) and Milky Way dust of n objects.
    luminosity
        Shape (n, t), erg/s.
    temperature_kelvin
        Shape (n, t).
    rest_factor
        Shape (n, w), whatever else multiplies the rest-frame spectra.

    Returns
    -------
    ndarray, shape (n, t, bands), float64
        nJy.
    """
    weights = environment.thermal_photometer.weights(labels.redshift, labels.mwebv, rest_factor)
    by_temperature = np.einsum("kw,nbw->nkb", environment.black_bodies, weights, optimize=True)
    return luminosity[:, :, None] * _at_temperature(by_temperature, temperature_kelvin)


def _at_temperature(
    table: NDArray[np.float64], temperature_kelvin: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate (n, temperatures, bands) at (n, t) temperatures, linearly in the logarithms."""
    step = LOG_TEMPERATURE[1] - LOG_TEMPERATURE[0]
    position = (np.log10(temperature_kelvin) - LOG_TEMPERATURE[0]) / step
    position = np.clip(position, 0.0, LOG_TEMPERATURE.size - 1.001)
    low = position.astype(np.int64)
    part = (position - low)[:, :, None]
    rows = np.arange(table.shape[0])[:, None]
    logarithm = np.log(np.maximum(table, 1e-300))
    return np.asarray(np.exp((1 - part) * logarithm[rows, low] + part * logarithm[rows, low + 1]))


@dataclass(frozen=True, slots=True)
class SuperluminousI:
    """Hydrogen-poor superluminous supernovae: magnetars with an ultraviolet cutoff."""

    def draw(
        self, rng: np.random.Generator, environment: Environment, mwebv: NDArray[np.float64]
    ) -> TabulatedSources:
        """Draw one object behind each Milky Way E(B-V) of `mwebv`; it may peak above the limit."""
        count = mwebv.size
        magnetars, magnitude = environment.magnetars.draw(rng, 4000)
        sample = draw_visible(
            rng,
            environment.cosmology,
            count,
            lambda r, n: magnitude[r.integers(0, magnitude.size, n)],
            float(magnitude.min()),
            limit_mag=environment.limit_mag + _MARGIN_MAG,
            rate_power=2.7,
            z_range=(0.02, 3.0),
        )
        order = np.argsort(magnitude)
        row = order[np.searchsorted(magnitude[order], sample.magnitude)]
        chosen = Magnetars(**{name: getattr(magnetars, name)[row] for name in Magnetars.__slots__})
        since = np.concatenate(
            [np.linspace(0, 120, 81), np.linspace(125, 400, 40), np.linspace(420, 900, 20)]
        )
        luminosity, temperature = magnetar_light_curve(chosen, since)
        factor = _ultraviolet_cutoff(chosen.cutoff_angstrom, chosen.cutoff_slope)
        factor *= host_dust(chosen.host_av_mag, _PER_EBV)
        # A black body with a cutoff is too red: without this, real ones are 0.1 mag bluer in g - r at peak.
        factor *= colour_warp(rng, count, 0.06, _MIDDLE, mean_mag=-0.1)
        labels = Labels("SLSN-I", ["magnetar"] * count, sample.redshift, mwebv)
        flux = thermal_flux(environment, labels, luminosity, temperature, factor)
        peak = since[luminosity.argmax(axis=1)]
        days = (since[None, :] - peak[:, None]) * (1 + sample.redshift[:, None])
        return TabulatedSources(labels, days, flux)


@dataclass(frozen=True, slots=True)
class TidalDisruption:
    """Optical tidal disruption events.

    Distributions of temperature, rise and decay: van Velzen et al. 2021 (ApJ 908, 4), Hammerstein et al.
    2023 (ApJ 942, 9); luminosity function: Yao et al. 2023 (ApJ 955, L6).

    Attributes
    ----------
    luminosity
        Peak absolute r magnitude.
    """

    luminosity: Luminosity

    def draw(
        self, rng: np.random.Generator, environment: Environment, mwebv: NDArray[np.float64]
    ) -> TabulatedSources:
        """Draw one object behind each Milky Way E(B-V) of `mwebv`; it may peak above the limit."""
        count = mwebv.size
        sample = draw_visible(
            rng,
            environment.cosmology,
            count,
            self.luminosity.draw,
            self.luminosity.brightest,
            limit_mag=environment.limit_mag + _MARGIN_MAG,
            rate_power=-1.0,
            z_range=(0.005, 2.0),
        )
        shape = self._shape(rng, count)
        # Most cool a little about the peak and warm up later on.
        log_peak = np.clip(rng.normal(4.29, 0.14, count), 4.0, 4.7)[:, None]
        cooling = rng.normal(-0.05, 0.05, count)[:, None] * np.clip(TIME_DAYS / 30.0, -1.0, 1.0)
        warming = rng.normal(20.0, 30.0, count)[:, None] * np.clip(TIME_DAYS - 30.0, 0.0, 200.0)
        temperature = np.clip(10 ** (log_peak + cooling) + warming, 9e3, 6e4)
        labels = Labels("TDE", ["black-body"] * count, sample.redshift, mwebv)
        factor = host_dust(rng.exponential(0.25, count), _PER_EBV)
        return _normalised(environment, labels, sample, shape, temperature, factor)

    @staticmethod
    def _shape(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Give luminosities relative to their peaks, shape (count, t): Gaussian rise, two kinds of decay."""
        sigma = (10 ** rng.normal(1.12, 0.25, count))[:, None]
        scale = (10 ** rng.normal(1.55, 0.26, count))[:, None]
        index = np.clip(rng.normal(2.2, 0.7, count), 0.8, 4.0)[:, None]
        after = np.maximum(TIME_DAYS, 0.0)
        power = (1 + after / (index * scale)) ** -index
        decay = np.where(rng.random(count)[:, None] < 0.4, np.exp(-after / scale), power)
        plateau = (10 ** rng.normal(-1.9, 0.4, count))[:, None]
        decay = np.where(TIME_DAYS > 0, (1 - plateau) * decay + plateau, decay)
        return np.where(TIME_DAYS < 0, np.exp(-(TIME_DAYS**2) / (2 * sigma**2)), decay)


@dataclass(frozen=True, slots=True)
class ParametricSupernova:
    """A supernova as a cooling black body with an analytic light curve.

    Attributes
    ----------
    class_name
        The class.
    luminosity
        Peak absolute r magnitude before dust.
    rise_days, fall_days
        Medians of the time from explosion to peak and of the e-folding time of the decline.
    plateau_days
        Time after peak during which the light stays; 0 for none.
    peak_kelvin, late_kelvin, cooling_days
        Medians of the temperature at peak, of its final value, and the time scale between them.
    cutoff_angstrom
        Line blanketing below this wavelength.
    host_av_mag
        Mean of the exponential distribution of the host's A_V.
    scatter
        Lognormal scatter of the time scales.
    bump
        Height of a second maximum in units of the first (SN Ia in the red).
    rate_power
        Evolution of the rate.
    template
        Name put on the light curves.
    """

    class_name: str
    luminosity: Luminosity
    rise_days: float
    fall_days: float
    plateau_days: float
    peak_kelvin: float
    late_kelvin: float
    cooling_days: float
    cutoff_angstrom: float = 4000.0
    host_av_mag: float = 0.3
    scatter: float = 0.2
    bump: float = 0.0
    rate_power: float = 2.7
    template: str = "parametric"

    def draw(
        self, rng: np.random.Generator, environment: Environment, mwebv: NDArray[np.float64]
    ) -> TabulatedSources:
        """Draw one object behind each Milky Way E(B-V) of `mwebv`; it may peak above the limit."""
        count = mwebv.size
        sample = draw_visible(
            rng,
            environment.cosmology,
            count,
            self.luminosity.draw,
            self.luminosity.brightest,
            limit_mag=environment.limit_mag + _MARGIN_MAG,
            rate_power=self.rate_power,
            z_range=(0.002, 2.0),
        )
        peak = (self.peak_kelvin * rng.lognormal(0, 0.08, count))[:, None]
        late = (self.late_kelvin * rng.lognormal(0, 0.05, count))[:, None]
        cooling = (self.cooling_days * rng.lognormal(0, self.scatter, count))[:, None]
        temperature = late + (peak - late) * np.exp(-np.clip(TIME_DAYS, -self.rise_days, None) / cooling)
        labels = Labels(self.class_name, [self.template] * count, sample.redshift, mwebv)
        cutoff = self.cutoff_angstrom * rng.lognormal(0, 0.03, count)
        factor = _ultraviolet_cutoff(cutoff, np.full(count, 3.0))
        factor *= host_dust(rng.exponential(self.host_av_mag, count), _PER_EBV)
        return _normalised(environment, labels, sample, self._shape(rng, count), temperature, factor)

    def _shape(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Give the luminosity relative to its peak, shape (count, t)."""
        rise, fall, plateau = (
            (days * rng.lognormal(0, self.scatter, count))[:, None]
            for days in (self.rise_days, self.fall_days, self.plateau_days)
        )
        before = np.clip(1 + np.minimum(TIME_DAYS, 0) / rise, 0.0, 1.0)
        rising = before * (2 - before)
        after = np.maximum(TIME_DAYS, 0.0)
        # A plateau fades slowly, drops by about 1.6 mag and ends in the tail of cobalt decay.
        early = np.exp(-after / fall) if self.plateau_days == 0 else np.exp(-after / (6 * fall))
        drop = 1 / (1 + np.exp((after - plateau) / 5.0)) if self.plateau_days > 0 else 1.0
        tail = 0.12 * np.exp(-after / 90.0)
        second = self.bump * np.exp(-((TIME_DAYS - 26.0) ** 2) / 80.0)
        falling = (1 - 0.12) * early * drop + tail + second
        return np.asarray(np.where(TIME_DAYS < 0, rising, falling))


def _normalised(
    environment: Environment,
    labels: Labels,
    sample: VolumeSample,
    shape: NDArray[np.float64],
    temperature_kelvin: NDArray[np.float64],
    rest_factor: NDArray[np.float64],
) -> TabulatedSources:
    """Scale light curves so that the black body itself peaks at the drawn r magnitude."""
    position = np.log10(temperature_kelvin)
    of_unit = np.interp(position, LOG_TEMPERATURE, environment.black_body_magnitude)
    peak = (of_unit - 2.5 * np.log10(np.maximum(shape, 1e-30))).min(axis=1)
    luminosity = shape * 10 ** (-0.4 * (sample.magnitude - peak))[:, None]
    flux = thermal_flux(environment, labels, luminosity, temperature_kelvin, rest_factor)
    return TabulatedSources(labels, TIME_DAYS * (1 + labels.redshift[:, None]), flux)


def _ultraviolet_cutoff(
    cutoff_angstrom: NDArray[np.float64], slope: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Suppress the spectrum below a wavelength by (lambda / cutoff) ** slope, shape (n, w)."""
    return np.asarray(np.minimum(_MIDDLE / cutoff_angstrom[:, None], 1.0) ** slope[:, None])
