"""Positions as nested HEALPix pixels, in which a small region is a few ranges of pixel numbers.

The pixelisation is that of Gorski et al. 2005 (ApJ 622, 759), from the library ``healpix``.
"""

import math
from dataclasses import dataclass

import healpix
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["NOWHERE", "ORDER", "Cone", "cone_ranges", "pixels", "separation_deg"]

ORDER = 24
"""The finest order whose pixel numbers a double holds exactly, as scores of Redis sorted sets are: 12 mas."""

NOWHERE = -1
"""Pixel number of an unknown position."""

# A circle is refined until it would take more cells than this: a few more ranges cost nothing compared
# with the objects outside the circle that a coarser outline returns.
MAX_CELLS = 48


@dataclass(frozen=True, slots=True)
class Cone:
    """A circle on the sky: centre, ICRS degrees, and radius, degrees."""

    ra_deg: float
    dec_deg: float
    radius_deg: float


def pixels(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the pixel of each position.

    Parameters
    ----------
    ra_deg, dec_deg
        float64, shape (n,), ICRS degrees.

    Returns
    -------
    ndarray, shape (n,), int64
        Nested pixel numbers of order `ORDER`; `NOWHERE` for a position that is not on the sky.
    """
    is_valid = np.isfinite(ra_deg) & (np.abs(dec_deg) <= 90.0)
    numbers = np.full(len(ra_deg), NOWHERE, np.int64)
    numbers[is_valid] = healpix.ang2pix(2**ORDER, ra_deg[is_valid], dec_deg[is_valid], nest=True, lonlat=True)
    return numbers


def cone_ranges(cone: Cone) -> list[tuple[int, int]]:
    """Return pixel ranges of order `ORDER` that cover a circle tightly.

    Parameters
    ----------
    cone
        The circle.

    Returns
    -------
    list of (int, int)
        First pixel of each range and one past its last; ascending and disjoint.
    """
    open_cells = np.arange(12, dtype=np.int64)
    closed: list[tuple[NDArray[np.int64], int]] = []
    n_closed = 0
    for order in range(ORDER + 1):
        inside, across = _sort_cells(open_cells, order, cone)
        closed.append((inside, order))
        n_closed += len(inside)
        if order == ORDER or n_closed + 4 * len(across) > MAX_CELLS:
            closed.append((across, order))
            break
        open_cells = (4 * across[:, np.newaxis] + np.arange(4)).ravel()
    return _merged(closed)


def separation_deg(
    ra_deg: ArrayLike, dec_deg: ArrayLike, from_ra_deg: float, from_dec_deg: float
) -> NDArray[np.float64]:
    """Return the angular separation of positions from one position.

    Parameters
    ----------
    ra_deg, dec_deg
        ICRS degrees, of equal shape.
    from_ra_deg, from_dec_deg
        ICRS degrees.

    Returns
    -------
    ndarray, float64
        Degrees, in the shape of `ra_deg`; NaN where a position is NaN.
    """
    ra, dec = np.radians(np.asarray(ra_deg, np.float64)), np.radians(np.asarray(dec_deg, np.float64))
    ra_0, dec_0 = math.radians(from_ra_deg), math.radians(from_dec_deg)
    # The haversine formula is accurate at small angles.
    haversine = np.sin((dec - dec_0) / 2) ** 2 + np.cos(dec) * math.cos(dec_0) * np.sin((ra - ra_0) / 2) ** 2
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(np.clip(haversine, 0.0, 1.0)))), np.float64)


def _sort_cells(
    cells: NDArray[np.int64], order: int, cone: Cone
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the cells that lie within a circle, and those that may cross its edge."""
    ra_deg, dec_deg = healpix.pix2ang(2**order, cells, nest=True, lonlat=True)
    distance = separation_deg(ra_deg, dec_deg, cone.ra_deg, cone.dec_deg)
    cell_radius = _max_cell_radius_deg(order)
    inside = distance + cell_radius <= cone.radius_deg
    return cells[inside], cells[~inside & (distance - cell_radius <= cone.radius_deg)]


def _max_cell_radius_deg(order: int) -> float:
    """Return the largest distance of a corner from the centre of any cell (HEALPix C++, max_pixrad)."""
    n_side = 2**order
    z_a, phi_a = 2.0 / 3.0, math.pi / (4 * n_side)
    z_b = 1.0 - (1.0 - 1.0 / n_side) ** 2 / 3.0
    dec_a, dec_b = math.degrees(math.asin(z_a)), math.degrees(math.asin(z_b))
    # A margin for rounding, which matters for the smallest cells.
    return float(separation_deg(math.degrees(phi_a), dec_a, 0.0, dec_b)) * (1 + 1e-6) + 1e-9


def _merged(cells: list[tuple[NDArray[np.int64], int]]) -> list[tuple[int, int]]:
    """Return cells of several orders as pixel ranges, joining neighbours."""
    ranges = []
    for numbers, order in cells:
        size = 4 ** (ORDER - order)
        ranges += [(number * size, (number + 1) * size) for number in numbers.tolist()]
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return merged
