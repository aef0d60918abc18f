"""Superluminous supernovae powered by a magnetar (Nicholl et al. 2017, ApJ 850, 55)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["MagnetarPriors", "Magnetars", "load_magnetar_priors", "magnetar_light_curve"]

DAY_S = 86_400.0
SOLAR_MASS_G = 1.98892e33
SPEED_OF_LIGHT_CM_S = 2.99792458e10

_COLUMNS = {
    "spin_ms": "Pspin",
    "log_field_gauss": "log(Bfield)",
    "star_mass_msun": "Mns",
    "ejecta_msun": "mejecta",
    "opacity": "kappa",
    "gamma_opacity": "kappagamma",
    "velocity_km_s": "vejecta",
    "floor_kelvin": "temperature",
    "cutoff_slope": "alpha",
    "cutoff_angstrom": "cutoff_wavelength",
    "host_av_mag": "A_V",
}

# Medians and scatter of the same parameters over the population of Gomez et al. 2024 (arXiv:2407.07946),
# for a machine without the table: (centre, sigma of the logarithm or of the value).
_LOGNORMAL = {
    "spin_ms": (2.5, 0.6),
    "star_mass_msun": (1.7, 0.05),
    "ejecta_msun": (9.5, 0.8),
    "opacity": (0.076, 0.6),
    "gamma_opacity": (0.067, 0.8),
    "velocity_km_s": (7500.0, 0.4),
    "floor_kelvin": (7000.0, 0.22),
    "cutoff_slope": (1.85, 0.5),
    "cutoff_angstrom": (3350.0, 0.15),
}


@dataclass(frozen=True, slots=True)
class Magnetars:
    """Parameters of n objects; every array has shape (n,). See `_COLUMNS` for the source's names."""

    spin_ms: NDArray[np.float64]
    log_field_gauss: NDArray[np.float64]
    star_mass_msun: NDArray[np.float64]
    ejecta_msun: NDArray[np.float64]
    opacity: NDArray[np.float64]
    gamma_opacity: NDArray[np.float64]
    velocity_km_s: NDArray[np.float64]
    floor_kelvin: NDArray[np.float64]
    cutoff_slope: NDArray[np.float64]
    cutoff_angstrom: NDArray[np.float64]
    host_av_mag: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MagnetarPriors:
    """A population to draw from.

    Attributes
    ----------
    sample
        Column name of `Magnetars` (and ``peak_magnitude``) to shape (m,) values of fitted objects.
    weight
        Shape (m,), sums to 1: inverse of the volume in which each object would have been found.
    """

    sample: dict[str, NDArray[np.float64]]
    weight: NDArray[np.float64]

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Magnetars, NDArray[np.float64]]:
        """Draw objects near fitted ones.

        Parameters
        ----------
        rng
            Source of randomness.
        count
            Number of objects.

        Returns
        -------
        magnetars
            Their parameters.
        magnitude
            Shape (count,), peak absolute magnitudes.
        """
        chosen = rng.choice(self.weight.size, count, p=self.weight)
        values = {name: column[chosen] for name, column in self.sample.items()}
        for name in _LOGNORMAL:
            values[name] = values[name] * rng.lognormal(0.0, 0.08, count)
        values["log_field_gauss"] = values["log_field_gauss"] + rng.normal(0, 0.04, count)
        magnitude = values.pop("peak_magnitude") + rng.normal(0, 0.15, count)
        return Magnetars(**values), magnitude


def load_magnetar_priors(data_dir: Path | None) -> MagnetarPriors:
    """Return the population of a data directory; without it, one of lognormal marginals.

    Parameters
    ----------
    data_dir
        Directory with ``slsn_parameters``, or None.
    """
    path = data_dir / "slsn_parameters" / "slsn_mosfit_parameters.txt" if data_dir is not None else None
    sample = _read_sample(path) if path is not None and path.is_file() else _lognormal_sample()
    # Flux-limited: an object a magnitude brighter is found in a volume four times as large. The range is
    # clipped so that no single faint object outweighs the others.
    relative = np.clip(sample["peak_magnitude"] + 21.8, -1.5, 0.5)
    weight = 10 ** (0.6 * relative)
    return MagnetarPriors(sample, weight / weight.sum())


def magnetar_light_curve(
    magnetars: Magnetars, days: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return luminosity and photospheric temperature after the explosion.

    Parameters
    ----------
    magnetars
        n objects.
    days
        Shape (t,), rest-frame days since the explosion, ascending from 0.

    Returns
    -------
    luminosity_erg_s, temperature_kelvin
        Shape (n, t). Equations 1-10 of Nicholl et al. 2017; the temperature does not fall below a floor.
    """
    mass_factor = (magnetars.star_mass_msun / 1.4) ** 1.5
    energy = 2.6e52 * mass_factor * magnetars.spin_ms**-2
    spin_down = 1.3e5 * mass_factor * magnetars.spin_ms**2 * 10 ** (-2 * (magnetars.log_field_gauss - 14))
    velocity = magnetars.velocity_km_s * 1e5
    mass = magnetars.ejecta_msun * SOLAR_MASS_G
    diffusion = np.sqrt(2 * magnetars.opacity * mass / (13.7 * SPEED_OF_LIGHT_CM_S * velocity))
    leakage = 3 * magnetars.gamma_opacity * mass / (4 * np.pi * velocity**2)

    seconds = (days * DAY_S)[None, :]
    power = 2 * (energy / spin_down)[:, None] / (1 + 2 * seconds / spin_down[:, None]) ** 2
    luminosity = _diffused(power, seconds, diffusion[:, None])
    trapped = -np.expm1(-leakage[:, None] / np.maximum(seconds, DAY_S) ** 2)
    luminosity = luminosity * trapped
    radius = velocity[:, None] * np.maximum(seconds, 0.1 * DAY_S)
    temperature = (np.maximum(luminosity, 1.0) / (4 * np.pi * 5.670374419e-5 * radius**2)) ** 0.25
    return luminosity, np.maximum(temperature, magnetars.floor_kelvin[:, None])


def _diffused(
    power: NDArray[np.float64], seconds: NDArray[np.float64], diffusion: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the diffused power (Arnett 1982), step by step, so that exp((t / t_d)^2) does not overflow."""
    result = np.zeros(power.shape)
    fades = np.exp(-np.diff(seconds**2, axis=1) / diffusion**2)
    middle = (power[:, 1:] + power[:, :-1]) / 2
    for i in range(1, power.shape[1]):
        fade = fades[:, i - 1]
        # Exact for a power that is constant over the step.
        result[:, i] = result[:, i - 1] * fade + middle[:, i - 1] * (1 - fade)
    return result


def _read_sample(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read the medians of the fits."""
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    header = lines[0]
    table = {
        ours: np.array([float(line[header.index(f"{theirs}_med")]) for line in lines[1:]])
        for ours, theirs in _COLUMNS.items()
    }
    return _with_peaks(table)


def _lognormal_sample(count: int = 400) -> dict[str, NDArray[np.float64]]:
    """Draw a fixed population from lognormal marginals, with peak magnitudes from the model itself."""
    rng = np.random.default_rng(240707946)
    sample = {name: centre * rng.lognormal(0.0, sigma, count) for name, (centre, sigma) in _LOGNORMAL.items()}
    sample["log_field_gauss"] = rng.normal(14.2, 0.35, count)
    sample["host_av_mag"] = rng.exponential(0.1, count)
    return _with_peaks(sample)


def _with_peaks(sample: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Add the absolute magnitude at peak, from the model itself; keep superluminous objects."""
    luminosity, _ = magnetar_light_curve(Magnetars(**sample), np.linspace(0, 300, 301))
    # M_bol = 88.70 - 2.5 log L (IAU 2015); optical bands are some tenths fainter.
    magnitude = 88.70 - 2.5 * np.log10(luminosity.max(axis=1)) + 0.3
    # No superluminous supernova has been seen to peak within days of the explosion.
    good = (magnitude < -19.8) & (magnitude > -23.5) & (luminosity.argmax(axis=1) >= 8)
    return {name: column[good] for name, column in sample.items()} | {"peak_magnitude": magnitude[good]}
