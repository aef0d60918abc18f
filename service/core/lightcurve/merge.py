"""Merging observations into light curves, so that the order of arrival leaves no trace.

A light curve is a set of rows that only ever grows by two rules, and both are joins of a semilattice:
whatever the order of the alerts, and however often one is repeated, the result is the same bytes.

1. *The latest report of a measurement wins.* A measurement is known by its kind, source id and day; of two
   versions the one with the greater ``reported_s`` stays, and of two reports of the same second the one
   with the greater flux, error, time and band, compared as unsigned integers of their bits. (ZTF's alert
   knows the length of its exposure, the histories of later alerts do not, so that its middle may move by
   seconds. A day begins at 0 h TAI, in daylight at Palomar.)
2. *One row per exposure* (LSST and ELAsTiCC): forced photometry or a limit at the time and band of a
   detection is that detection's exposure measured again, and is dropped. So that a row once dropped
   cannot be missed later, time and band belong to a measurement's identity in these surveys: there an
   exposure does not move. In the real packets no source id ever has two times, and two rows agree in time
   and band exactly where they agree in visit and detector.

So rows only ever touch others of their own day: an alert leaves the rows of all days before its first row as
they are, and these need not be read for it (`service.core.state.object_state`).

ZTF's forced photometry stays beside its detections: it is another measurement, with errors 2 to 45 times
smaller. Two detections of one exposure with different ids both stay, as the survey sent them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, Observations, Survey
from service.core.lightcurve.merge_kernel import DAY_SHIFT, OBSERVATION_BITS, merge_all

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


def days(mjd_tai: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Give each time the number of its day, in the order of light curves; a NaN's comes after all others."""
    numbers: NDArray[np.uint64] = np.ascontiguousarray(mjd_tai).view(np.uint64) >> np.uint64(DAY_SHIFT)
    return numbers


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
    """View rows as `OBSERVATION_BITS`; copies what is read-only, for which numba would compile anew."""
    return np.require(rows, OBSERVATION, ["C", "W"]).view(OBSERVATION_BITS)
