"""Which rows of a light curve become steps, and how many of them were steps before.

Everything here is causal: whether a row is a step depends on the rows up to it and on nothing later.
"""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Observations
from service.core.jit import compiled
from service.core.state.checkpoint import N_BANDS, N_DETECTIONS, N_ROWS, N_STEPS, TRIGGER_MJD_TAI

__all__ = [
    "DETECTION",
    "UPPER_LIMIT",
    "Row",
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


@compiled
def is_used(row: Row, kinds: int, bands: int) -> bool:
    """Say whether a row is of a kind and band the model reads, and a usable number."""
    # A shift by more than the width of a number is undefined, hence the first line.
    return (
        row.kind <= UPPER_LIMIT
        and row.band < N_BANDS
        and (kinds >> row.kind) & 1 == 1
        and (bands >> row.band) & 1 == 1
        and math.isfinite(row.mjd_tai)
        and math.isfinite(row.flux_njy)
        and math.isfinite(row.flux_err_njy)
        and row.flux_err_njy > 0.0
    )


@compiled
def count_steps(
    rows: Observations,
    offsets: NDArray[np.int64],
    begun: NDArray[np.float64],
    as_of_mjd_tai: NDArray[np.float64],
    unchanged: NDArray[np.int64],
    kinds: int,
    bands: int,
    before_days: float,
    after_days: float,
    counts: NDArray[np.int64],
    trigger_mjd_tai: NDArray[np.float64],
) -> None:
    """Count the steps of each light curve and find its trigger.

    Parameters
    ----------
    rows, offsets
        Light curves as a packed batch, each sorted by time.
    begun
        Shape (n, CHECKPOINT_SIZE): what is known of the rows ahead of these, which all are earlier.
    as_of_mjd_tai
        Shape (n,): rows later than this do not count in columns 1 to 3; not before `begun`.
    unchanged
        Shape (n,): rows from this one of each light curve on do not count in column 4.
    kinds, bands
        Bit masks of the `Kind` and `Band` values that become steps.
    before_days, after_days
        The window about the trigger, before_days <= 0.
    counts
        Written: shape (n, 6): steps, steps as of the given time, detections and rows as of it, steps among
        the unchanged rows, and the row of the trigger or -1 where none of these rows is the trigger.
    trigger_mjd_tai
        Written: shape (n,): time of the first detection, NaN without one.
    """
    for curve in range(len(offsets) - 1):
        light_curve = rows[offsets[curve] : offsets[curve + 1]]
        as_of = as_of_mjd_tai[curve]
        trigger, trigger_row = begun[curve, TRIGGER_MJD_TAI], -1
        if math.isnan(trigger):
            trigger_row = _first_detection(light_curve, kinds, bands)
            trigger = light_curve[trigger_row].mjd_tai if trigger_row >= 0 else np.nan
        n_steps = n_past_steps = n_unchanged = int(begun[curve, N_STEPS])
        n_detections, n_rows = int(begun[curve, N_DETECTIONS]), int(begun[curve, N_ROWS])
        for index in range(len(light_curve)):
            row = light_curve[index]
            is_past = row.mjd_tai <= as_of
            n_rows += is_past
            if not is_used(row, kinds, bands):
                continue
            n_detections += is_past and row.kind == DETECTION
            # Comparisons with NaN are false: without a trigger there are no steps.
            if before_days <= row.mjd_tai - trigger <= after_days:
                n_steps += 1
                # Before its first detection an object is not one: nothing is a step yet.
                n_past_steps += is_past and trigger <= as_of
                n_unchanged += index < unchanged[curve]
        counts[curve, 0] = n_steps
        counts[curve, 1] = n_past_steps
        counts[curve, 2] = n_detections
        counts[curve, 3] = n_rows
        counts[curve, 4] = n_unchanged
        counts[curve, 5] = trigger_row
        trigger_mjd_tai[curve] = trigger


@compiled
def _first_detection(light_curve: Observations, kinds: int, bands: int) -> int:
    """Give the index of the first usable detection, or -1."""
    for index in range(len(light_curve)):
        if light_curve[index].kind == DETECTION and is_used(light_curve[index], kinds, bands):
            return index
    return -1


@compiled
def count_unchanged_steps(
    stored: Observations,
    stored_offsets: NDArray[np.int64],
    rows: Observations,
    offsets: NDArray[np.int64],
    begun: NDArray[np.float64],
    unchanged: NDArray[np.int64],
    counts: NDArray[np.int64],
    trigger_mjd_tai: NDArray[np.float64],
    kinds: int,
    bands: int,
    before_days: float,
    after_days: float,
    known: NDArray[np.int64],
) -> None:
    """Count the steps of each stored light curve where its new form only adds steps at the end.

    Parameters
    ----------
    stored, stored_offsets
        Light curves as they were, a packed batch of n.
    rows, offsets
        The same light curves as they are.
    begun
        As in `count_steps`; the same for both.
    unchanged
        Shape (n,): the first so many rows of both are the same; 0 where nothing is known of it. What
        follows is compared.
    counts, trigger_mjd_tai
        Shape (n, 6) and (n,), what `count_steps` wrote with the same `begun` and `unchanged`.
    kinds, bands, before_days, after_days
        As in `count_steps`.
    known
        Written: shape (n,): number of stored steps, or -1 where one of them changed, went, or is
        preceded by a new one.
    """
    for curve in range(len(offsets) - 1):
        before = stored[stored_offsets[curve] : stored_offsets[curve + 1]]
        after = rows[offsets[curve] : offsets[curve + 1]]
        first = unchanged[curve]
        trigger = trigger_mjd_tai[curve]
        # If the stored steps are the first ones now, their trigger, if there was one, is the trigger now.
        was_triggered = 0 <= counts[curve, 5] < first or not math.isnan(begun[curve, TRIGGER_MJD_TAI])
        count = counts[curve, 4]
        index = first
        for other in range(first, len(before)):
            old = before[other]
            if not is_used(old, kinds, bands):
                continue
            while index < len(after) and not is_used(after[index], kinds, bands):
                index += 1
            if index == len(after) or not _is_same_measurement(old, after[index]):
                count = -1
                break
            index += 1
            was_triggered |= old.kind == DETECTION
            # Comparisons with NaN are false, as above.
            count += before_days <= old.mjd_tai - trigger <= after_days
        known[curve] = 0 if count > 0 and not was_triggered else count


@compiled
def _is_same_measurement(one: Row, two: Row) -> bool:
    return (
        one.mjd_tai == two.mjd_tai
        and one.flux_njy == two.flux_njy
        and one.flux_err_njy == two.flux_err_njy
        and one.band == two.band
        and one.kind == two.kind
    )
