"""Data augmentation: fainter, sparser, later discovered light curves, in fewer bands.

All functions work on whole sets at a time, as ragged arrays, and draw from the generator they are given.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Band, Observations
from service.core.photometry import DETECTION_SIGMA
from training.data.light_curves import LabelledLightCurves

__all__ = ["Augmentation", "augment"]

NO_BAND = 255


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How strongly light curves are varied.

    Attributes
    ----------
    dim_mag
        Largest dimming, mag, drawn uniformly; the noise of the fainter source is added.
    brighten_mag
        Largest brightening, mag. The noise cannot be removed, so keep it small.
    stretch
        Standard deviation of the logarithm of the time stretch.
    drop
        Largest fraction of rows dropped; each object draws its own fraction uniformly.
    night_drop
        Likewise of whole nights, as for a survey with longer gaps.
    late
        Probability that an object is discovered late.
    late_days
        Largest number of first days that are cut off then, drawn uniformly.
    thin
        Probability that only the first row per band and night is kept.
    band_drop
        Probability that one band is missing.
    zero_point_mag
        Standard deviation of a shift per object and band, mag.
    snr
        Rows whose flux over error falls below this are no longer detections and are dropped.
    shallow
        Probability that only rows above 5 sigma are kept, for sets that list fainter ones.
    """

    dim_mag: float = 1.5
    brighten_mag: float = 0.3
    stretch: float = 0.08
    drop: float = 0.5
    night_drop: float = 0.0
    late: float = 0.25
    late_days: float = 25.0
    thin: float = 0.5
    band_drop: float = 0.03
    zero_point_mag: float = 0.03
    snr: float = DETECTION_SIGMA
    shallow: float = 0.0


def augment(
    curves: LabelledLightCurves, augmentation: Augmentation, generator: np.random.Generator
) -> LabelledLightCurves:
    """Draw one variation of every light curve.

    Parameters
    ----------
    curves
        Measured or simulated light curves.
    augmentation
        How strongly they are varied.
    generator
        Source of randomness.

    Returns
    -------
    LabelledLightCurves
        The same objects; one that would lose all its rows keeps them as they were.
    """
    rows, owner = curves.observations.copy(), curves.owner
    count = len(curves)
    first_mjd = rows["mjd_tai"][np.minimum(curves.offsets[:-1], max(len(rows) - 1, 0))]
    _dim(rows, owner, count, augmentation, generator)
    stretch = np.exp(generator.normal(0.0, augmentation.stretch, count))
    since_first = rows["mjd_tai"] - first_mjd[owner]
    shallow = generator.random(count) < augmentation.shallow
    limit = np.where(shallow, np.maximum(augmentation.snr, DETECTION_SIGMA), augmentation.snr)
    keep = rows["flux_njy"] > limit[owner] * rows["flux_err_njy"]
    keep &= generator.random(len(rows)) >= (augmentation.drop * generator.random(count))[owner]
    keep &= ~_missed_nights(rows, owner, count, augmentation, generator)
    keep &= ~_before_discovery(since_first, owner, count, augmentation, generator)
    keep &= ~_repeats_of_a_night(rows, owner, count, augmentation, generator)
    keep &= ~_missing_band(rows, owner, count, augmentation, generator)
    rows["mjd_tai"] = first_mjd[owner] + since_first * stretch[owner]
    emptied = np.bincount(owner[keep], minlength=count) == 0
    rows[emptied[owner]] = curves.observations[emptied[owner]]
    return replace(curves, observations=rows).keep_rows(keep | emptied[owner])


# The functions below take all rows, the object of each row (shape (rows,)) and the number of objects.


def _dim(
    rows: Observations,
    owner: NDArray[np.int64],
    count: int,
    augmentation: Augmentation,
    generator: np.random.Generator,
) -> None:
    """Scale the fluxes in place and add the noise that the fainter source would have had.

    Half of the variance is attributed to the sky, which stays, half to the source, which scales.
    """
    shift = generator.uniform(-augmentation.brighten_mag, augmentation.dim_mag, count)
    offset = generator.normal(0.0, augmentation.zero_point_mag, (count, len(Band)))
    scale = 10.0 ** (-0.4 * (shift[owner] + offset[owner, rows["band"]]))
    flux, error = rows["flux_njy"].astype(np.float64), rows["flux_err_njy"].astype(np.float64)
    new_error = error * np.sqrt(np.where(scale < 1.0, 0.5 + 0.5 * scale, scale**2))
    extra = np.sqrt(np.maximum(new_error**2 - (scale * error) ** 2, 0.0))
    rows["flux_njy"] = scale * flux + extra * generator.normal(size=len(rows))
    rows["flux_err_njy"] = np.maximum(new_error, scale * error)


def _missed_nights(
    rows: Observations,
    owner: NDArray[np.int64],
    count: int,
    augmentation: Augmentation,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:
    """Return the rows of nights without observations: a survey that comes back less often."""
    if augmentation.night_drop == 0.0:
        return np.zeros(len(rows), dtype=np.bool_)
    fraction = augmentation.night_drop * generator.random(count)
    # A hash of (object, night) instead of a draw, since rows of one night must share it: splitmix64.
    mixed = (owner.astype(np.uint64) << np.uint64(20)) + rows["mjd_tai"].astype(np.uint64)
    mixed = (mixed ^ generator.integers(1 << 62, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    missed: NDArray[np.bool_] = (mixed >> np.uint64(11)) * 2.0**-53 < fraction[owner]
    return missed


def _before_discovery(
    since_first: NDArray[np.float64],
    owner: NDArray[np.int64],
    count: int,
    augmentation: Augmentation,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:
    """Return the rows before a late discovery."""
    late = generator.random(count) < augmentation.late
    begin = np.where(late, augmentation.late_days * generator.random(count), 0.0)
    missed: NDArray[np.bool_] = since_first < begin[owner]
    return missed


def _repeats_of_a_night(
    rows: Observations,
    owner: NDArray[np.int64],
    count: int,
    augmentation: Augmentation,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:
    """Return the rows after the first of a night and band, for thinned objects."""
    thinned = generator.random(count) < augmentation.thin
    # One number per (object, night, band); light curves are far shorter than 2^20 days.
    night = (owner << 23) | ((rows["mjd_tai"] - 40_000.0).astype(np.int64) << 3) | rows["band"]
    first = np.zeros(len(rows), dtype=np.bool_)
    first[np.unique(night, return_index=True)[1]] = True
    repeat: NDArray[np.bool_] = thinned[owner] & ~first
    return repeat


def _missing_band(
    rows: Observations,
    owner: NDArray[np.int64],
    count: int,
    augmentation: Augmentation,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:
    """Return the rows of a band that an object is not observed in."""
    missing = generator.random(count) < augmentation.band_drop
    band = np.where(missing, generator.integers(0, len(Band), count), NO_BAND)
    dropped: NDArray[np.bool_] = rows["band"] == band[owner]
    return dropped
