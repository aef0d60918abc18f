"""Extinction by dust: the law of Fitzpatrick 1999, and a model of the Milky Way without a map."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["R_V", "draw_milky_way_ebv", "extinction_per_ebv", "galactic_latitude_deg", "transmission"]

# Fitzpatrick 1999, table 3 (R_V = 3.1): inverse wavelength (1/um) and A_lambda / E(B-V).
_ANCHOR_PER_UM = np.array([0.0, 0.377, 0.820, 1.667, 1.828, 2.141, 2.433, 3.704, 3.846])
_ANCHOR_EXTINCTION = np.array([0.0, 0.265, 0.829, 2.688, 3.055, 3.806, 4.315, 6.265, 6.591])
R_V = 3.1

_NORTH_GALACTIC_POLE_DEG = (192.85948, 27.12825)


def extinction_per_ebv(wavelength_angstrom: ArrayLike) -> NDArray[np.float64]:
    """Return A(lambda) / E(B-V) for R_V = 3.1 (Fitzpatrick 1999, PASP 111, 63).

    Parameters
    ----------
    wavelength_angstrom
        Any shape, 910-60000 A.

    Returns
    -------
    ndarray, float64
        Same shape. Within 1 % of the published curve (its cubic spline is evaluated on a fine table).
    """
    x = 1e4 / np.asarray(wavelength_angstrom, np.float64)
    ultraviolet = x >= _ANCHOR_PER_UM[-2]
    result = np.interp(x, _TABLE_PER_UM, _TABLE_EXTINCTION)
    return np.where(ultraviolet, _ultraviolet(x), result)


def transmission(extinction: ArrayLike) -> NDArray[np.float64]:
    """Return the fraction of light that passes an extinction in magnitudes, of the same shape.

    Parameters
    ----------
    extinction
        mag, any shape.
    """
    return np.asarray(np.exp(-0.4 * np.log(10) * np.asarray(extinction, np.float64)))


def galactic_latitude_deg(ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.float64]:
    """Return the galactic latitude of ICRS positions, degrees, of the same shape.

    Parameters
    ----------
    ra_deg, dec_deg
        Any shape.
    """
    pole_ra, pole_dec = np.radians(_NORTH_GALACTIC_POLE_DEG)
    ra, dec = np.radians(np.asarray(ra_deg)), np.radians(np.asarray(dec_deg))
    sine = np.sin(dec) * np.sin(pole_dec) + np.cos(dec) * np.cos(pole_dec) * np.cos(ra - pole_ra)
    return np.asarray(np.degrees(np.arcsin(np.clip(sine, -1, 1))))


def draw_milky_way_ebv(
    rng: np.random.Generator, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Draw E(B-V) for sky positions from a plane-parallel layer with patchy clouds.

    Parameters
    ----------
    rng
        Source of randomness.
    ra_deg, dec_deg
        Shape (n,), degrees.

    Returns
    -------
    ndarray, shape (n,), float64
        Magnitudes: 0.022 / sin|b| with a lognormal scatter of 0.5, at most 1. The constants give the
        median (0.034) and the spread of the Milky Way extinction listed for ZTF's bright supernovae.
    """
    sine = np.sin(np.radians(np.maximum(np.abs(galactic_latitude_deg(ra_deg, dec_deg)), 5.0)))
    return np.minimum(0.022 / sine * rng.lognormal(0.0, 0.5, ra_deg.shape), 1.0)


def _ultraviolet(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate the Fitzpatrick & Massa parametrisation below 2700 A."""
    slope = -0.824 + 4.717 / R_V
    intercept = 2.030 - 3.007 * slope
    bump = x**2 / ((x**2 - 4.596**2) ** 2 + (0.99 * x) ** 2)
    far = np.maximum(x - 5.9, 0.0)
    curvature = 0.41 * (0.5392 * far**2 + 0.05644 * far**3)
    return np.asarray(intercept + slope * x + 3.23 * bump + curvature + R_V)


def _natural_spline(
    x: NDArray[np.float64], y: NDArray[np.float64], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Evaluate the natural cubic spline through (x, y): a small dense system, solved at import."""
    h = np.diff(x)
    matrix = np.zeros((x.size, x.size))
    right = np.zeros(x.size)
    matrix[0, 0] = matrix[-1, -1] = 1.0
    for i in range(1, x.size - 1):
        matrix[i, i - 1 : i + 2] = h[i - 1], 2 * (h[i - 1] + h[i]), h[i]
        right[i] = 6 * ((y[i + 1] - y[i]) / h[i] - (y[i] - y[i - 1]) / h[i - 1])
    second = np.linalg.solve(matrix, right)
    k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, x.size - 2)
    left, rest = at - x[k], x[k + 1] - at
    cubic = (second[k] * rest**3 + second[k + 1] * left**3) / (6 * h[k])
    linear = (y[k] / h[k] - second[k] * h[k] / 6) * rest + (y[k + 1] / h[k] - second[k + 1] * h[k] / 6) * left
    return np.asarray(cubic + linear)


_TABLE_PER_UM = np.linspace(0.0, _ANCHOR_PER_UM[-1], 800)
_TABLE_EXTINCTION = _natural_spline(_ANCHOR_PER_UM, _ANCHOR_EXTINCTION, _TABLE_PER_UM)
