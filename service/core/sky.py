"""Places on the sky as numbers: nested HEALPix, in which a small region is a few ranges of numbers.

The pixelisation is that of Gorski et al. 2005 (ApJ 622, 759), from the library ``healpix``.
"""

import math
from dataclasses import dataclass

import healpix
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["NOWHERE", "ORDER", "Cone", "cone_ranges", "pixels", "separation_deg"]

ORDER = 24
"""The finest order whose numbers a double holds exactly, as the scores of sorted sets are: 12 mas."""

NOWHERE = -1
"""The number of a position that is not known."""

# A circle is refined until it would take more cells than this: some ranges more or less cost nothing
# beside the objects that a coarser outline finds in vain.
MOST_CELLS = 48


@dataclass(frozen=True, slots=True)
class Cone:
    """A circle on the sky: centre, ICRS degrees, and radius, degrees."""

    ra_deg: float
    dec_deg: float
    radius_deg: float


def pixels(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]) -> NDArray[np.int64]:
    """Give the pixel of order `ORDER` of each position; `NOWHERE` for one that is not on the sky.

    Parameters
    ----------
    ra_deg, dec_deg
        float64, shape (n,), ICRS degrees.
    """
    known = np.isfinite(ra_deg) & (np.abs(dec_deg) <= 90.0)
    numbers = np.full(len(ra_deg), NOWHERE, np.int64)
    numbers[known] = healpix.ang2pix(2**ORDER, ra_deg[known], dec_deg[known], nest=True, lonlat=True)
    return numbers


def cone_ranges(cone: Cone) -> list[tuple[int, int]]:
    """Give ranges of pixels of order `ORDER` that cover a circle, and not much besides.

    Returns
    -------
    list of (int, int)
        First pixel and the one after the last of each range; ascending, apart from each other.
    """
    open_cells = np.arange(12, dtype=np.int64)
    closed: list[tuple[NDArray[np.int64], int]] = []
    n_closed = 0
    for order in range(ORDER + 1):
        inside, across = _sort_cells(open_cells, order, cone)
        closed.append((inside, order))
        n_closed += len(inside)
        if order == ORDER or n_closed + 4 * len(across) > MOST_CELLS:
            closed.append((across, order))
            break
        open_cells = (4 * across[:, np.newaxis] + np.arange(4)).ravel()
    return _merged(closed)


def separation_deg(
    ra_deg: ArrayLike, dec_deg: ArrayLike, from_ra_deg: float, from_dec_deg: float
) -> NDArray[np.float64]:
    """Give angles between positions and one position, degrees; NaN where a position is not known."""
    ra, dec = np.radians(np.asarray(ra_deg, np.float64)), np.radians(np.asarray(dec_deg, np.float64))
    ra_0, dec_0 = math.radians(from_ra_deg), math.radians(from_dec_deg)
    # The haversine formula, which small angles do not hurt.
    haversine = np.sin((dec - dec_0) / 2) ** 2 + np.cos(dec) * math.cos(dec_0) * np.sin((ra - ra_0) / 2) ** 2
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(np.clip(haversine, 0.0, 1.0)))), np.float64)


def _sort_cells(
    cells: NDArray[np.int64], order: int, cone: Cone
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the cells that lie within a circle, and those that may lie across its edge."""
    ra_deg, dec_deg = healpix.pix2ang(2**order, cells, nest=True, lonlat=True)
    distance = separation_deg(ra_deg, dec_deg, cone.ra_deg, cone.dec_deg)
    reach = _largest_radius_deg(order)
    inside = distance + reach <= cone.radius_deg
    return cells[inside], cells[~inside & (distance - reach <= cone.radius_deg)]


def _largest_radius_deg(order: int) -> float:
    """Give the greatest distance of a corner from the centre of any cell (HEALPix C++, max_pixrad)."""
    n_side = 2**order
    z_a, phi_a = 2.0 / 3.0, math.pi / (4 * n_side)
    z_b = 1.0 - (1.0 - 1.0 / n_side) ** 2 / 3.0
    dec_a, dec_b = math.degrees(math.asin(z_a)), math.degrees(math.asin(z_b))
    # Cells at the limit of float64 need some room for rounding.
    return float(separation_deg(math.degrees(phi_a), dec_a, 0.0, dec_b)) * (1 + 1e-6) + 1e-9


def _merged(cells: list[tuple[NDArray[np.int64], int]]) -> list[tuple[int, int]]:
    spans = []
    for numbers, order in cells:
        size = 4 ** (ORDER - order)
        spans += [(number * size, (number + 1) * size) for number in numbers.tolist()]
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return merged
