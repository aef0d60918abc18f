"""A batch of simulated objects: what they are and how bright they are when."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Labels", "SourceBatch", "TabulatedSources"]


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of each object of a batch.

    Attributes
    ----------
    class_name
        Of all of them.
    template
        Length n: the model or template each was made from.
    redshift
        Shape (n,), NaN for a source of the Milky Way.
    mwebv
        Shape (n,), E(B-V), mag.
    """

    class_name: str
    template: Sequence[str]
    redshift: NDArray[np.float64]
    mwebv: NDArray[np.float64]


class SourceBatch(Protocol):
    """Objects whose difference flux can be asked for."""

    @property
    def labels(self) -> Labels:
        """What they are."""

    @property
    def peak_flux_njy(self) -> NDArray[np.float64]:
        """Shape (n, bands): the largest absolute flux."""

    def flux_njy(self, index: int, days: NDArray[np.float64], band: int) -> NDArray[np.float64]:
        """Give the true difference flux of one object.

        Parameters
        ----------
        index
            Which object.
        days
            Shape (k,), observer's days since the object's reference time.
        band
            Position in the instrument's bands.
        """


@dataclass(frozen=True)
class TabulatedSources:
    """Objects with a light curve on a time grid.

    Attributes
    ----------
    labels
        What they are.
    days
        Shape (n, t), observer's days since the reference time, ascending.
    flux
        Shape (n, t, bands), nJy; 0 before the first time, the last value after the last.
    """

    labels: Labels
    days: NDArray[np.float64]
    flux: NDArray[np.float64]

    @cached_property
    def peak_flux_njy(self) -> NDArray[np.float64]:
        """Shape (n, bands): the largest absolute flux."""
        return np.asarray(np.abs(self.flux).max(axis=1))

    def flux_njy(self, index: int, days: NDArray[np.float64], band: int) -> NDArray[np.float64]:
        """Interpolate the table of one object."""
        return np.interp(days, self.days[index], self.flux[index, :, band], left=0.0)
