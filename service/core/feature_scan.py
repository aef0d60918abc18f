"""One pass over a batch of light curves: which rows become steps, and what is known at each of them.

Everything here is causal: what is written for a step depends on the rows up to it and on nothing later.
"""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Observations
from service.core.jit import compiled

__all__ = ["QUANTITIES", "count_known_steps", "count_steps", "write_quantities"]

N_BANDS = 6

QUANTITIES = (
    "since_trigger_days",
    "since_previous_days",
    "flux_njy",
    "flux_err_njy",
    "band",
    "kind",
    "n_detections",
    "peak_njy",
    "since_peak_days",
    "same_band_flux_njy",
    "same_band_days",
    "other_band",
    "other_band_flux_njy",
    "other_band_days",
    *(f"last_flux_njy_{band}" for band in range(N_BANDS)),
    *(f"last_days_{band}" for band in range(N_BANDS)),
)
"""What `write_quantities` writes for each step, in this order; NaN where nothing was seen yet.

``peak`` is the greatest absolute flux so far, this step included; ``same_band`` the measurement before
this one in its band; ``other_band`` the latest measurement in any other band; ``last_*`` the latest
measurement in each band, this step included. Upper limits are steps, but measure nothing.
"""

(
    _SINCE_TRIGGER,
    _SINCE_PREVIOUS,
    _FLUX,
    _FLUX_ERR,
    _BAND,
    _KIND,
    _N_DETECTIONS,
    _PEAK,
    _SINCE_PEAK,
    _SAME_FLUX,
    _SAME_DAYS,
    _OTHER_BAND,
    _OTHER_FLUX,
    _OTHER_DAYS,
    _LAST_FLUX,
) = range(15)
_LAST_DAYS = _LAST_FLUX + N_BANDS

_DETECTION = 0  # Kind.DETECTION and Kind.UPPER_LIMIT as plain numbers, for the compiler
_UPPER_LIMIT = 2


class _Row(Protocol):
    """One element of `Observations`, as compiled code sees it."""

    mjd_tai: float
    flux_njy: float
    flux_err_njy: float
    band: int
    kind: int


@compiled
def _is_used(row: _Row, kinds: int, bands: int) -> bool:
    """Say whether a row is of a kind and band the model reads, and a usable number."""
    # A shift by more than the width of a number is undefined, hence the first line.
    return (
        row.kind <= _UPPER_LIMIT
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
    as_of_mjd_tai
        Shape (n,): rows later than this do not count in columns 1 to 3.
    unchanged
        Shape (n,): rows from this one of each light curve on do not count in column 4.
    kinds, bands
        Bit masks of the `Kind` and `Band` values that become steps.
    before_days, after_days
        The window about the trigger, before_days <= 0.
    counts
        Written: shape (n, 6): steps, steps as of the given time, detections and rows as of it, steps among
        the unchanged rows, and the row of the trigger or -1.
    trigger_mjd_tai
        Written: shape (n,): time of the first detection, NaN without one.
    """
    for curve in range(len(offsets) - 1):
        light_curve = rows[offsets[curve] : offsets[curve + 1]]
        as_of = as_of_mjd_tai[curve]
        trigger_row = _first_detection(light_curve, kinds, bands)
        trigger = light_curve[trigger_row].mjd_tai if trigger_row >= 0 else np.nan
        n_steps, n_past_steps, n_detections, n_rows, n_unchanged = 0, 0, 0, 0, 0
        for index in range(len(light_curve)):
            row = light_curve[index]
            is_past = row.mjd_tai <= as_of
            n_rows += is_past
            if not _is_used(row, kinds, bands):
                continue
            n_detections += is_past and row.kind == _DETECTION
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
        if light_curve[index].kind == _DETECTION and _is_used(light_curve[index], kinds, bands):
            return index
    return -1


@compiled
def count_known_steps(
    stored: Observations,
    stored_offsets: NDArray[np.int64],
    rows: Observations,
    offsets: NDArray[np.int64],
    unchanged: NDArray[np.int64],
    counts: NDArray[np.int64],
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
    unchanged
        Shape (n,): the first so many rows of both are the same; 0 where nothing is known of it. What
        follows is compared.
    counts
        Shape (n, 6), what `count_steps` wrote with the same `unchanged`.
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
        trigger_row = counts[curve, 5]
        # If the stored steps are the first ones now, their trigger, if there was one, is the trigger now.
        was_triggered = 0 <= trigger_row < first
        count = counts[curve, 4]
        index = first
        for other in range(first, len(before)):
            old = before[other]
            if not _is_used(old, kinds, bands):
                continue
            while index < len(after) and not _is_used(after[index], kinds, bands):
                index += 1
            if index == len(after) or not _is_same_measurement(old, after[index]):
                count = -1
                break
            index += 1
            was_triggered |= old.kind == _DETECTION
            if trigger_row >= 0:
                count += before_days <= old.mjd_tai - after[trigger_row].mjd_tai <= after_days
        known[curve] = 0 if count > 0 and not was_triggered else count


@compiled
def _is_same_measurement(one: _Row, two: _Row) -> bool:
    return (
        one.mjd_tai == two.mjd_tai
        and one.flux_njy == two.flux_njy
        and one.flux_err_njy == two.flux_err_njy
        and one.band == two.band
        and one.kind == two.kind
    )


@compiled
def write_quantities(
    rows: Observations,
    offsets: NDArray[np.int64],
    trigger_mjd_tai: NDArray[np.float64],
    first_step: NDArray[np.int64],
    step_offsets: NDArray[np.int64],
    kinds: int,
    bands: int,
    before_days: float,
    after_days: float,
    quantities: NDArray[np.float64],
    row_index: NDArray[np.int64],
) -> None:
    """Write what is known at each step, from a given step of each light curve on.

    Parameters
    ----------
    rows, offsets, kinds, bands, before_days, after_days
        As in `count_steps`.
    trigger_mjd_tai
        Shape (n,), from `count_steps`.
    first_step
        Shape (n,): steps before this one are walked over, not written.
    step_offsets
        Shape (n + 1,): columns ``step_offsets[i]:step_offsets[i + 1]`` receive light curve i.
    quantities
        Written: shape (len(QUANTITIES), n_steps).
    row_index
        Written: shape (n_steps,): index into `rows` of each step.
    """
    last_flux = np.empty(N_BANDS)
    last_mjd = np.empty(N_BANDS)
    for curve in range(len(offsets) - 1):
        last_flux[:] = np.nan
        last_mjd[:] = np.nan
        previous_mjd = np.nan
        peak, peak_mjd = 0.0, np.nan
        latest_band, other_band = -1, -1  # of the latest measurement, and of the latest in another band
        n_detections = 0
        step = 0
        to = step_offsets[curve]
        for index in range(offsets[curve], offsets[curve + 1]):
            row = rows[index]
            since_trigger = row.mjd_tai - trigger_mjd_tai[curve]
            if not (before_days <= since_trigger <= after_days and _is_used(row, kinds, bands)):
                continue
            same_flux, same_mjd = last_flux[row.band], last_mjd[row.band]
            if row.kind != _UPPER_LIMIT:
                last_flux[row.band] = row.flux_njy
                last_mjd[row.band] = row.mjd_tai
                if abs(row.flux_njy) > peak or np.isnan(peak_mjd):
                    peak, peak_mjd = abs(row.flux_njy), row.mjd_tai
                if row.band != latest_band:
                    latest_band, other_band = row.band, latest_band
            n_detections += row.kind == _DETECTION
            if step >= first_step[curve]:
                out = quantities[:, to]
                out[_SINCE_TRIGGER] = since_trigger
                out[_SINCE_PREVIOUS] = row.mjd_tai - previous_mjd
                out[_N_DETECTIONS] = n_detections
                out[_PEAK] = peak
                out[_SINCE_PEAK] = row.mjd_tai - peak_mjd
                out[_SAME_FLUX] = same_flux
                out[_SAME_DAYS] = row.mjd_tai - same_mjd
                # An upper limit may be in a band other than that of the latest measurement.
                beside = other_band if row.band == latest_band else latest_band
                _write_bands(out, row, beside, last_flux, last_mjd)
                row_index[to] = index
                to += 1
            previous_mjd = row.mjd_tai
            step += 1


@compiled
def _write_bands(
    out: NDArray[np.float64],
    row: _Row,
    beside: int,
    last_flux: NDArray[np.float64],
    last_mjd: NDArray[np.float64],
) -> None:
    """Write a row itself, the latest measurement of each band, and that of the band `beside` it."""
    out[_FLUX] = row.flux_njy
    out[_FLUX_ERR] = row.flux_err_njy
    out[_BAND] = row.band
    out[_KIND] = row.kind
    out[_OTHER_BAND] = beside
    out[_OTHER_FLUX] = last_flux[beside] if beside >= 0 else np.nan
    out[_OTHER_DAYS] = row.mjd_tai - last_mjd[beside] if beside >= 0 else np.nan
    for band in range(N_BANDS):
        out[_LAST_FLUX + band] = last_flux[band]
        out[_LAST_DAYS + band] = row.mjd_tai - last_mjd[band]
