"""Distances and volumes of a flat LCDM universe, as a table."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Cosmology"]

SPEED_OF_LIGHT_KM_S = 299_792.458


@dataclass(frozen=True, slots=True)
class Cosmology:
    """Distance and volume against redshift.

    Attributes
    ----------
    redshift
        Shape (n,), ascending from 0.
    comoving_mpc
        Shape (n,), line-of-sight comoving distance, Mpc.
    """

    redshift: NDArray[np.float64]
    comoving_mpc: NDArray[np.float64]

    @classmethod
    def flat_lcdm(cls, hubble_km_s_mpc: float = 70.0, omega_matter: float = 0.3, z_max: float = 5.0) -> Self:
        """Return the distances of a flat LCDM universe, by the trapezoid rule (error below 1e-6).

        Parameters
        ----------
        hubble_km_s_mpc
            Hubble constant; the luminosity functions used here assume 70.
        omega_matter
            Matter density over the critical density.
        z_max
            End of the table.
        """
        z = np.concatenate([np.linspace(0.0, 0.1, 2001), np.linspace(0.1, z_max, 20_001)[1:]])
        inverse_h = SPEED_OF_LIGHT_KM_S / (
            hubble_km_s_mpc * np.sqrt(omega_matter * (1 + z) ** 3 + 1 - omega_matter)
        )
        steps = np.diff(z) * (inverse_h[1:] + inverse_h[:-1]) / 2
        return cls(z, np.concatenate([[0.0], np.cumsum(steps)]))

    def distance_modulus(self, redshift: ArrayLike) -> NDArray[np.float64]:
        """Return m - M of a source at `redshift` (> 0), without K correction, mag.

        Parameters
        ----------
        redshift
            Any shape.
        """
        z = np.asarray(redshift, np.float64)
        return 5 * np.log10((1 + z) * np.interp(z, self.redshift, self.comoving_mpc)) + 25

    def redshift_at(self, distance_modulus: ArrayLike) -> NDArray[np.float64]:
        """Return the redshift of a distance modulus, clipped to the table.

        Parameters
        ----------
        distance_modulus
            mag, any shape.
        """
        z = self.redshift[1:]
        return np.interp(np.asarray(distance_modulus, np.float64), self.distance_modulus(z), z)

    def draw_redshifts(
        self, rng: np.random.Generator, count: int, z_min: float, z_max: float, rate_power: float
    ) -> NDArray[np.float64]:
        """Draw redshifts of events as an observer counts them.

        Parameters
        ----------
        rng
            Source of randomness.
        count
            Number of draws.
        z_min, z_max
            Range of redshifts.
        rate_power
            The rate per comoving volume and rest-frame year goes as (1 + z) ** rate_power.

        Returns
        -------
        ndarray, shape (count,), float64
            Density: dV/dz (1 + z) ** (rate_power - 1).
        """
        z = np.geomspace(z_min, z_max, 512)
        volume = np.interp(z, self.redshift, self.comoving_mpc) ** 3
        middle = (z[1:] + z[:-1]) / 2
        cumulative = np.concatenate([[0.0], np.cumsum(np.diff(volume) * (1 + middle) ** (rate_power - 1))])
        drawn = np.interp(rng.random(count) * cumulative[-1], cumulative, z)
        return np.asarray(drawn, np.float64)
