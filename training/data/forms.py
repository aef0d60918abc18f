"""Bring data sets to one uniform form, so that no model can learn which set an object comes from.

Some sets list alert detections, some add upper limits, some are forced photometry over years. What they all
have is the detections above 5 sigma around the brightest one.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Kind
from service.core.photometry import DETECTION_SIGMA
from training.data.light_curves import LabelledLightCurves

__all__ = ["detections_around_peak", "merge_same_objects", "same_object_groups", "stratified_folds"]

DAYS_BEFORE_PEAK = 100.0
DAYS_AFTER_PEAK = 250.0
MATCH_ARCSEC = 3.0
# Two rows of one band closer than this are one exposure (ZTF exposes 30 s every 40 s).
SAME_EXPOSURE_DAYS = 20.0 / 86400.0


def detections_around_peak(
    curves: LabelledLightCurves, *, snr: float = DETECTION_SIGMA
) -> LabelledLightCurves:
    """Return the positive detections within -100..+250 d of the brightest; empty objects are dropped.

    Parameters
    ----------
    curves
        Detections and forced photometry.
    snr
        Smallest flux over its error.
    """
    rows = curves.observations
    significant = (rows["kind"] != Kind.UPPER_LIMIT) & (rows["flux_njy"] > snr * rows["flux_err_njy"])
    kept = curves.keep_rows(significant)
    kept = kept.take(kept.counts > 0)
    rows, owner = kept.observations, kept.owner
    brightest = np.lexsort((-rows["flux_njy"], owner))[kept.offsets[:-1]]
    since_peak = rows["mjd_tai"] - rows["mjd_tai"][brightest][owner]
    rows = rows.copy()
    rows["kind"] = Kind.DETECTION
    near = (since_peak >= -DAYS_BEFORE_PEAK) & (since_peak <= DAYS_AFTER_PEAK)
    return replace(kept, observations=rows).keep_rows(near)


def same_object_groups(curves: LabelledLightCurves) -> NDArray[np.int64]:
    """Assign a number to each real object, shared by records of one canonical name or within 3 arcsec.

    Parameters
    ----------
    curves
        n records.

    Returns
    -------
    ndarray, int64, shape (n,)
        Group numbers from 0, in order of first appearance.
    """
    parent = np.arange(len(curves))
    _, name = np.unique(curves.canonical_id, return_inverse=True)
    first_of_name = np.full(name.max(initial=-1) + 1, -1)
    for index, code in enumerate(name):
        if first_of_name[code] < 0:
            first_of_name[code] = index
        _join(parent, index, first_of_name[code])
    for left, right in _close_pairs(curves):
        _join(parent, left, right)
    roots = np.array([_root(parent, index) for index in range(len(curves))], dtype=np.int64)
    _, first, group = np.unique(roots, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return rank[group].astype(np.int64)


def merge_same_objects(curves: LabelledLightCurves) -> LabelledLightCurves:
    """Merge the records of each real object into one light curve, named and labelled by the first record.

    Rows of later records are added where no earlier record has that band and exposure.

    Parameters
    ----------
    curves
        Records of one or more sets.
    """
    group = same_object_groups(curves)
    _, first = np.unique(group, return_index=True)
    owner = group[curves.owner]
    keep = ~_repeated_exposures(curves, group)
    rows, owner = curves.observations[keep], owner[keep]
    order = np.lexsort((rows["band"], rows["kind"], rows["mjd_tai"], owner))
    merged = curves.take(first)
    lengths = np.bincount(owner, minlength=len(merged))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = rows[order]
    rows["source_id"] = np.arange(len(rows)) - np.repeat(offsets[:-1], lengths)
    return replace(merged, offsets=offsets, observations=rows)


def _repeated_exposures(curves: LabelledLightCurves, group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows repeat an exposure of an earlier record of the same object, shape (rows,)."""
    repeated = np.zeros(len(curves.observations), dtype=np.bool_)
    for number in np.flatnonzero(np.bincount(group) > 1):
        seen: list[NDArray[np.void]] = []
        for record in np.flatnonzero(group == number).tolist():
            rows = curves.rows(record)
            earlier = np.concatenate(seen) if seen else rows[:0]
            # Only another record can repeat an exposure: within one, two close rows are two visits.
            near = np.abs(rows["mjd_tai"][:, None] - earlier["mjd_tai"][None, :]) < SAME_EXPOSURE_DAYS
            same = near & (rows["band"][:, None] == earlier["band"][None, :])
            repeated[curves.offsets[record] : curves.offsets[record + 1]] = same.any(axis=1)
            seen.append(rows)
    return repeated


def stratified_folds(label: NDArray[np.generic], folds: int, seed: int) -> NDArray[np.int64]:
    """Assign objects to folds of equal class proportions.

    Records must be merged first, or an object could be in two folds.

    Parameters
    ----------
    label
        Shape (n,).
    folds
        Number of folds.
    seed
        Of the assignment.

    Returns
    -------
    ndarray, int64, shape (n,)
        0..folds - 1.
    """
    generator = np.random.default_rng(seed)
    fold = np.empty(len(label), dtype=np.int64)
    start = 0
    for name in np.unique(label):
        members = generator.permutation(np.flatnonzero(label == name))
        fold[members] = (np.arange(len(members)) + start) % folds
        start += len(members)
    return fold


def _close_pairs(curves: LabelledLightCurves) -> list[tuple[int, int]]:
    """Return the pairs of records within `MATCH_ARCSEC`, by a sweep over declination."""
    record = np.flatnonzero(np.isfinite(curves.ra_deg) & np.isfinite(curves.dec_deg))
    record = record[np.argsort(curves.dec_deg[record])]
    ra, dec = curves.ra_deg[record], curves.dec_deg[record]
    radius_deg = MATCH_ARCSEC / 3600.0
    last = np.searchsorted(dec, dec + radius_deg, side="right")
    pairs = []
    for left in np.flatnonzero(last > np.arange(len(record)) + 1):
        other = np.arange(left + 1, last[left])
        east = (ra[other] - ra[left] + 180.0) % 360.0 - 180.0
        close = np.hypot(east * np.cos(np.radians(dec[left])), dec[other] - dec[left]) <= radius_deg
        pairs += [(int(record[left]), int(record[right])) for right in other[close]]
    return pairs


def _root(parent: NDArray[np.int64], index: int) -> int:
    """Return the root of a disjoint-set forest, halving the path to it."""
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = int(parent[index])
    return index


def _join(parent: NDArray[np.int64], left: int, right: int) -> None:
    roots = sorted((_root(parent, left), _root(parent, right)))
    parent[roots[1]] = roots[0]
