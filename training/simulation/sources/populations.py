"""The classes, and the populations from which each is drawn.

Luminosity functions are volumetric, in r, before the host's dust. Their centres follow Li et al. 2011
(MNRAS 412, 1441) and Richardson et al. 2014 (AJ 147, 118), as the ELAsTiCC simulation does.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.simulation.environment import Environment
from training.simulation.sources.active_nuclei import ActiveNuclei
from training.simulation.sources.batch import SourceBatch
from training.simulation.sources.luminosity import BrokenPowerLaw, Gaussian
from training.simulation.sources.parametric import ParametricSupernova
from training.simulation.sources.supernovae import TemplatePopulation, TypeIa
from training.simulation.sources.thermal import SuperluminousI, TidalDisruption
from training.simulation.sources.variable_stars import DwarfNovae, Novae, PeriodicStars

__all__ = ["CLASS_NAMES", "Population", "population_shares", "populations"]

CLASS_NAMES = ("Ia", "91bg", "Iax", "Ib", "Ic", "Ic-BL", "II", "IIn", "IIb", "SLSN-I", "TDE", "AGN", "Other")


class Population(Protocol):
    """Draws objects of one class."""

    def draw(
        self, rng: np.random.Generator, environment: Environment, mwebv: NDArray[np.float64]
    ) -> SourceBatch:
        """Draw objects, some of which may be fainter than the survey's limit.

        Parameters
        ----------
        rng
            Source of randomness.
        environment
            Survey, distances and templates.
        mwebv
            Shape (n,), E(B-V) of the Milky Way in front of each object, mag.
        """


_IA_91BG = Gaussian(-17.7, 0.5, -19.0)
_IAX = Gaussian(-16.9, 1.0, -18.8)
_IB = Gaussian(-16.95, 0.75, -20.0)
_IC = Gaussian(-16.95, 0.85, -20.3)
_IC_BL = Gaussian(-17.7, 0.85, -20.8)
_II = Gaussian(-17.05, 0.8, -20.0)
_IIN = Gaussian(-17.7, 0.9, -21.5)
_IIB = Gaussian(-16.95, 0.75, -19.8)
_TDE = BrokenPowerLaw(faintest=-16.5, brightest=-22.3, slope=1.4)

_IBN_POPULATION = ParametricSupernova(
    "Ib",
    Gaussian(-18.5, 0.6, -20.3),
    "Ibn",
    stretch_sigma=0.2,
    cutoff_angstrom=3000.0,
    template="Ibn",
)

_TEMPLATE_BASED: dict[str, Sequence[tuple[float, Population]]] = {
    "Ia": [(1.0, TypeIa())],
    "91bg": [
        (
            1.0,
            TemplatePopulation(
                "91bg",
                (),
                _IA_91BG,
                0.1,
                stretch=0.72,
                stretch_sigma=0.09,
                tilt_mag=0.45,
                tilt_sigma_mag=0.12,
                cooling_mag=0.2,
                rate_power=1.5,
            ),
        )
    ],
    "Iax": [
        (
            1.0,
            TemplatePopulation(
                "Iax",
                (),
                _IAX,
                0.2,
                stretch=1.0,
                stretch_sigma=0.18,
                tilt_mag=0.15,
                tilt_sigma_mag=0.12,
                cooling_mag=0.5,
            ),
        )
    ],
    "Ib": [
        (0.94, TemplatePopulation("Ib", ("SN Ib",), _IB, 0.3)),
        # Interacting helium stars (Ibn) count as Ib/c in spectroscopic surveys (Hosseinzadeh et al. 2017).
        (0.06, _IBN_POPULATION),
    ],
    "Ic": [(1.0, TemplatePopulation("Ic", ("SN Ic",), _IC, 0.2))],
    "Ic-BL": [(1.0, TemplatePopulation("Ic-BL", ("SN Ic-BL",), _IC_BL, 0.3, stretch=1.1, decline=-0.005))],
    "II": [
        (
            0.97,
            TemplatePopulation(
                "II",
                ("SN IIP", "SN II"),
                _II,
                0.15,
                rise=0.75,
                rise_sigma=0.3,
                decline=-0.002,
                decline_sigma=0.0055,
                tilt_mag=-0.06,
                tilt_sigma_mag=0.08,
                late_tilt_mag=0.6,
                plateau_end=True,
            ),
        ),
        (0.03, TemplatePopulation("II", ("SN II-pec",), Gaussian(-16.0, 0.8, -18.0), 0.2)),
    ],
    "IIn": [
        (
            1.0,
            TemplatePopulation(
                "IIn",
                ("SN IIn",),
                _IIN,
                0.2,
                stretch_sigma=0.3,
                rise_sigma=0.25,
                tilt_mag=-0.03,
                cooling_mag=-0.06,
                decline=-0.004,
                decline_sigma=0.007,
            ),
        )
    ],
    "IIb": [(1.0, TemplatePopulation("IIb", ("SN IIb", "SN Ib"), _IIB, 0.3, rise_sigma=0.2))],
}

_PARAMETRIC: dict[str, Sequence[tuple[float, Population]]] = {
    "Ia": [
        (
            1.0,
            ParametricSupernova(
                "Ia",
                Gaussian(-19.1, 0.3, -20.0),
                "Ia",
                stretch_sigma=0.08,
                rate_power=1.5,
                decline_sigma=0.002,
            ),
        )
    ],
    "91bg": [
        (
            1.0,
            ParametricSupernova(
                "91bg", _IA_91BG, "91bg", stretch_sigma=0.08, rate_power=1.5, host_av_mag=0.05
            ),
        )
    ],
    "Iax": [(1.0, ParametricSupernova("Iax", _IAX, "Iax", stretch_sigma=0.15))],
    "Ib": [(0.94, ParametricSupernova("Ib", _IB, "Ib")), (0.06, _IBN_POPULATION)],
    "Ic": [(1.0, ParametricSupernova("Ic", _IC, "Ic"))],
    "Ic-BL": [(1.0, ParametricSupernova("Ic-BL", _IC_BL, "Ic-BL"))],
    "II": [
        (
            1.0,
            ParametricSupernova(
                "II", _II, "II", decline_sigma=0.008, colour_sigma_mag=0.15, cutoff_angstrom=3600.0
            ),
        )
    ],
    "IIn": [
        (
            1.0,
            ParametricSupernova(
                "IIn", _IIN, "IIn", stretch_sigma=0.3, decline_sigma=0.008, cutoff_angstrom=3000.0
            ),
        )
    ],
    "IIb": [(1.0, ParametricSupernova("IIb", _IIB, "IIb"))],
}

_ALWAYS: dict[str, Sequence[tuple[float, Population]]] = {
    "SLSN-I": [(1.0, SuperluminousI())],
    "TDE": [(1.0, TidalDisruption(_TDE))],
    "AGN": [(1.0, ActiveNuclei())],
    "Other": [
        (0.30, DwarfNovae()),
        (0.15, Novae()),
        (0.15, PeriodicStars("rr-lyrae", (-0.55, -0.12), (0.3, 1.1), 0.9, (0.25, 0.12), "sawtooth")),
        (0.08, PeriodicStars("cepheid", (0.3, 1.6), (0.3, 1.0), 0.9, (0.6, 0.15), "sawtooth")),
        (0.16, PeriodicStars("eclipsing-binary", (-0.5, 1.0), (0.2, 1.2), 0.05, (0.6, 0.4), "eclipse")),
        (0.16, PeriodicStars("long-period", (2.0, 2.7), (0.8, 4.0), 0.8, (1.6, 0.4), "sine")),
    ],
}


def populations(environment: Environment) -> Mapping[str, Sequence[tuple[float, Population]]]:
    """Return every class's populations with their shares: of templates if there are any, else parametric.

    Parameters
    ----------
    environment
        Decides whether there are templates.
    """
    return _of(templates=environment.templates is not None)


def population_shares(class_name: str, *, templates: bool) -> list[float]:
    """Return the shares of a class's populations among its selected objects.

    Parameters
    ----------
    class_name
        One of `CLASS_NAMES`.
    templates
        Whether there are template files.
    """
    return [share for share, _ in _of(templates=templates)[class_name]]


def _of(*, templates: bool) -> Mapping[str, Sequence[tuple[float, Population]]]:
    """Return the populations by class."""
    return {**(_TEMPLATE_BASED if templates else _PARAMETRIC), **_ALWAYS}
