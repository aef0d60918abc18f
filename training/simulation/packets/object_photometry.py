"""What the packets of both surveys are made of: the photometry of one object, and image stamps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from training.simulation.light_curves import SimulatedLightCurves

__all__ = ["CUTOUT_NAMES", "ObjectPhotometry", "random_stamps"]

CUTOUT_NAMES = ("cutoutScience", "cutoutTemplate", "cutoutDifference")


@dataclass(frozen=True, slots=True)
class ObjectPhotometry:
    """Photometry of one object in order of time; every array has shape (rows,).

    Attributes
    ----------
    mjd_tai
        float64, days.
    band, kind
        uint8, `Band` and `Kind`.
    flux_njy, flux_err_njy
        float64, signed difference flux.
    """

    mjd_tai: NDArray[np.float64]
    band: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    flux_njy: NDArray[np.float64]
    flux_err_njy: NDArray[np.float64]

    @classmethod
    def of(cls, light_curves: SimulatedLightCurves, index: int) -> Self:
        """Return the photometry of object `index` of a sample.

        Parameters
        ----------
        light_curves
            The sample.
        index
            Of the object.
        """
        rows = slice(light_curves.offsets[index], light_curves.offsets[index + 1])
        return cls(
            light_curves.mjd_tai[rows],
            light_curves.band[rows],
            light_curves.kind[rows],
            light_curves.flux_njy[rows].astype(np.float64),
            light_curves.flux_err_njy[rows].astype(np.float64),
        )


def random_stamps(rng: np.random.Generator, sizes: Sequence[int]) -> list[bytes]:
    """Return image stamps with random contents.

    Parameters
    ----------
    rng
        Source of randomness.
    sizes
        Numbers of bytes, in the order of `CUTOUT_NAMES`; empty: no stamps.
    """
    return [rng.bytes(size) for size in sizes]
