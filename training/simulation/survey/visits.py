"""The visits of a position, and the interface of a cadence."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cadence", "Visits"]


@dataclass(frozen=True, slots=True)
class Visits:
    """The visits of one position, in order of time.

    Attributes
    ----------
    mjd_tai
        Shape (n,), float64, days, middle of the exposure.
    band
        Shape (n,), uint8, `Band`.
    depth_mag
        Shape (n,), float64, 5 sigma for a point source.
    """

    mjd_tai: NDArray[np.float64]
    band: NDArray[np.uint8]
    depth_mag: NDArray[np.float64]


class Cadence(Protocol):
    """Where and when a survey observes."""

    @property
    def span_mjd(self) -> tuple[float, float]:
        """First and last day on which an event may peak."""

    def draw_positions(
        self, rng: np.random.Generator, count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw positions that the survey observes.

        Parameters
        ----------
        rng
            Source of randomness.
        count
            Number of positions.

        Returns
        -------
        ra_deg, dec_deg
            Shape (count,), ICRS degrees.
        """

    def visits(
        self, rng: np.random.Generator, ra_deg: float, dec_deg: float, start_mjd: float, end_mjd: float
    ) -> Visits:
        """Return the visits of a position.

        Parameters
        ----------
        rng
            Source of randomness.
        ra_deg, dec_deg
            The position.
        start_mjd, end_mjd
            First and last day, MJD TAI.
        """
