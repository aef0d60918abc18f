"""Supernovae from spectral templates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulation.environment import Environment
from training.simulation.photometry import absolute_magnitude
from training.simulation.sources.batch import Labels, TabulatedSources
from training.simulation.sources.dust import transmission
from training.simulation.sources.luminosity import Luminosity
from training.simulation.sources.spectra import TEMPLATE_EDGES_ANGSTROM, SpectralSeries
from training.simulation.sources.spectral_factors import colour_leverage, colour_warp, host_dust
from training.simulation.sources.templates import PHASE_DAYS
from training.simulation.sources.visible import Volume, draw_from_pool, draw_members

__all__ = ["TemplatePopulation", "TypeIa", "asymmetric_normal"]

_Z_MIN = 0.002


def asymmetric_normal(
    rng: np.random.Generator, count: int, peak: float, below: float, above: float
) -> NDArray[np.float64]:
    """Draw from two half Gaussians that meet at `peak`.

    Parameters
    ----------
    rng
        Source of randomness.
    count
        Number of draws.
    peak
        Most probable value.
    below, above
        Standard deviations on either side.

    Returns
    -------
    ndarray, shape (count,)
    """
    side = rng.random(count) < below / (below + above)
    size = np.abs(rng.standard_normal(count))
    return np.where(side, peak - below * size, peak + above * size)


@dataclass(frozen=True, slots=True)
class TypeIa:
    """Normal SNe Ia: SALT3 with the population of Scolnic & Kessler 2016 (ApJ 822, L35).

    Attributes
    ----------
    alpha, beta, scatter_mag
        Tripp relation: M_B = -19.30 - alpha x1 + beta c (H0 = 70).
    """

    alpha: float = 0.14
    beta: float = 3.1
    scatter_mag: float = 0.12

    def draw(
        self, rng: np.random.Generator, environment: Environment, mwebv: NDArray[np.float64]
    ) -> TabulatedSources:
        """Draw one object behind each Milky Way E(B-V) of `mwebv`; see `Population`."""
        count = mwebv.size
        pool = 20_000
        x1 = np.clip(asymmetric_normal(rng, pool, 0.973, 1.472, 0.222), -3, 2)
        # The red tail is longer than Scolnic & Kessler's: a complete sample has reddened objects that
        # cosmological samples leave out (compared with the colours of ZTF's bright supernovae).
        c = np.clip(asymmetric_normal(rng, pool, -0.04, 0.05, 0.16), -0.3, 1.0)
        magnitude = -19.30 - self.alpha * x1 + self.beta * c + rng.normal(0, self.scatter_mag, pool)
        volume = Volume((_Z_MIN, 1.4), rate_power=1.5)
        sample, row = draw_from_pool(rng, environment, count, magnitude, volume)
        return self.sources(
            environment,
            redshift=sample.redshift,
            mwebv=mwebv,
            x1=x1[row],
            c=c[row],
            magnitude_b=sample.magnitude,
            warp=colour_warp(rng, count, 0.02),
        )

    def sources(
        self,
        environment: Environment,
        *,
        redshift: NDArray[np.float64],
        mwebv: NDArray[np.float64],
        x1: NDArray[np.float64],
        c: NDArray[np.float64],
        magnitude_b: NDArray[np.float64],
        warp: NDArray[np.float64] | None = None,
    ) -> TabulatedSources:
        """Return the light curves of given parameters.

        Parameters
        ----------
        environment
            Templates, bands and distances.
        redshift, mwebv
            Shape (n,); E(B-V) of the Milky Way in mag.
        x1, c
            Shape (n,), stretch and colour of SALT3.
        magnitude_b
            Shape (n,), absolute peak magnitude in B.
        warp
            Shape (n, w), further factors on the spectra.

        Raises
        ------
        ValueError
            There are no template files.
        """
        if environment.templates is None:
            raise ValueError("SALT3 needs the template files")
        salt = environment.templates.salt
        factor = 10 ** (0.4 * c[:, None] * salt.colour_law)
        if warp is not None:
            factor = factor * warp
        weights = environment.template_photometer.weights(redshift, mwebv, factor)
        # m_B = 10.5 - 2.5 log x0 defines SALT3's x0 (Kenworthy et al. 2021); at 10 pc here.
        x0 = 10 ** (-0.4 * (magnitude_b - 10.5))
        flux = np.einsum("pw,nbw->npb", salt.surfaces[0], weights, optimize=True)
        flux += x1[:, None, None] * np.einsum("pw,nbw->npb", salt.surfaces[1], weights, optimize=True)
        days = salt.phase_days * (1 + redshift[:, None])
        labels = Labels("Ia", ["salt3-f22"] * redshift.size, redshift, mwebv)
        return TabulatedSources(labels, days, np.maximum(flux * x0[:, None, None], 0.0))


@dataclass(frozen=True, slots=True)
class TemplatePopulation:
    """A class whose members are warped copies of spectral templates.

    Attributes
    ----------
    class_name
        The class.
    kinds
        Types of the template library that belong to it; empty: the Hsiao SN Ia template.
    luminosity
        Peak absolute r magnitude before dust.
    host_av_mag
        Mean of the exponential distribution of the host's A_V.
    stretch, stretch_sigma
        Median and lognormal scatter of the time scale.
    rise, rise_sigma
        Median and lognormal scatter of a further factor on the time scale before peak.
    decline, decline_sigma
        Mean and scatter of an extra decline after peak, mag per day.
    cooling_mag
        Further reddening of g - r while the supernova cools, largest 12 days after peak.
    late_tilt_mag
        Reddening of g - r that grows from 40 to 120 days, where templates are extrapolated.
    tilt_mag, tilt_sigma_mag
        Mean and scatter of the reddening of g - r.
    rate_power
        Evolution of the rate.
    plateau_end
        Whether the templates stop on the plateau, so that its end must be added.
    """

    class_name: str
    kinds: tuple[str, ...]
    luminosity: Luminosity
    host_av_mag: float
    stretch: float = 1.0
    stretch_sigma: float = 0.12
    rise: float = 1.0
    rise_sigma: float = 0.12
    decline: float = 0.0
    decline_sigma: float = 0.003
    cooling_mag: float = 0.0
    late_tilt_mag: float = 0.0
    tilt_mag: float = 0.0
    tilt_sigma_mag: float = 0.06
    rate_power: float = 2.7
    plateau_end: bool = False

    def draw(
        self, rng: np.random.Generator, environment: Environment, mwebv: NDArray[np.float64]
    ) -> TabulatedSources:
        """Draw one object behind each Milky Way E(B-V) of `mwebv`; see `Population`."""
        series = self._series(environment)
        count = mwebv.size
        volume = Volume((_Z_MIN, 1.5), self.rate_power)
        sample = draw_members(rng, environment, count, self.luminosity, volume)
        chosen = rng.integers(0, len(series), count)
        factor = host_dust(rng.exponential(self.host_av_mag, count))
        factor *= colour_warp(rng, count, self.tilt_sigma_mag, mean_mag=self.tilt_mag)
        weights = environment.template_photometer.weights(sample.redshift, mwebv, factor)
        flux = np.empty((count, PHASE_DAYS.size, len(environment.instrument.bands)))
        for index, template in enumerate(series):
            rows = np.flatnonzero(chosen == index)
            peak = _peak_magnitude(template, environment)
            scale = 10 ** (-0.4 * (sample.magnitude[rows] - peak))
            flux[rows] = np.einsum("pw,nbw->npb", template.flux, weights[rows], optimize=True)
            flux[rows] *= (scale[:, None] * self._fading(rng, template, rows.size))[:, :, None]
        flux *= self._cooling(environment, sample.redshift)
        labels = Labels(self.class_name, [series[i].name for i in chosen], sample.redshift, mwebv)
        return TabulatedSources(labels, self._days(rng, sample.redshift), flux)

    def _series(self, environment: Environment) -> tuple[SpectralSeries, ...]:
        """Return the templates of the class."""
        if environment.templates is None:
            raise ValueError(f"class {self.class_name} needs the template files")
        if not self.kinds:
            return (environment.templates.hsiao,)
        return environment.templates.of_kinds(*self.kinds)

    def _days(self, rng: np.random.Generator, redshift: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return observed days, shape (n, phases): one stretch for all phases, another for the rise."""
        stretch = self.stretch * rng.lognormal(0.0, self.stretch_sigma, redshift.size)
        rise = self.rise * rng.lognormal(0.0, self.rise_sigma, redshift.size)
        factor = np.where(PHASE_DAYS[None, :] < 0, rise[:, None], 1.0)
        return PHASE_DAYS * factor * (stretch * (1 + redshift))[:, None]

    def _cooling(self, environment: Environment, redshift: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the factors of the reddening, shape (n, phases, bands), 1 at rest-frame 6200 A."""
        bands = np.array([passband.effective_angstrom() for passband in environment.bandpasses.values()])
        leverage = colour_leverage(bands / (1 + redshift[:, None]))
        early = np.exp(-0.5 * ((PHASE_DAYS - 12.0) / np.where(PHASE_DAYS < 12.0, 9.0, 25.0)) ** 2)
        late = np.clip((PHASE_DAYS - 40.0) / 80.0, 0.0, 1.0)
        reddening = self.cooling_mag * early + self.late_tilt_mag * late
        return transmission(-reddening[None, :, None] * leverage[:, None, :])

    def _fading(self, rng: np.random.Generator, template: SpectralSeries, count: int) -> NDArray[np.float64]:
        """Return factors, shape (count, phases): an extra decline and the end of a plateau."""
        after = np.maximum(PHASE_DAYS, 0.0)
        # The extra decline stops after 100 days, where radioactive decay sets the pace.
        magnitude = rng.normal(self.decline, self.decline_sigma, count)[:, None] * np.minimum(after, 100.0)
        if self.plateau_end and template.observed_until_days < 95:
            # Length, depth and width of the drop: Anderson et al. 2014; Valenti et al. 2016.
            end = np.maximum(rng.normal(98.0, 13.0, count), template.observed_until_days - 8)[:, None]
            depth = np.maximum(rng.normal(1.6, 0.4, count), 0.6)[:, None]
            magnitude = magnitude + depth / (1 + np.exp(-(PHASE_DAYS - end) / 5.0))
        return transmission(magnitude)


def _peak_magnitude(template: SpectralSeries, environment: Environment) -> float:
    """Return the template's own peak r magnitude, as if its flux were that at 10 pc."""
    magnitude = absolute_magnitude(template.flux, TEMPLATE_EDGES_ANGSTROM, environment.reference_r)
    return float(magnitude.min())
