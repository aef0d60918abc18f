"""Which rows of a light curve become steps, and how many of the stored steps are unchanged.

Everything here is causal: whether a row is a step depends on the rows up to it and on nothing later.
"""

import math
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Observations
from service.core.jit import compiled
from service.core.state.checkpoint import N_BANDS, N_DETECTIONS, N_ROWS, N_STEPS, TRIGGER_MJD_TAI

__all__ = [
    "DETECTION",
    "UPPER_LIMIT",
    "PackedLightCurves",
    "Row",
    "StepSelection",
    "count_steps",
    "count_unchanged_steps",
    "is_used",
]

DETECTION = 0  # Kind.DETECTION and Kind.UPPER_LIMIT as plain numbers, for the compiler
UPPER_LIMIT = 2


class Row(Protocol):
    """One element of `Observations`, as compiled code sees it."""

    mjd_tai: float
    flux_njy: float
    flux_err_njy: float
    band: int
    kind: int


class PackedLightCurves(NamedTuple):
    """Light curves of n objects.

    Attributes
    ----------
    rows
        `OBSERVATION`, light curves end to end, each sorted by time.
    offsets
        int64, shape (n + 1,): rows ``offsets[i]:offsets[i + 1]`` are light curve i.
    checkpoints
        float64, shape (n, CHECKPOINT_SIZE): summaries of earlier rows that are not among `rows`; see
        `service.core.state.checkpoint`.
    """

    rows: Observations
    offsets: NDArray[np.int64]
    checkpoints: NDArray[np.float64]


class StepSelection(NamedTuple):
    """Which rows become steps.

    Attributes
    ----------
    kinds, bands
        Bit masks of the `Kind` and `Band` values that become steps.
    first_day, last_day
        Window about the trigger in days, both ends included; ``first_day <= 0 < last_day``.
    """

    kinds: int
    bands: int
    first_day: float
    last_day: float


@compiled
def is_used(row: Row, selection: StepSelection) -> bool:
    """Return whether a row is of a selected kind and band and a usable measurement.

    Parameters
    ----------
    row
        Of a light curve.
    selection
        The window is not looked at.
    """
    # Shifting by more than the width of an integer is undefined, hence the first two conditions.
    return (
        row.kind <= UPPER_LIMIT
        and row.band < N_BANDS
        and (selection.kinds >> row.kind) & 1 == 1
        and (selection.bands >> row.band) & 1 == 1
        and math.isfinite(row.mjd_tai)
        and math.isfinite(row.flux_njy)
        and math.isfinite(row.flux_err_njy)
        and row.flux_err_njy > 0.0
    )


@compiled
def count_steps(
    curves: PackedLightCurves,
    selection: StepSelection,
    as_of_mjd_tai: NDArray[np.float64],
    n_unchanged: NDArray[np.int64],
    counts: NDArray[np.int64],
    trigger_mjd_tai: NDArray[np.float64],
) -> None:
    """Count the steps of each light curve and find its trigger.

    Parameters
    ----------
    curves
        n light curves.
    selection
        Which rows become steps.
    as_of_mjd_tai
        Shape (n,), days: later rows are left out of columns 1 to 3. Not before the end of the checkpoints.
    n_unchanged
        Shape (n,): only so many leading rows of each light curve count in column 4.
    counts
        Written: shape (n, 6): steps; steps, detections and rows as of the given time; steps among the
        unchanged rows; index of the trigger's row, or -1 if none of these rows is the trigger.
    trigger_mjd_tai
        Written: shape (n,), days: time of the first detection, NaN without one.
    """
    # Unpacked once, because every access to an array in a tuple counts a reference.
    rows, offsets, checkpoints = curves
    for curve in range(len(offsets) - 1):
        light_curve = rows[offsets[curve] : offsets[curve + 1]]
        checkpoint = checkpoints[curve]
        as_of = as_of_mjd_tai[curve]
        trigger, trigger_row = checkpoint[TRIGGER_MJD_TAI], -1
        if math.isnan(trigger):
            trigger, trigger_row = _first_detection(light_curve, selection)
        n_steps = n_past_steps = n_unchanged_steps = int(checkpoint[N_STEPS])
        n_detections, n_rows = int(checkpoint[N_DETECTIONS]), int(checkpoint[N_ROWS])
        for index in range(len(light_curve)):
            row = light_curve[index]
            is_past = row.mjd_tai <= as_of
            n_rows += is_past
            if not is_used(row, selection):
                continue
            n_detections += is_past and row.kind == DETECTION
            # Comparisons with NaN are false: without a trigger there are no steps.
            if selection.first_day <= row.mjd_tai - trigger <= selection.last_day:
                n_steps += 1
                # As of a time before its first detection an object has no trigger, hence no steps.
                n_past_steps += is_past and trigger <= as_of
                n_unchanged_steps += index < n_unchanged[curve]
        counts[curve, 0] = n_steps
        counts[curve, 1] = n_past_steps
        counts[curve, 2] = n_detections
        counts[curve, 3] = n_rows
        counts[curve, 4] = n_unchanged_steps
        counts[curve, 5] = trigger_row
        trigger_mjd_tai[curve] = trigger


@compiled
def _first_detection(light_curve: Observations, selection: StepSelection) -> tuple[float, int]:
    """Return time and index of the first usable detection; NaN and -1 without one."""
    for index in range(len(light_curve)):
        if light_curve[index].kind == DETECTION and is_used(light_curve[index], selection):
            return light_curve[index].mjd_tai, index
    return np.nan, -1


@compiled
def count_unchanged_steps(
    stored: PackedLightCurves,
    current: PackedLightCurves,
    selection: StepSelection,
    n_unchanged: NDArray[np.int64],
    counts: NDArray[np.int64],
    trigger_mjd_tai: NDArray[np.float64],
    n_kept: NDArray[np.int64],
) -> None:
    """Count the stored steps of each light curve that has only gained steps at its end.

    Parameters
    ----------
    stored, current
        n light curves as they were and as they are now, with the same checkpoints.
    selection
        Which rows become steps.
    n_unchanged
        Shape (n,): so many leading rows are known to be the same in both; the rest is compared.
    counts, trigger_mjd_tai
        Shapes (n, 6) and (n,), as `count_steps` wrote them for `current` and `n_unchanged`.
    n_kept
        Written: shape (n,): number of stored steps, or -1 if one of them changed, disappeared, or is now
        preceded by a new one.
    """
    old_rows, old_offsets, checkpoints = stored
    new_rows, new_offsets, _ = current
    for curve in range(len(new_offsets) - 1):
        before = old_rows[old_offsets[curve] : old_offsets[curve + 1]]
        after = new_rows[new_offsets[curve] : new_offsets[curve + 1]]
        first = n_unchanged[curve]
        trigger = trigger_mjd_tai[curve]
        # If the stored steps are the first steps now, their trigger, if they had one, is still the trigger.
        had_trigger = 0 <= counts[curve, 5] < first or not math.isnan(checkpoints[curve, TRIGGER_MJD_TAI])
        count = counts[curve, 4]
        index = first
        for old_index in range(first, len(before)):
            old = before[old_index]
            if not is_used(old, selection):
                continue
            while index < len(after) and not is_used(after[index], selection):
                index += 1
            if index == len(after) or not _is_same_measurement(old, after[index]):
                count = -1
                break
            index += 1
            had_trigger |= old.kind == DETECTION
            # Comparisons with NaN are false, as above.
            count += selection.first_day <= old.mjd_tai - trigger <= selection.last_day
        n_kept[curve] = 0 if count > 0 and not had_trigger else count


@compiled
def _is_same_measurement(a: Row, b: Row) -> bool:
    return (
        a.mjd_tai == b.mjd_tai
        and a.flux_njy == b.flux_njy
        and a.flux_err_njy == b.flux_err_njy
        and a.band == b.band
        and a.kind == b.kind
    )
