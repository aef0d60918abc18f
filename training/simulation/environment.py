"""What every population needs: instrument, cosmology, bandpasses, templates."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band
from training.simulation.photometry import Photometer, absolute_magnitude
from training.simulation.sources.cosmology import Cosmology
from training.simulation.sources.magnetar import MagnetarPriors, load_magnetar_priors
from training.simulation.sources.spectra import (
    BLACK_BODY_EDGES_ANGSTROM,
    TEMPLATE_EDGES_ANGSTROM,
    black_bodies,
)
from training.simulation.sources.templates import Templates, load_templates
from training.simulation.survey.bandpasses import Bandpass, load_bandpasses
from training.simulation.survey.instruments import Instrument

__all__ = ["Environment"]


@dataclass(frozen=True)
class Environment:
    """Everything that does not depend on chance.

    Attributes
    ----------
    instrument
        The survey.
    bandpasses
        Its chosen bands.
    reference_g, reference_r
        The bands of luminosities and colours, chosen or not.
    templates
        From the data directory; None: every class is parametric.
    magnetars
        Parameters of the SLSN-I.
    limit_mag
        Faintest apparent peak worth drawing, before margins.
    window_days
        First and last day, relative to their reference time, of sources that never end.
    """

    instrument: Instrument
    bandpasses: dict[Band, Bandpass]
    reference_g: Bandpass
    reference_r: Bandpass
    templates: Templates | None
    magnetars: MagnetarPriors
    limit_mag: float
    window_days: tuple[float, float] = (-220.0, 560.0)

    @classmethod
    def load(
        cls,
        instrument: Instrument,
        data_dir: Path | None,
        limit_mag: float | None = None,
        days_after: float = 400.0,
    ) -> Self:
        """Return the environment of a survey; what the data directory lacks is replaced by formulas.

        Parameters
        ----------
        instrument
            The survey and its bands.
        data_dir
            Directory with templates, bandpasses, visits; None: formulas instead.
        limit_mag
            Faintest apparent peak worth drawing; None: the instrument's.
        days_after
            Days for which objects are followed after their trigger.
        """
        known = load_bandpasses(instrument.survey, data_dir)
        return cls(
            instrument=instrument,
            bandpasses={band: known[band] for band in instrument.bands},
            reference_g=known[Band.G],
            reference_r=known[Band.R],
            templates=load_templates(data_dir),
            magnetars=load_magnetar_priors(data_dir),
            limit_mag=instrument.limit_mag if limit_mag is None else limit_mag,
            window_days=(-220.0, max(560.0, days_after + 310.0)),
        )

    @cached_property
    def cosmology(self) -> Cosmology:
        """Distances."""
        return Cosmology.flat_lcdm()

    @cached_property
    def template_photometer(self) -> Photometer:
        """Bands for spectra on `TEMPLATE_EDGES_ANGSTROM`."""
        return Photometer(TEMPLATE_EDGES_ANGSTROM, self.bandpasses, self.cosmology)

    @cached_property
    def thermal_photometer(self) -> Photometer:
        """Bands for black bodies."""
        return Photometer(BLACK_BODY_EDGES_ANGSTROM, self.bandpasses, self.cosmology)

    @cached_property
    def black_bodies(self) -> NDArray[np.float64]:
        """Spectra of black bodies, shape (temperatures, w), see `spectra.black_bodies`."""
        return black_bodies()

    @cached_property
    def black_body_magnitude(self) -> NDArray[np.float64]:
        """Absolute r magnitude of a black body of 1 erg/s, by temperature, shape (temperatures,)."""
        return absolute_magnitude(self.black_bodies, BLACK_BODY_EDGES_ANGSTROM, self.reference_r)

    @cached_property
    def black_body_colour(self) -> NDArray[np.float64]:
        """Colour g - r of black bodies, mag, by temperature, shape (temperatures,)."""
        g_mag = absolute_magnitude(self.black_bodies, BLACK_BODY_EDGES_ANGSTROM, self.reference_g)
        return g_mag - self.black_body_magnitude
