"""Bring sets of different style to one form, so that no model can learn the source.

Some sets list alert detections, some add limits, some are forced photometry over years. What all can
give is the detections above 5 sigma around the brightest one.
"""

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Kind
from training.data.light_curves import LightCurves, ragged_index

__all__ = ["detections_around_peak", "merge_same_objects", "same_object_groups", "stratified_folds"]

DETECTION_SNR = 5.0
DAYS_BEFORE_PEAK = 100.0
DAYS_AFTER_PEAK = 250.0
MATCH_ARCSEC = 3.0
# Two rows of one band closer than this are one exposure (ZTF exposes 30 s every 40 s).
SAME_EXPOSURE_DAYS = 20.0 / 86400.0


def detections_around_peak(curves: LightCurves, *, snr: float = DETECTION_SNR) -> LightCurves:
    """Keep positive detections above `snr` within -100..+250 d of the brightest; drop empty objects."""
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
    return _with_rows(kept, rows).keep_rows(near)


def same_object_groups(curves: LightCurves) -> NDArray[np.int64]:
    """Give each real object a number, shared by records of one canonical name or within 3 arcsec.

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


def merge_same_objects(curves: LightCurves) -> LightCurves:
    """Make one light curve of each real object; the first of its records names and labels it.

    Rows of later records are added where no earlier row has that band and exposure.
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
    return LightCurves(
        survey=curves.survey, object_id=merged.object_id, label=merged.label, source=merged.source,
        canonical_id=merged.canonical_id, redshift=merged.redshift, mwebv=merged.mwebv,
        ra_deg=merged.ra_deg, dec_deg=merged.dec_deg, offsets=offsets, observations=rows,
    )  # fmt: skip


def _repeated_exposures(curves: LightCurves, group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark rows that an earlier record of the same object has already, shape (rows,)."""
    repeated = np.zeros(len(curves.observations), dtype=np.bool_)
    for number in np.flatnonzero(np.bincount(group) > 1):
        seen: list[NDArray[np.void]] = []
        for record in np.flatnonzero(group == number).tolist():
            rows = curves.rows(record)
            earlier = np.concatenate(seen) if seen else rows[:0]
            # Only another record can repeat an exposure: one source lists real double visits.
            near = np.abs(rows["mjd_tai"][:, None] - earlier["mjd_tai"][None, :]) < SAME_EXPOSURE_DAYS
            same = near & (rows["band"][:, None] == earlier["band"][None, :])
            repeated[curves.offsets[record] : curves.offsets[record + 1]] = same.any(axis=1)
            seen.append(rows)
    return repeated


def stratified_folds(label: NDArray[np.generic], folds: int, seed: int) -> NDArray[np.int64]:
    """Deal objects into folds, class by class; shape (n,), values 0..folds - 1.

    The light curves must be merged first, so that an object cannot be on two sides.
    """
    generator = np.random.default_rng(seed)
    fold = np.empty(len(label), dtype=np.int64)
    start = 0
    for name in np.unique(label):
        members = generator.permutation(np.flatnonzero(label == name))
        fold[members] = (np.arange(len(members)) + start) % folds
        start += len(members)
    return fold


def first_detections(curves: LightCurves, count: int) -> LightCurves:
    """Cut every light curve after its `count`-th detection (all of it where it has fewer)."""
    detection = curves.observations["kind"] == Kind.DETECTION
    before = np.concatenate([[0], np.cumsum(detection)])
    seen = before[:-1] - before[curves.offsets[:-1]][curves.owner]
    return curves.keep_rows(seen + detection <= count) if count > 0 else curves


def _with_rows(curves: LightCurves, rows: NDArray[np.void]) -> LightCurves:
    index = ragged_index(curves.offsets[:-1], curves.counts)
    return LightCurves(
        survey=curves.survey, object_id=curves.object_id, label=curves.label, source=curves.source,
        canonical_id=curves.canonical_id, redshift=curves.redshift, mwebv=curves.mwebv,
        ra_deg=curves.ra_deg, dec_deg=curves.dec_deg, offsets=curves.offsets, observations=rows[index],
    )  # fmt: skip


def _close_pairs(curves: LightCurves) -> list[tuple[int, int]]:
    """Pairs of objects within `MATCH_ARCSEC`, by a sweep over declination."""
    place = np.flatnonzero(np.isfinite(curves.ra_deg) & np.isfinite(curves.dec_deg))
    place = place[np.argsort(curves.dec_deg[place])]
    ra, dec = curves.ra_deg[place], curves.dec_deg[place]
    reach = MATCH_ARCSEC / 3600.0
    last = np.searchsorted(dec, dec + reach, side="right")
    pairs = []
    for left in np.flatnonzero(last > np.arange(len(place)) + 1):
        other = np.arange(left + 1, last[left])
        east = (ra[other] - ra[left] + 180.0) % 360.0 - 180.0
        close = np.hypot(east * np.cos(np.radians(dec[left])), dec[other] - dec[left]) <= reach
        pairs += [(int(place[left]), int(place[right])) for right in other[close]]
    return pairs


def _root(parent: NDArray[np.int64], index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = int(parent[index])
    return index


def _join(parent: NDArray[np.int64], left: int, right: int) -> None:
    roots = sorted((_root(parent, left), _root(parent, right)))
    parent[roots[1]] = roots[0]
