"""Bandpasses as cumulative integrals, which give any bin of a spectrum its exact weight."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band, Survey

__all__ = ["Bandpass", "load_bandpasses"]

SPEED_OF_LIGHT_ANGSTROM_S = 2.99792458e18

# Edges (A) where the transmission is half its plateau, for a machine without the surveys' files.
# ZTF: Dekany et al. 2020, PASP 132, 038001; LSST: Ivezic et al. 2019, ApJ 873, 111, table 1.
_HALF_EDGES: dict[Survey, dict[Band, tuple[float, float]]] = {
    Survey.ZTF: {Band.G: (4085.0, 5525.0), Band.R: (5635.0, 7215.0), Band.I: (7030.0, 8890.0)},
    Survey.LSST: {
        Band.U: (3400.0, 3950.0),
        Band.G: (4050.0, 5510.0),
        Band.R: (5520.0, 6910.0),
        Band.I: (6915.0, 8185.0),
        Band.Z: (8185.0, 9230.0),
        Band.Y: (9240.0, 10_450.0),
    },
}
_EDGE_WIDTH_ANGSTROM = 40.0

_FILES: dict[Survey, dict[Band, tuple[str, float]]] = {
    Survey.ZTF: {
        band: (f"ztf_P48_{name}.dat", 1.0) for band, name in zip((Band.G, Band.R, Band.I), "gRI", strict=True)
    },
    Survey.LSST: {Band(i): (f"lsst_total_{name}.dat.gz", 10.0) for i, name in enumerate("ugrizy")},
}


@dataclass(frozen=True, slots=True)
class Bandpass:
    """A bandpass, as cumulative integrals.

    Attributes
    ----------
    wavelength_angstrom
        Shape (n,), ascending.
    cumulative
        Shape (n,): integral of T(lambda) lambda from the first wavelength, divided by
        c times the integral of T / lambda. The sum over bins of the flux per A, times the
        difference of this between the bin's edges, is the mean flux per Hz.
    """

    wavelength_angstrom: NDArray[np.float64]
    cumulative: NDArray[np.float64]

    @classmethod
    def of(cls, wavelength_angstrom: NDArray[np.float64], transmission: NDArray[np.float64]) -> Self:
        """Return the bandpass of a transmission curve, tabulated on a 5 A grid.

        Parameters
        ----------
        wavelength_angstrom
            Shape (m,), ascending.
        transmission
            Shape (m,), fraction of photons.
        """
        fine = np.arange(wavelength_angstrom[0], wavelength_angstrom[-1] + 5.0, 5.0)
        curve = np.interp(fine, wavelength_angstrom, transmission, left=0.0, right=0.0)
        energy = _cumulative(fine, curve * fine)
        norm = SPEED_OF_LIGHT_ANGSTROM_S * _cumulative(fine, curve / fine)[-1]
        return cls(fine, energy / norm)

    def effective_angstrom(self) -> float:
        """Return the mean wavelength of the collected energy, A."""
        weight = np.diff(self.cumulative)
        middle = (self.wavelength_angstrom[1:] + self.wavelength_angstrom[:-1]) / 2
        return float(np.sum(weight * middle) / np.sum(weight))


def load_bandpasses(survey: Survey, data_dir: Path | None) -> Mapping[Band, Bandpass]:
    """Return the survey's bandpasses; a missing file is replaced by a formula.

    Parameters
    ----------
    survey
        ZTF (g, r, i) or LSST (u ... y).
    data_dir
        Directory with ``bandpasses/``; None, or a missing file: top hats with soft edges.

    Returns
    -------
    mapping
        `Band` to `Bandpass`.
    """
    result = {}
    for band, (name, angstrom_per_unit) in _FILES[survey].items():
        path = data_dir / "bandpasses" / name if data_dir is not None else None
        if path is not None and path.is_file():
            table = _read_table(path)
            result[band] = Bandpass.of(table[:, 0] * angstrom_per_unit, table[:, 1])
        else:
            result[band] = _top_hat(*_HALF_EDGES[survey][band])
    return result


def _read_table(path: Path) -> NDArray[np.float64]:
    """Return two columns of text, compressed or not, shape (rows, 2)."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = [line for line in text.decode().splitlines() if line.strip() and not line.startswith("#")]
    return np.array([[float(value) for value in line.split()[:2]] for line in lines])


def _top_hat(blue_angstrom: float, red_angstrom: float) -> Bandpass:
    """Return a top hat with logistic edges."""
    grid = np.arange(blue_angstrom - 300.0, red_angstrom + 305.0, 5.0)
    rise = 1 / (1 + np.exp(-(grid - blue_angstrom) / _EDGE_WIDTH_ANGSTROM))
    fall = 1 / (1 + np.exp((grid - red_angstrom) / _EDGE_WIDTH_ANGSTROM))
    return Bandpass.of(grid, rise * fall)


def _cumulative(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integrate by the trapezoid rule from the first point."""
    return np.concatenate([[0.0], np.cumsum(np.diff(x) * (y[1:] + y[:-1]) / 2)])
