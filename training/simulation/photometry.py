"""Band fluxes of redshifted, reddened spectra: one matrix product."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band
from training.simulation.sources.cosmology import Cosmology
from training.simulation.sources.dust import extinction_per_ebv, transmission
from training.simulation.survey.bandpasses import Bandpass

__all__ = ["NJY_PER_CGS", "Photometer", "ab_magnitude", "absolute_magnitude", "flux_njy"]

NJY_PER_CGS = 1e32  # 1 nJy = 1e-32 erg/s/cm2/Hz
AB_ZERO_POINT_NJY = 31.4


def ab_magnitude(flux: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the AB magnitude of a flux in nJy, of the same shape; infinity where it is not positive.

    Parameters
    ----------
    flux
        nJy, any shape.
    """
    positive = np.where(flux > 0, flux, 1.0)
    return np.where(flux > 0, AB_ZERO_POINT_NJY - 2.5 * np.log10(positive), np.inf)


def flux_njy(magnitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the flux in nJy of an AB magnitude, of the same shape.

    Parameters
    ----------
    magnitude
        AB, any shape.
    """
    return np.asarray(10 ** (-0.4 * (magnitude - AB_ZERO_POINT_NJY)))


@dataclass(frozen=True)
class Photometer:
    """A survey's bands as seen by spectra on one rest-frame wavelength grid.

    Attributes
    ----------
    edges_angstrom
        Shape (w + 1,), rest-frame edges of the spectra's bins.
    bandpasses
        The survey's bandpasses.
    cosmology
        Distances.
    """

    edges_angstrom: NDArray[np.float64]
    bandpasses: Mapping[Band, Bandpass]
    cosmology: Cosmology

    @property
    def bands(self) -> Sequence[Band]:
        """The bands in the order of every band axis."""
        return tuple(self.bandpasses)

    @cached_property
    def middle_angstrom(self) -> NDArray[np.float64]:
        """Shape (w,): the bins' centres."""
        return (self.edges_angstrom[1:] + self.edges_angstrom[:-1]) / 2

    def weights(
        self,
        redshift: NDArray[np.float64],
        mwebv: NDArray[np.float64],
        rest_factor: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Return what each bin of a spectrum at 10 pc contributes to the observed band fluxes.

        Parameters
        ----------
        redshift
            Shape (n,), > 0.
        mwebv
            Shape (n,), Milky Way E(B-V), mag.
        rest_factor
            Shape (n, w): further factors on the rest-frame spectrum (host dust, a colour law).

        Returns
        -------
        ndarray, shape (n, bands, w), float64
            nJy per (erg/s/cm2/A at 10 pc).
        """
        stretch = 1 + redshift[:, None]
        edges = self.edges_angstrom * stretch
        per_bin = transmission(mwebv[:, None] * self._milky_way(self.middle_angstrom * stretch))
        # The flux per observed A is diluted by 1 + z; bins are laid out in observed wavelength.
        dilution = NJY_PER_CGS * 10 ** (-0.4 * self.cosmology.distance_modulus(redshift)) / stretch[:, 0]
        per_bin *= dilution[:, None]
        if rest_factor is not None:
            per_bin *= rest_factor
        integrals = np.stack(
            [
                np.diff(np.interp(edges, passband.wavelength_angstrom, passband.cumulative), axis=1)
                for passband in self.bandpasses.values()
            ],
            axis=1,
        )
        return np.asarray(integrals * per_bin[:, None, :])

    def _milky_way(self, wavelength_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate the tabulated extinction curve: evaluating it for every object would be slow."""
        return np.interp(wavelength_angstrom, _CURVE_ANGSTROM, _CURVE)


def absolute_magnitude(
    spectra: NDArray[np.float64], edges_angstrom: NDArray[np.float64], passband: Bandpass
) -> NDArray[np.float64]:
    """Return the rest-frame AB magnitude of spectra at 10 pc, shape (...).

    Parameters
    ----------
    spectra
        Shape (..., w), erg/s/cm2/A at 10 pc.
    edges_angstrom
        Shape (w + 1,).
    passband
        The band.
    """
    weight = np.diff(np.interp(edges_angstrom, passband.wavelength_angstrom, passband.cumulative))
    return ab_magnitude(spectra @ weight * NJY_PER_CGS)


_CURVE_ANGSTROM = np.geomspace(912.0, 30_000.0, 4000)
_CURVE = extinction_per_ebv(_CURVE_ANGSTROM)
