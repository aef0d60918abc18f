"""Merging observations into light curves, so that the order of arrival leaves no trace.

A light curve is a set of rows that only ever grows by two rules, and both are joins of a semilattice:
whatever the order of the alerts, and however often one is repeated, the result is the same bytes.

1. *The latest report of a measurement wins.* A measurement is known by its kind and source id; of two
   versions the one with the greater ``reported_s`` stays, and of two reports of the same second the one
   with the greater flux, error, time and band, compared as unsigned integers of their bits.
2. *One row per exposure* (LSST and ELAsTiCC): forced photometry or a limit at the time and band of a
   detection is that detection's exposure measured again, and is dropped. So that a row once dropped
   cannot be missed later, time and band belong to a measurement's identity in these surveys: an exposure
   does not move. In the real packets no source id ever has two times, and two rows agree in time and band
   exactly where they agree in visit and detector.

ZTF's forced photometry stays beside its detections: it is another measurement, with errors 2 to 45 times
smaller. Two detections of one exposure with different ids both stay, as the survey sent them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, Kind, Observations, Survey
from service.core.jit import compiled

__all__ = [
    "MergedLightCurve",
    "MergedLightCurves",
    "canonical",
    "merge",
    "merge_many",
    "one_per_exposure",
    "reported_seconds",
]

REPORTED_EPOCH_MJD_TAI = 40000.0
"""Zero of ``reported_s``; 32 bits of seconds reach from 1968 to 2104."""

_SECONDS_PER_DAY = 86400
_LAST_REPORTED_S = int(np.iinfo(np.uint32).max)


@dataclass(frozen=True, slots=True)
class MergedLightCurve:
    """One light curve after a merge.

    Attributes
    ----------
    rows
        `OBSERVATION`, sorted by (mjd_tai, kind, source_id), one row per measurement.
    first_changed
        Index of the first row that is not the row stored at that index: ``len(stored)`` where rows were
        only appended, ``len(rows)`` where nothing changed. A row that was only reported again counts as
        unchanged, since ``reported_s`` says nothing about the sky.
    """

    rows: Observations
    first_changed: int


@dataclass(frozen=True, slots=True)
class MergedLightCurves:
    """Many light curves after a merge.

    Attributes
    ----------
    rows
        `OBSERVATION`, light curve after light curve.
    offsets
        int64, shape (n + 1,): rows ``offsets[i]:offsets[i + 1]`` are light curve i.
    first_changed
        int64, shape (n,), as in `MergedLightCurve`, counted from the light curve's own start.
    """

    rows: Observations
    offsets: NDArray[np.int64]
    first_changed: NDArray[np.int64]


def reported_seconds(mjd_tai: float) -> int:
    """Give the ``reported_s`` of all rows that an alert of this time brings.

    Parameters
    ----------
    mjd_tai
        Time of the alert, days. Times that 32 bits cannot hold are taken as the nearest one they can.
    """
    seconds = round((mjd_tai - REPORTED_EPOCH_MJD_TAI) * _SECONDS_PER_DAY)
    return min(max(seconds, 0), _LAST_REPORTED_S)


def one_per_exposure(survey: Survey) -> bool:
    """Say whether a survey's forced photometry repeats its detections (rule 2 of this module)."""
    return survey is not Survey.ZTF


def canonical(rows: Observations, *, one_per_exposure: bool) -> Observations:
    """Sort rows of one light curve and keep one per measurement; see the module's rules."""
    return merge(rows[:0], rows, one_per_exposure=one_per_exposure).rows


def merge(stored: Observations, new: Observations, *, one_per_exposure: bool) -> MergedLightCurve:
    """Merge new rows, in any order and with repetitions, into a stored light curve.

    Parameters
    ----------
    stored
        `OBSERVATION`, canonical, as an earlier merge gave it; may be empty.
    new
        `OBSERVATION`, as an alert brought it.
    one_per_exposure
        Whether a detection replaces other rows of its exposure; `one_per_exposure` of the survey.
    """
    merged = merge_many(
        stored,
        np.array([0, len(stored)]),
        new,
        np.array([0, len(new)]),
        np.array([one_per_exposure]),
    )
    return MergedLightCurve(merged.rows, int(merged.first_changed[0]))


def merge_many(
    stored: Observations,
    stored_offsets: NDArray[np.int64],
    new: Observations,
    new_offsets: NDArray[np.int64],
    one_per_exposure: NDArray[np.bool_],
) -> MergedLightCurves:
    """Merge new rows into many stored light curves at once.

    Parameters
    ----------
    stored, stored_offsets
        `OBSERVATION` and int64 of shape (n + 1,): rows ``stored_offsets[i]:stored_offsets[i + 1]`` are the
        canonical light curve of object i.
    new, new_offsets
        Likewise the rows to merge into it, in any order and with repetitions.
    one_per_exposure
        bool, shape (n,): rule 2 of this module, for each object.
    """
    rows = np.empty(len(stored) + len(new), OBSERVATION)
    lengths, first_changed = np.zeros((2, len(one_per_exposure)), np.int64)
    n_rows = _merge_all(
        _as_bits(stored),
        np.asarray(stored_offsets, np.int64),
        _as_bits(new),
        np.asarray(new_offsets, np.int64),
        np.asarray(one_per_exposure, np.bool_),
        rows.view(_OBSERVATION_BITS),
        lengths,
        first_changed,
    )
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return MergedLightCurves(rows[:n_rows], offsets, first_changed)


# ---- compiled: one pass over the rows of all objects, about 20 ns a row; a sort of the whole batch in
# NumPy takes twenty times as long.

# Floats are compared as unsigned integers of their bits: exact, total (a NaN has its place too), and for
# times, which are positive, in the order of their values.
_OBSERVATION_BITS = np.dtype([(name, f"<u{OBSERVATION[name].itemsize}") for name in OBSERVATION.names or ()])

_DETECTION = int(Kind.DETECTION)
_FREE = -1


def _as_bits(rows: Observations) -> Observations:
    """View rows as `_OBSERVATION_BITS`; copies what is read-only, for which numba would compile anew."""
    return np.require(rows, OBSERVATION, ["C", "W"]).view(_OBSERVATION_BITS)


@compiled
def _slot(row: Any, is_fixed: bool, mask: int) -> int:
    """Give the place of a measurement's identity in a hash table of ``mask + 1`` places."""
    mixed = np.uint64(row.source_id) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(row.kind)
    if is_fixed:
        mixed ^= np.uint64(row.mjd_tai) * np.uint64(0xC2B2AE3D27D4EB4F)
    return np.int64(mixed >> np.uint64(32)) & mask  # type: ignore[return-value]


@compiled
def _is_same_measurement(a: Any, b: Any, is_fixed: bool) -> bool:
    """Say whether two rows are versions of one measurement; with `is_fixed`, only in one exposure."""
    if a.source_id != b.source_id or a.kind != b.kind:
        return False
    return not is_fixed or (a.mjd_tai == b.mjd_tai and a.band == b.band)


@compiled
def _is_later_report(a: Any, b: Any) -> bool:
    """Say whether version `a` of a measurement wins over version `b`."""
    if a.reported_s != b.reported_s:
        return bool(a.reported_s > b.reported_s)
    if a.flux_njy != b.flux_njy:
        return bool(a.flux_njy > b.flux_njy)
    if a.flux_err_njy != b.flux_err_njy:
        return bool(a.flux_err_njy > b.flux_err_njy)
    if a.mjd_tai != b.mjd_tai:
        return bool(a.mjd_tai > b.mjd_tai)
    return bool(a.band > b.band)


@compiled
def _comes_before(a: Any, b: Any) -> bool:
    """Order the rows of one light curve."""
    if a.mjd_tai != b.mjd_tai:
        return bool(a.mjd_tai < b.mjd_tai)
    if a.kind != b.kind:
        return bool(a.kind < b.kind)
    if a.source_id != b.source_id:
        return bool(a.source_id < b.source_id)
    return bool(a.band < b.band)


@compiled
def _collect(rows: Any, is_fixed: bool, chosen: Any, n_chosen: int, table: Any, mask: int) -> int:
    """Add to `chosen` the rows that are new to it or win there; give how many it then holds."""
    for i in range(len(rows)):
        slot = _slot(rows[i], is_fixed, mask)
        while table[slot] != _FREE and not _is_same_measurement(chosen[table[slot]], rows[i], is_fixed):
            slot = (slot + 1) & mask
        if table[slot] == _FREE:
            table[slot] = n_chosen
            chosen[n_chosen] = rows[i]
            n_chosen += 1
        elif _is_later_report(rows[i], chosen[table[slot]]):
            chosen[table[slot]] = rows[i]
    return n_chosen


# Falling gaps after Ciura (2001), for many rows only: rows come as one or two ascending runs, which plain
# insertion sorts at once, but a hostile packet of 100,000 shuffled rows would hold the worker for minutes.
_GAPS = (88_573, 29_524, 9_841, 3_280, 1_093, 301, 132, 57, 23, 10, 4, 1)
_FEW_ROWS = 512


@compiled
def _sort(rows: Any, spare: Any) -> None:
    """Sort rows in place: by insertion, over falling distances where there are many rows."""
    for gap in _GAPS:
        if gap == 1 or (len(rows) > _FEW_ROWS and gap < len(rows)):
            _insert_at_distance(rows, spare, gap)


@compiled
def _insert_at_distance(rows: Any, spare: Any, gap: int) -> None:
    """Sort each of the `gap` interleaved sequences of rows by insertion."""
    for i in range(gap, len(rows)):
        if not _comes_before(rows[i], rows[i - gap]):
            continue
        spare[0] = rows[i]
        j = i
        while j >= gap and _comes_before(spare[0], rows[j - gap]):
            rows[j] = rows[j - gap]
            j -= gap
        rows[j] = spare[0]


@compiled
def _drop_repeats(rows: Any) -> int:
    """Drop from sorted rows those at the exposure of a detection; give how many are left."""
    n_left = 0
    first_of_time = 0  # among the rows that are left; detections come first at each time
    for i in range(len(rows)):
        if n_left == first_of_time or rows[i].mjd_tai != rows[n_left - 1].mjd_tai:
            first_of_time = n_left
        is_repeat = False
        if rows[i].kind != _DETECTION:
            for j in range(first_of_time, n_left):
                is_repeat |= rows[j].kind == _DETECTION and rows[j].band == rows[i].band
        if not is_repeat:
            rows[n_left] = rows[i]
            n_left += 1
    return n_left


@compiled
def _first_change(stored: Any, rows: Any) -> int:
    """Give the length of the common beginning, not looking at when a row was reported."""
    for i in range(min(len(stored), len(rows))):
        a, b = stored[i], rows[i]
        same = a.mjd_tai == b.mjd_tai and a.kind == b.kind and a.source_id == b.source_id
        if not (same and a.band == b.band and a.flux_njy == b.flux_njy and a.flux_err_njy == b.flux_err_njy):
            return i
    return min(len(stored), len(rows))


@compiled
def _merge_all(
    stored: Any,
    stored_offsets: Any,
    new: Any,
    new_offsets: Any,
    one_per_exposure: Any,
    out: Any,
    lengths: Any,
    first_changed: Any,
) -> int:
    """Merge object after object into `out`; give the number of rows written there."""
    n_out = 0
    spare = np.empty(1, out.dtype)
    for k in range(len(one_per_exposure)):
        old = stored[stored_offsets[k] : stored_offsets[k + 1]]
        fresh = new[new_offsets[k] : new_offsets[k + 1]]
        capacity = 16
        while capacity < 2 * (len(old) + len(fresh)):
            capacity *= 2
        table = np.full(capacity, _FREE, np.int64)
        chosen = out[n_out : n_out + len(old) + len(fresh)]
        n_chosen = _collect(old, one_per_exposure[k], chosen, 0, table, capacity - 1)
        n_chosen = _collect(fresh, one_per_exposure[k], chosen, n_chosen, table, capacity - 1)
        _sort(chosen[:n_chosen], spare)
        if one_per_exposure[k]:
            n_chosen = _drop_repeats(chosen[:n_chosen])
        lengths[k] = n_chosen
        first_changed[k] = _first_change(old, chosen[:n_chosen])
        n_out += n_chosen
    return n_out
