"""Black-body sources: superluminous supernovae and tidal disruption events."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulation.environment import Environment
from training.simulation.sources.batch import Labels, TabulatedSources
from training.simulation.sources.luminosity import Luminosity, VolumeSample
from training.simulation.sources.magnetar import Magnetars, magnetar_light_curve
from training.simulation.sources.spectra import BLACK_BODY_MIDDLE_ANGSTROM, LOG_TEMPERATURE
from training.simulation.sources.spectral_factors import colour_warp, thermal_dust, ultraviolet_cutoff
from training.simulation.sources.visible import Volume, draw_from_pool, draw_members

__all__ = ["SuperluminousI", "TidalDisruption", "thermal_flux"]

_MARGIN_MAG = 1.0  # hot sources are brighter in g than in r, more so when redshifted

TIME_DAYS = np.concatenate(
    [
        np.arange(-120.0, -30.0, 5.0),
        np.arange(-30.0, 60.0, 1.5),
        np.arange(60.0, 200.0, 5.0),
        np.arange(200.0, 701.0, 20.0),
    ]
)
"""Rest-frame days from the peak."""


def thermal_flux(
    environment: Environment,
    labels: Labels,
    luminosity: NDArray[np.float64],
    temperature_kelvin: NDArray[np.float64],
    rest_factor: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the observed flux of expanding or cooling black bodies.

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
        Shape (n, w), further factors on the rest-frame spectra.

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
    """Interpolate a table (n, temperatures, bands) at (n, t) temperatures, linearly in the logarithms."""
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
        """Draw one object behind each Milky Way E(B-V) of `mwebv`; see `Population`."""
        count = mwebv.size
        magnetars, magnitude = environment.magnetars.draw(rng, 4000)
        volume = Volume((0.02, 3.0), rate_power=2.7, margin_mag=_MARGIN_MAG)
        sample, row = draw_from_pool(rng, environment, count, magnitude, volume)
        chosen = Magnetars(**{name: getattr(magnetars, name)[row] for name in Magnetars.__slots__})
        since = np.concatenate(
            [np.linspace(0, 120, 81), np.linspace(125, 400, 40), np.linspace(420, 900, 20)]
        )
        luminosity, temperature = magnetar_light_curve(chosen, since)
        factor = ultraviolet_cutoff(chosen.cutoff_angstrom, chosen.cutoff_slope)
        factor *= thermal_dust(chosen.host_av_mag)
        # A black body with a cutoff is too red: without this, real ones are 0.1 mag bluer in g - r at peak.
        factor *= colour_warp(rng, count, 0.06, BLACK_BODY_MIDDLE_ANGSTROM, mean_mag=-0.07)
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
        """Draw one object behind each Milky Way E(B-V) of `mwebv`; see `Population`."""
        count = mwebv.size
        volume = Volume((0.005, 2.0), rate_power=-1.0, margin_mag=_MARGIN_MAG)
        sample = draw_members(rng, environment, count, self.luminosity, volume)
        shape = self._shape(rng, count)
        # Most cool a little about the peak and warm up later on.
        log_peak = np.clip(rng.normal(4.29, 0.14, count), 4.0, 4.7)[:, None]
        cooling = rng.normal(-0.05, 0.05, count)[:, None] * np.clip(TIME_DAYS / 30.0, -1.0, 1.0)
        warming = rng.normal(20.0, 30.0, count)[:, None] * np.clip(TIME_DAYS - 30.0, 0.0, 200.0)
        temperature = np.clip(10 ** (log_peak + cooling) + warming, 9e3, 6e4)
        labels = Labels("TDE", ["black-body"] * count, sample.redshift, mwebv)
        factor = thermal_dust(rng.exponential(0.25, count))
        return _normalised(environment, labels, sample, shape, temperature, factor)

    @staticmethod
    def _shape(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return luminosities relative to peak, shape (count, t): Gaussian rise, two kinds of decay."""
        sigma = (10 ** rng.normal(1.12, 0.25, count))[:, None]
        scale = (10 ** rng.normal(1.55, 0.26, count))[:, None]
        index = np.clip(rng.normal(2.2, 0.7, count), 0.8, 4.0)[:, None]
        after = np.maximum(TIME_DAYS, 0.0)
        power = (1 + after / (index * scale)) ** -index
        decay = np.where(rng.random(count)[:, None] < 0.4, np.exp(-after / scale), power)
        plateau = (10 ** rng.normal(-1.9, 0.4, count))[:, None]
        decay = np.where(TIME_DAYS > 0, (1 - plateau) * decay + plateau, decay)
        return np.where(TIME_DAYS < 0, np.exp(-(TIME_DAYS**2) / (2 * sigma**2)), decay)


def _normalised(
    environment: Environment,
    labels: Labels,
    sample: VolumeSample,
    shape: NDArray[np.float64],
    temperature_kelvin: NDArray[np.float64],
    rest_factor: NDArray[np.float64],
) -> TabulatedSources:
    """Return light curves scaled so that the black body itself peaks at the drawn r magnitude."""
    position = np.log10(temperature_kelvin)
    of_unit = np.interp(position, LOG_TEMPERATURE, environment.black_body_magnitude)
    peak = (of_unit - 2.5 * np.log10(np.maximum(shape, 1e-30))).min(axis=1)
    luminosity = shape * 10 ** (-0.4 * (sample.magnitude - peak))[:, None]
    flux = thermal_flux(environment, labels, luminosity, temperature_kelvin, rest_factor)
    return TabulatedSources(labels, TIME_DAYS * (1 + labels.redshift[:, None]), flux)
