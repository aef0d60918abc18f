"""Spectral templates of a data directory, extrapolated to the rise and to late times."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from training.simulation.sources.spectra import TEMPLATE_MIDDLE_ANGSTROM, SpectralSeries

__all__ = ["PHASE_DAYS", "SaltModel", "Templates", "has_templates", "load_templates"]

PHASE_DAYS = np.concatenate(
    [
        np.arange(-60.0, -20.0, 2.5),
        np.arange(-20.0, 40.0, 1.5),
        np.arange(40.0, 130.0, 4.0),
        np.arange(130.0, 431.0, 15.0),
    ]
)
"""Rest-frame phases common to all templates."""

_LATE_SLOPE_MAG_PER_DAY = (0.008, 0.030)  # between cobalt decay fully trapped and a fast stripped envelope
_FIREBALL_DAYS = 3.0


@dataclass(frozen=True, slots=True)
class SaltModel:
    """SALT3 surfaces, extrapolated to late times.

    Attributes
    ----------
    phase_days
        Shape (p,).
    surfaces
        Shape (2, p, w): M0 and M1, erg/s/cm2/A for x0 = 1.
    colour_law
        Shape (w,): flux is multiplied by 10 ** (0.4 c colour_law).
    """

    phase_days: NDArray[np.float64]
    surfaces: NDArray[np.float64]
    colour_law: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates of a data directory, on `TEMPLATE_EDGES_ANGSTROM`.

    Attributes
    ----------
    core_collapse
        On `PHASE_DAYS`.
    salt
        SN Ia.
    hsiao
        SN Ia spectra, on `PHASE_DAYS`, for peculiar SNe Ia.
    """

    core_collapse: tuple[SpectralSeries, ...]
    salt: SaltModel
    hsiao: SpectralSeries

    def of_kinds(self, *kinds: str) -> tuple[SpectralSeries, ...]:
        """Return the core-collapse templates of some spectroscopic types.

        Parameters
        ----------
        kinds
            As the library names them.
        """
        return tuple(series for series in self.core_collapse if series.kind in kinds)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read the directory ``sed_templates``.

        Parameters
        ----------
        directory
            ``sed_templates`` of a data directory.
        """
        with np.load(directory / "hsiao_v3.npz") as file:
            hsiao = _series("hsiao-v3", "SN Ia", file["phase"], file["flux"])
        return cls(
            core_collapse=_core_collapse(directory),
            salt=_salt(directory, hsiao),
            hsiao=_completed(hsiao),
        )


def load_templates(data_dir: Path | None) -> Templates | None:
    """Return the templates of a data directory; None if it has none.

    Parameters
    ----------
    data_dir
        Data directory, or None.
    """
    if data_dir is None or not has_templates(data_dir):
        return None
    return Templates.load(data_dir / "sed_templates")


def has_templates(data_dir: Path | None) -> bool:
    """Return whether a data directory has spectral templates.

    Parameters
    ----------
    data_dir
        Data directory, or None.
    """
    return data_dir is not None and (data_dir / "sed_templates" / "cc_sed_templates.npz").is_file()


def _core_collapse(directory: Path) -> tuple[SpectralSeries, ...]:
    """Read all core-collapse templates."""
    with (directory / "cc_sed_templates_index.csv").open(newline="") as text:
        rows = list(csv.DictReader(text))
    with np.load(directory / "cc_sed_templates.npz") as file:
        names = [(row["name"], row["type"]) for row in rows]
        return tuple(
            _completed(_series(name, kind, file[f"{name}/phase"], file[f"{name}/flux"]))
            for name, kind in names
        )


def _series(name: str, kind: str, phase: NDArray[np.floating], flux: NDArray[np.floating]) -> SpectralSeries:
    """Return the arrays of a file as a series."""
    return SpectralSeries(name, kind, phase.astype(np.float64), flux.astype(np.float64), float(phase[-1]))


def _completed(series: SpectralSeries) -> SpectralSeries:
    """Return a template on the common phases, with a rise before and a decline after its own."""
    inside = series.resampled(PHASE_DAYS)
    first, last = series.phase_days[[0, -1]]
    start = first - _FIREBALL_DAYS
    rise = np.clip((PHASE_DAYS - start) / _FIREBALL_DAYS, 0.0, 1.0) ** 2
    fade = 10 ** (-0.4 * _late_slope(series) * np.maximum(PHASE_DAYS - last, 0.0))
    flux = inside.flux * (rise * fade)[:, None]
    return SpectralSeries(series.name, series.kind, PHASE_DAYS, flux, series.observed_until_days)


def _late_slope(series: SpectralSeries) -> float:
    """Measure the decline over the last 20 days, 4000-9000 A, mag per day, within physical bounds."""
    optical = (TEMPLATE_MIDDLE_ANGSTROM > 4000) & (TEMPLATE_MIDDLE_ANGSTROM < 9000)
    light = series.flux[:, optical].sum(axis=1)
    late = series.phase_days >= series.phase_days[-1] - 20
    magnitude = -2.5 * np.log10(np.maximum(light[late], light.max() * 1e-8))
    slope = np.polyfit(series.phase_days[late], magnitude, 1)[0] if late.sum() > 2 else 0.015
    return float(np.clip(slope, *_LATE_SLOPE_MAG_PER_DAY))


def _salt(directory: Path, hsiao: SpectralSeries) -> SaltModel:
    """Read SALT3 and append the fading of the Hsiao template after its last phase."""
    with np.load(directory / "salt3_f22.npz") as file:
        phase = file["phase"].astype(float)
        surfaces = 1e-12 * np.stack([file["M0"], file["M1"]]).astype(float)
    late = np.concatenate([np.arange(55.0, 90.0, 5.0), np.arange(100.0, 431.0, 15.0)])
    template = _completed(hsiao).resampled(np.concatenate([phase[-1:], late])).flux
    # Smoothed over 500 A: only the fading is wanted, not the ratio of two models' features.
    kernel = np.ones(10) / 10
    smooth = np.stack([np.convolve(row, kernel, mode="same") for row in template])
    fading = smooth[1:] / np.maximum(smooth[0], 1e-6 * smooth[0].max())
    tail = surfaces[:, -1:, :] * np.clip(fading, 0.0, 1.0)[None]
    return SaltModel(
        phase_days=np.concatenate([phase, late]),
        surfaces=np.concatenate([surfaces, tail], axis=1),
        colour_law=_colour_law(directory / "salt3_f22_color_correction.dat"),
    )


def _colour_law(path: Path) -> NDArray[np.float64]:
    """Evaluate SALT's colour law: a polynomial in the reduced wavelength, linear outside its range.

    Source: Guy et al. 2007, A&A 466, 11; the file holds the count, the coefficients and the range.
    """
    lines = path.read_text().split()
    count = int(lines[0])
    coefficients = np.array([float(value) for value in lines[1 : 1 + count]])
    rest = lines[1 + count :]
    low = float(rest[rest.index("Salt2ExtinctionLaw.min_lambda") + 1])
    high = float(rest[rest.index("Salt2ExtinctionLaw.max_lambda") + 1])
    reduced = (TEMPLATE_MIDDLE_ANGSTROM - 4302.57) / (5428.55 - 4302.57)
    limits = (np.array([low, high]) - 4302.57) / (5428.55 - 4302.57)
    # p(l) = (1 - sum of the coefficients) l + a1 l^2 + a2 l^3 + ...: 0 in B, 1 in V.
    polynomial = np.polynomial.Polynomial([0.0, 1 - coefficients.sum(), *coefficients])
    inside = np.clip(reduced, *limits)
    return np.asarray(polynomial(inside) + polynomial.deriv()(inside) * (reduced - inside))
