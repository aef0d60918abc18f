"""Batches of simulated objects: their labels and light curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Labels", "SourceBatch", "TabulatedSources"]


@dataclass(frozen=True, slots=True)
class Labels:
    """The true properties of the objects of a batch.

    Attributes
    ----------
    class_name
        Of all objects.
    template
        Length n: the model or template of each object.
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
    """Objects whose difference flux can be evaluated at any time."""

    @property
    def labels(self) -> Labels:
        """Classes and redshifts."""

    @property
    def peak_flux_njy(self) -> NDArray[np.float64]:
        """Shape (n, bands): the largest absolute flux."""

    def flux_njy(self, index: int, days: NDArray[np.float64], band: int) -> NDArray[np.float64]:
        """Return the true difference flux of one object, nJy, shape (k,).

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
        Classes and redshifts.
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
        """Return the flux of one object, interpolated; see `SourceBatch`."""
        return np.interp(days, self.days[index], self.flux[index, :, band], left=0.0)
