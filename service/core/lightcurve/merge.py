"""Merging observations into light curves, independent of the order in which alerts arrive.

A light curve is a set of rows that grows by two rules only, and both are joins of a semilattice: whatever the
order of the alerts, and however often one is repeated, the result is the same bytes.

1. *The latest report of a measurement wins.* A measurement is identified by its kind, source id and day. Of
   two versions the one with the greater ``reported_s`` stays; of two reports of the same second the one with
   the greater flux, error, time and band, compared as the unsigned integers of their bits. (A ZTF alert
   contains its own exposure time, the histories of later alerts do not, so that the middle of its exposure
   may move by seconds. A day begins at 0 h TAI, in daylight at Palomar.)
2. *One row per exposure* (LSST and ELAsTiCC): forced photometry or a limit at the time and band of a
   detection measures that detection's exposure again, and is dropped. So that a row once dropped is not
   missing later, time and band are part of a measurement's identity in these surveys, where exposures do not
   move. In the real packets no source id ever has two times, and two rows agree in time and band exactly
   where they agree in visit and detector.

Rows thus affect only other rows of their own day: an alert leaves the rows of all days before its first row
unchanged, and these need not be read to merge it (`service.core.state.object_state`).

ZTF's forced photometry is kept along with its detections: it is another measurement, with errors 2 to 45
times smaller. Two detections of one exposure with different ids both stay, as the survey sent them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.core.alerts import OBSERVATION, Observations, Survey
from service.core.lightcurve.merge_kernel import DAY_SHIFT, OBSERVATION_BITS, merge_all
from service.core.times import SECONDS_PER_DAY

__all__ = [
    "MergedLightCurve",
    "MergedLightCurves",
    "canonical",
    "days",
    "merge",
    "merge_many",
    "one_per_exposure",
    "reported_seconds",
]

REPORTED_EPOCH_MJD_TAI = 40000.0
"""Zero of ``reported_s``; 32 bits of seconds reach from 1968 to 2104."""

_LAST_REPORTED_S = int(np.iinfo(np.uint32).max)


@dataclass(frozen=True, slots=True)
class MergedLightCurve:
    """One light curve after a merge.

    Attributes
    ----------
    rows
        `OBSERVATION`, sorted by (mjd_tai, kind, source_id), one row per measurement.
    first_changed
        Index of the first row that differs from the row stored at that index: ``len(stored)`` if rows were
        only appended, ``len(rows)`` if nothing changed. A row that was merely reported again counts as
        unchanged, since ``reported_s`` is not part of the measurement.
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
        int64, shape (n,), as in `MergedLightCurve`, counted from the start of each light curve.
    """

    rows: Observations
    offsets: NDArray[np.int64]
    first_changed: NDArray[np.int64]


def reported_seconds(mjd_tai: ArrayLike) -> NDArray[np.uint32]:
    """Return the ``reported_s`` of all rows that an alert brings.

    Parameters
    ----------
    mjd_tai
        Time of each alert, days.

    Returns
    -------
    ndarray, uint32
        Seconds since `REPORTED_EPOCH_MJD_TAI`, in the shape of the argument, clipped to what 32 bits hold; 0
        for NaN.
    """
    # Clipped before the multiplication, which would overflow for the largest floats.
    days_since_epoch = np.clip(np.asarray(mjd_tai, np.float64) - REPORTED_EPOCH_MJD_TAI, 0.0, 50_000.0)
    seconds = np.nan_to_num(np.rint(days_since_epoch * SECONDS_PER_DAY))
    return np.asarray(np.minimum(seconds, _LAST_REPORTED_S), np.uint32)


def days(mjd_tai: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return the number of the day of each time, in the sense of rule 1.

    Parameters
    ----------
    mjd_tai
        float64, shape (n,), days.

    Returns
    -------
    ndarray, shape (n,), uint64
        Ascending with time; NaN comes after all times.
    """
    numbers: NDArray[np.uint64] = np.ascontiguousarray(mjd_tai).view(np.uint64) >> np.uint64(DAY_SHIFT)
    return numbers


def one_per_exposure(survey: Survey) -> bool:
    """Return whether a survey's forced photometry repeats its detections (rule 2).

    Parameters
    ----------
    survey
        Survey of the light curve.
    """
    return survey is not Survey.ZTF


def canonical(rows: Observations, *, one_per_exposure: bool) -> Observations:
    """Sort the rows of one light curve and keep one per measurement.

    Parameters
    ----------
    rows
        `OBSERVATION`, in any order, with any repetitions.
    one_per_exposure
        Whether rule 2 applies; `one_per_exposure` of the survey.
    """
    return merge(rows[:0], rows, one_per_exposure=one_per_exposure).rows


def merge(stored: Observations, new: Observations, *, one_per_exposure: bool) -> MergedLightCurve:
    """Merge new rows into a stored light curve.

    Parameters
    ----------
    stored
        `OBSERVATION`, the canonical result of an earlier merge; may be empty.
    new
        `OBSERVATION`, in any order, with any repetitions.
    one_per_exposure
        Whether rule 2 applies; `one_per_exposure` of the survey.
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
        bool, shape (n,): whether rule 2 applies to each object.
    """
    rows = np.empty(len(stored) + len(new), OBSERVATION)
    lengths, first_changed = np.zeros((2, len(one_per_exposure)), np.int64)
    n_rows = merge_all(
        _as_bits(stored),
        np.asarray(stored_offsets, np.int64),
        _as_bits(new),
        np.asarray(new_offsets, np.int64),
        np.asarray(one_per_exposure, np.bool_),
        rows.view(OBSERVATION_BITS),
        lengths,
        first_changed,
    )
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return MergedLightCurves(rows[:n_rows], offsets, first_changed)


def _as_bits(rows: Observations) -> Observations:
    """View rows as `OBSERVATION_BITS`, copying read-only arrays, for which numba would compile again."""
    return np.require(rows, OBSERVATION, ["C", "W"]).view(OBSERVATION_BITS)
