"""Spectral time series on a fixed grid of wavelengths, and black bodies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BLACK_BODY_EDGES_ANGSTROM",
    "BLACK_BODY_MIDDLE_ANGSTROM",
    "LOG_TEMPERATURE",
    "TEMPLATE_EDGES_ANGSTROM",
    "TEMPLATE_MIDDLE_ANGSTROM",
    "SpectralSeries",
    "black_bodies",
]

PARSEC_CM = 3.0856775814913673e18
AREA_10_PC_CM2 = 4 * np.pi * (10 * PARSEC_CM) ** 2
_HC_OVER_K_ANGSTROM_KELVIN = 1.438776877e8
_STEFAN_BOLTZMANN = 5.670374419e-5
_TWO_PI_H_C2 = 3.741771852e-5

TEMPLATE_EDGES_ANGSTROM = np.arange(1500.0, 11_000.1, 50.0)
BLACK_BODY_EDGES_ANGSTROM = np.arange(800.0, 12_600.1, 100.0)
TEMPLATE_MIDDLE_ANGSTROM = (TEMPLATE_EDGES_ANGSTROM[1:] + TEMPLATE_EDGES_ANGSTROM[:-1]) / 2
BLACK_BODY_MIDDLE_ANGSTROM = (BLACK_BODY_EDGES_ANGSTROM[1:] + BLACK_BODY_EDGES_ANGSTROM[:-1]) / 2
LOG_TEMPERATURE = np.linspace(3.2, 4.9, 52)


@dataclass(frozen=True, slots=True)
class SpectralSeries:
    """A rest-frame spectral time series.

    Attributes
    ----------
    name
        Of the template.
    kind
        Its spectroscopic type, as its library names it.
    phase_days
        Shape (p,), rest-frame days, ascending; 0 is the reference (mostly maximum).
    flux
        Shape (p, w), erg/s/cm2/A up to a constant, >= 0.
    observed_until_days
        Last phase with data.
    """

    name: str
    kind: str
    phase_days: NDArray[np.float64]
    flux: NDArray[np.float64]
    observed_until_days: float

    def resampled(self, phase_days: NDArray[np.float64]) -> "SpectralSeries":
        """Return the series at other phases, linearly interpolated.

        Parameters
        ----------
        phase_days
            Shape (q,), ascending. Outside the series' own range its first or last spectrum is repeated.
        """
        i = np.clip(
            np.searchsorted(self.phase_days, phase_days, side="right") - 1, 0, self.phase_days.size - 2
        )
        step = self.phase_days[i + 1] - self.phase_days[i]
        part = np.clip((phase_days - self.phase_days[i]) / step, 0.0, 1.0)[:, None]
        flux = (1 - part) * self.flux[i] + part * self.flux[i + 1]
        return SpectralSeries(self.name, self.kind, phase_days, flux, self.observed_until_days)


def black_bodies(edges_angstrom: NDArray[np.float64] = BLACK_BODY_EDGES_ANGSTROM) -> NDArray[np.float64]:
    """Return the spectra of black bodies of unit luminosity, seen from 10 pc.

    Parameters
    ----------
    edges_angstrom
        Shape (w + 1,).

    Returns
    -------
    ndarray, shape (len(LOG_TEMPERATURE), w), float64
        erg/s/cm2/A at 10 pc for 1 erg/s, at the centre of each bin.
    """
    middle = (edges_angstrom[1:] + edges_angstrom[:-1]) / 2
    temperature = 10 ** LOG_TEMPERATURE[:, None]
    centimetre = middle * 1e-8
    exponent = _HC_OVER_K_ANGSTROM_KELVIN / (middle * temperature)
    per_cm = _TWO_PI_H_C2 / centimetre**5 / np.expm1(np.minimum(exponent, 600.0))
    fraction = per_cm * 1e-8 / (_STEFAN_BOLTZMANN * temperature**4)
    return np.asarray(fraction / AREA_10_PC_CM2)
