"""Supernovae without spectral templates: black bodies with the mean light curve of their class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulation.environment import Environment
from training.simulation.sources.batch import Labels, TabulatedSources
from training.simulation.sources.luminosity import Luminosity
from training.simulation.sources.spectra import LOG_TEMPERATURE
from training.simulation.sources.spectral_factors import thermal_dust, ultraviolet_cutoff
from training.simulation.sources.thermal import thermal_flux
from training.simulation.sources.visible import Volume, draw_members

__all__ = ["MeanLightCurve", "ParametricSupernova", "mean_light_curve"]

_PHASE_DAYS = np.concatenate(
    [
        np.arange(-60.0, -20.0, 2.5),
        np.arange(-20.0, 60.0, 1.5),
        np.arange(60.0, 150.0, 5.0),
        [170, 200, 300, 400],
    ]
)

# Points between which the mean is linear: rounded medians over the objects of the public Bright Transient
# Survey (Perley et al. 2020); the first and last points extrapolate, by the rise of a fireball and the decay
# of cobalt.
_POINTS = {
    "Ia": (
        (
            "-18:6 -15:2.4 -10:0.8 -5:0.2 0:0 5:0.08 10:0.3 15:0.58 "
            "20:0.75 30:1 50:1.92 75:2.4 100:2.95 140:3.7 200:4.6 400:7.5"
        ),
        "-10:-0.08 0:-0.06 10:0.1 20:0.58 30:0.98 50:0.83 75:0.46 100:0.2",
    ),
    "91bg": (
        "-14:6 -12:2.5 -8:1 -4:0.25 0:0 10:0.5 15:0.82 30:1.7 50:2.5 100:4.2 400:10",
        "-5:0.25 0:0.42 10:0.88 20:1.15 30:1.15 50:0.8 100:0.4",
    ),
    "Iax": (
        "-16:6 -14:2.5 -8:0.8 -4:0.2 0:0 15:0.5 30:1.3 50:1.8 100:2.8 400:7",
        "-8:0 0:0.25 10:0.85 20:1.1 30:1.15 50:0.95 100:0.8",
    ),
    "Ib": (
        "-22:6 -20:2.5 -15:1.2 -10:0.5 -5:0.13 0:0 15:0.6 30:1.17 50:1.48 75:1.8 100:2.2 150:3.1 400:7",
        "-10:0.24 -5:0.24 0:0.4 10:0.8 20:0.98 30:0.95 50:0.78 100:0.5",
    ),
    "Ibn": (
        "-9:6 -7:2.5 -3:0.4 0:0 10:0.9 20:1.9 30:2.7 60:4.5 400:12",
        "-5:-0.2 0:-0.12 10:0 20:0.15 40:0.4",
    ),
    "Ic": (
        "-20:6 -18:2.5 -10:0.45 -5:0.13 0:0 15:0.57 30:1.16 50:1.6 75:1.8 100:2.3 150:3.2 400:7.5",
        "-10:0.3 -5:0.4 0:0.56 10:0.86 15:0.94 20:1 30:0.88 50:0.76 100:0.5",
    ),
    "Ic-BL": (
        "-17:6 -15:2.5 -8:0.6 -4:0.15 0:0 15:0.72 30:1.26 50:1.75 100:2.7 400:8",
        "-10:0.1 -5:0.2 0:0.46 10:0.92 20:1.1 30:0.95 50:0.75 100:0.5",
    ),
    "II": (
        (
            "-14:6 -12:2.5 -8:0.8 -4:0.2 0:0 15:0.2 30:0.38 "
            "50:0.55 80:0.95 95:1.3 110:2.1 140:2.4 200:2.9 400:4.9"
        ),
        "-10:-0.2 -5:-0.05 0:0.08 10:0.3 20:0.48 30:0.63 50:0.85 140:0.85",
    ),
    "IIn": (
        "-45:6 -40:2.5 -20:0.75 -10:0.22 0:0 15:0.18 30:0.4 50:0.63 100:1.3 200:2.6 400:5",
        "-20:-0.03 0:0.02 10:0.14 20:0.2 30:0.26 50:0.42 100:0.6",
    ),
    "IIb": (
        "-22:6 -20:2.2 -10:0.5 -5:0.13 0:0 15:0.6 30:1.1 50:1.65 100:2.6 400:7",
        "-15:0.1 -5:0.26 0:0.42 10:0.75 20:0.84 30:0.75 50:0.68 100:0.4",
    ),
}
"""By class: days:mag of r below its maximum, and days:mag of g - r."""


@dataclass(frozen=True, slots=True)
class MeanLightCurve:
    """The mean light curve of a class, linear between points; there is no flux before the first.

    Attributes
    ----------
    days, r_mag
        Rest-frame days from the r maximum, and magnitudes below it.
    colour_days, g_minus_r
        The same of the colour, mag.
    """

    days: NDArray[np.float64]
    r_mag: NDArray[np.float64]
    colour_days: NDArray[np.float64]
    g_minus_r: NDArray[np.float64]


def mean_light_curve(name: str) -> MeanLightCurve:
    """Return the mean light curve of a class.

    Parameters
    ----------
    name
        A class, or Ibn.

    Raises
    ------
    KeyError
        There is no light curve of that name.
    """
    columns: list[NDArray[np.float64]] = []
    for text in _POINTS[name]:
        columns.extend(np.array([point.split(":") for point in text.split()], np.float64).T)
    return MeanLightCurve(*columns)


@dataclass(frozen=True, slots=True)
class ParametricSupernova:
    """A class whose members scatter about a mean light curve.

    Attributes
    ----------
    class_name
        The class.
    luminosity
        Peak absolute r magnitude.
    mean
        Name of its mean light curve.
    stretch_sigma
        Lognormal scatter of the time scale; the rise scatters once more by as much.
    colour_sigma_mag
        Scatter of g - r.
    decline_sigma
        Scatter of the decline, mag per day.
    host_av_mag
        Mean of the exponential distribution of A_V in addition to the dust of the mean colour.
    cutoff_angstrom
        Line blanketing below this wavelength.
    rate_power
        Evolution of the rate.
    template
        Name given to the light curves.
    """

    class_name: str
    luminosity: Luminosity
    mean: str
    stretch_sigma: float = 0.12
    colour_sigma_mag: float = 0.1
    decline_sigma: float = 0.004
    host_av_mag: float = 0.05
    cutoff_angstrom: float = 3800.0
    rate_power: float = 2.7
    template: str = "parametric"

    def draw(
        self, rng: np.random.Generator, environment: Environment, mwebv: NDArray[np.float64]
    ) -> TabulatedSources:
        """Draw one object behind each Milky Way E(B-V) of `mwebv`; see `Population`."""
        count = mwebv.size
        volume = Volume((0.002, 1.5), self.rate_power)
        sample = draw_members(rng, environment, count, self.luminosity, volume)
        mean = mean_light_curve(self.mean)
        magnitude = sample.magnitude[:, None] + self._below_peak(rng, mean, count)
        log_temperature = self._log_temperature(rng, environment, mean, count)
        of_unit = np.interp(log_temperature, LOG_TEMPERATURE, environment.black_body_magnitude)
        luminosity = 10 ** (-0.4 * (magnitude - of_unit))
        luminosity[:, mean.days[0] > _PHASE_DAYS] = 0.0
        labels = Labels(self.class_name, [self.template] * count, sample.redshift, mwebv)
        cutoff = self.cutoff_angstrom * rng.lognormal(0, 0.03, count)
        factor = ultraviolet_cutoff(cutoff, np.full(count, 3.0))
        factor *= thermal_dust(rng.exponential(self.host_av_mag, count))
        flux = thermal_flux(environment, labels, luminosity, 10**log_temperature, factor)
        stretch = rng.lognormal(0.0, self.stretch_sigma, (2, count))
        scale = np.where(_PHASE_DAYS[None, :] < 0, (stretch[0] * stretch[1])[:, None], stretch[0][:, None])
        return TabulatedSources(labels, _PHASE_DAYS * scale * (1 + sample.redshift)[:, None], flux)

    def _below_peak(self, rng: np.random.Generator, mean: MeanLightCurve, count: int) -> NDArray[np.float64]:
        """Return r magnitudes below peak, shape (n, phases)."""
        # Medians over detected objects are those of the slow ones: the mean declines a little faster.
        decline = rng.normal(0.003, self.decline_sigma, count)[:, None]
        below = np.interp(_PHASE_DAYS, mean.days, mean.r_mag)
        return np.asarray(below + decline * np.clip(_PHASE_DAYS, 0.0, 100.0))

    def _log_temperature(
        self, rng: np.random.Generator, environment: Environment, mean: MeanLightCurve, count: int
    ) -> NDArray[np.float64]:
        """Return the log temperature of the black body of the scattered mean colour, shape (n, phases)."""
        colour = np.interp(_PHASE_DAYS, mean.colour_days, mean.g_minus_r)
        colour = colour + rng.normal(0, self.colour_sigma_mag, count)[:, None]
        # Black bodies redden as they cool: the table runs backwards.
        colours = environment.black_body_colour[::-1]
        return np.asarray(np.interp(colour, colours, LOG_TEMPERATURE[::-1]))
