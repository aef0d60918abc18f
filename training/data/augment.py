"""Make new light curves of measured ones: fainter, thinned out, found late, in fewer bands.

All functions work on ragged arrays, whole sets at a time, and draw from the generator they are given.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.light_curves import LightCurves

__all__ = ["Augmentation", "augment"]

ALERT_SNR = 5.0  # the surveys' own threshold


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How strongly light curves are varied.

    Attributes
    ----------
    dim_mag
        Objects are dimmed by up to this many magnitudes, uniformly; noise is added to fit.
    brighten_mag
        Or brightened by up to this many; the noise cannot be taken away, so keep it small.
    stretch
        Standard deviation of the logarithm of the time stretch.
    drop
        Largest fraction of rows dropped; each object draws its own fraction uniformly.
    night_drop
        Likewise of whole nights: a survey that comes back less often.
    late
        Probability that an object is found late.
    late_days
        Its first days are cut off, uniformly up to this many.
    thin
        Probability that only one row per band and night stays.
    band_drop
        Probability that one band is missing.
    zero_point_mag
        Standard deviation of a shift per object and band.
    snr
        Rows that the noise brings below this are no detections any more and are dropped.
    shallow
        Probability that an object keeps only rows above 5 sigma, where a set lists fainter ones.
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
    snr: float = 5.0
    shallow: float = 0.0


def augment(curves: LightCurves, how: Augmentation, generator: np.random.Generator) -> LightCurves:
    """Draw one variation of every light curve; an object that would lose all rows stays as it was."""
    rows, owner = curves.observations.copy(), curves.owner
    first_mjd = rows["mjd_tai"][np.minimum(curves.offsets[:-1], max(len(rows) - 1, 0))]
    _dim(rows, owner, len(curves), how, generator)
    stretch = np.exp(generator.normal(0.0, how.stretch, len(curves)))
    since_first = rows["mjd_tai"] - first_mjd[owner]
    limit = np.where(generator.random(len(curves)) < how.shallow, np.maximum(how.snr, ALERT_SNR), how.snr)
    keep = rows["flux_njy"] > limit[owner] * rows["flux_err_njy"]
    keep &= generator.random(len(rows)) >= (how.drop * generator.random(len(curves)))[owner]
    keep &= ~_missed_nights(rows, owner, len(curves), how, generator)
    keep &= ~_before_discovery(since_first, len(curves), owner, how, generator)
    keep &= ~_repeats_of_a_night(rows, owner, len(curves), how, generator)
    keep &= ~_missing_band(rows, owner, len(curves), how, generator)
    rows["mjd_tai"] = first_mjd[owner] + since_first * stretch[owner]
    emptied = np.bincount(owner[keep], minlength=len(curves)) == 0
    rows[emptied[owner]] = curves.observations[emptied[owner]]
    return _replace_rows(curves, rows).keep_rows(keep | emptied[owner])


def _dim(
    rows: NDArray[np.void], owner: NDArray[np.int64], count: int, how: Augmentation,
    generator: np.random.Generator,
) -> None:  # fmt: skip
    """Scale the fluxes and add the noise that the fainter source would have had.

    Half of the variance is taken as sky, which stays, half as the source's own, which scales.
    """
    shift = generator.uniform(-how.brighten_mag, how.dim_mag, count)
    offset = generator.normal(0.0, how.zero_point_mag, (count, 6))
    scale = 10.0 ** (-0.4 * (shift[owner] + offset[owner, rows["band"]]))
    flux, error = rows["flux_njy"].astype(np.float64), rows["flux_err_njy"].astype(np.float64)
    wanted = error * np.sqrt(np.where(scale < 1.0, 0.5 + 0.5 * scale, scale**2))
    extra = np.sqrt(np.maximum(wanted**2 - (scale * error) ** 2, 0.0))
    rows["flux_njy"] = scale * flux + extra * generator.normal(size=len(rows))
    rows["flux_err_njy"] = np.maximum(wanted, scale * error)


def _missed_nights(
    rows: NDArray[np.void],
    owner: NDArray[np.int64],
    count: int,
    how: Augmentation,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:
    if how.night_drop == 0.0:
        return np.zeros(len(rows), dtype=np.bool_)
    fraction = how.night_drop * generator.random(count)
    # A hash of (object, night) instead of a draw: rows of one night must go together.
    mixed = (owner.astype(np.uint64) << np.uint64(20)) + rows["mjd_tai"].astype(np.uint64)
    mixed = (mixed ^ generator.integers(1 << 62, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    missed: NDArray[np.bool_] = (mixed >> np.uint64(11)) * 2.0**-53 < fraction[owner]
    return missed


def _before_discovery(
    since_first: NDArray[np.float64], count: int, owner: NDArray[np.int64], how: Augmentation,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:  # fmt: skip
    begin = np.where(generator.random(count) < how.late, how.late_days * generator.random(count), 0.0)
    missed: NDArray[np.bool_] = since_first < begin[owner]
    return missed


def _repeats_of_a_night(
    rows: NDArray[np.void], owner: NDArray[np.int64], count: int, how: Augmentation,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:  # fmt: skip
    thinned = generator.random(count) < how.thin
    # One number per (object, night, band); light curves are far shorter than 2^20 days.
    night = (owner << 23) | ((rows["mjd_tai"] - 40_000.0).astype(np.int64) << 3) | rows["band"]
    first = np.zeros(len(rows), dtype=np.bool_)
    first[np.unique(night, return_index=True)[1]] = True
    repeat: NDArray[np.bool_] = thinned[owner] & ~first
    return repeat


def _missing_band(
    rows: NDArray[np.void], owner: NDArray[np.int64], count: int, how: Augmentation,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:  # fmt: skip
    band = np.where(generator.random(count) < how.band_drop, generator.integers(0, 6, count), 255)
    missing: NDArray[np.bool_] = rows["band"] == band[owner]
    return missing


def _replace_rows(curves: LightCurves, rows: NDArray[np.void]) -> LightCurves:
    return LightCurves(
        survey=curves.survey, object_id=curves.object_id, label=curves.label, source=curves.source,
        canonical_id=curves.canonical_id, redshift=curves.redshift, mwebv=curves.mwebv,
        ra_deg=curves.ra_deg, dec_deg=curves.dec_deg, offsets=curves.offsets, observations=rows,
    )  # fmt: skip
