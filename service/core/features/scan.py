"""One pass over a batch of light curves: what is known at each of their steps.

Everything here is causal: what is written for a step depends on the rows up to it and on nothing later.
"""

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Observations
from service.core.features.steps import DETECTION, UPPER_LIMIT, Row, is_used
from service.core.jit import compiled
from service.core.state.checkpoint import (
    END_MJD_TAI,
    FIRST_DETECTION_MJD_TAI,
    LAST_DETECTION_BAND,
    LAST_DETECTION_FLUX_NJY,
    LAST_FLUX_NJY,
    LAST_MJD_TAI,
    LATEST_BAND,
    LATEST_OTHER_BAND,
    N_BANDS,
    N_DETECTIONS,
    N_LISTED_DETECTIONS,
    N_ROWS,
    N_STEP_DETECTIONS,
    N_STEPS,
    PEAK_MJD_TAI,
    PEAK_NJY,
    PREVIOUS_MJD_TAI,
    TRIGGER_MJD_TAI,
)

__all__ = ["QUANTITIES", "advance_checkpoint_rows", "write_quantities"]

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


@compiled
def write_quantities(
    rows: Observations,
    offsets: NDArray[np.int64],
    begun: NDArray[np.float64],
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
    rows, offsets, begun, kinds, bands, before_days, after_days
        As in `count_steps`.
    trigger_mjd_tai
        Shape (n,), from `count_steps`.
    first_step
        Shape (n,): steps before this one are walked over, not written; not before `begun`.
    step_offsets
        Shape (n + 1,): columns ``step_offsets[i]:step_offsets[i + 1]`` receive light curve i.
    quantities
        Written: shape (len(QUANTITIES), n_steps).
    row_index
        Written: shape (n_steps,): index into `rows` of each step.
    """
    known = np.empty(begun.shape[1])
    for curve in range(len(offsets) - 1):
        known[:] = begun[curve]
        to = step_offsets[curve]
        for index in range(offsets[curve], offsets[curve + 1]):
            row = rows[index]
            since_trigger = row.mjd_tai - trigger_mjd_tai[curve]
            if not (before_days <= since_trigger <= after_days and is_used(row, kinds, bands)):
                continue
            is_written = known[N_STEPS] >= first_step[curve]
            same_flux, same_mjd = known[LAST_FLUX_NJY + row.band], known[LAST_MJD_TAI + row.band]
            previous_mjd = known[PREVIOUS_MJD_TAI]
            _take_step(known, row)
            if is_written:
                out = quantities[:, to]
                out[_SINCE_TRIGGER] = since_trigger
                out[_SINCE_PREVIOUS] = row.mjd_tai - previous_mjd
                out[_SAME_FLUX] = same_flux
                out[_SAME_DAYS] = row.mjd_tai - same_mjd
                _write_checkpoint(out, row, known)
                row_index[to] = index
                to += 1


@compiled
def advance_checkpoint_rows(
    rows: Observations,
    offsets: NDArray[np.int64],
    trigger_mjd_tai: NDArray[np.float64],
    kinds: int,
    bands: int,
    before_days: float,
    after_days: float,
    known: NDArray[np.float64],
) -> None:
    """Bring what is known of each light curve forward over its rows, so that they need not be read again.

    Parameters
    ----------
    rows, offsets, trigger_mjd_tai, kinds, bands, before_days, after_days
        As in `write_quantities`.
    known
        Shape (n, CHECKPOINT_SIZE): what was known ahead of these rows; what is known behind them.
    """
    for curve in range(len(offsets) - 1):
        own = known[curve]
        trigger = trigger_mjd_tai[curve]
        own[TRIGGER_MJD_TAI] = trigger
        for index in range(offsets[curve], offsets[curve + 1]):
            row = rows[index]
            own[N_ROWS] += 1.0
            own[END_MJD_TAI] = row.mjd_tai
            if row.kind == DETECTION:
                if own[N_LISTED_DETECTIONS] == 0.0:
                    own[FIRST_DETECTION_MJD_TAI] = row.mjd_tai
                own[N_LISTED_DETECTIONS] += 1.0
                own[LAST_DETECTION_BAND] = row.band
                own[LAST_DETECTION_FLUX_NJY] = row.flux_njy
            if is_used(row, kinds, bands):
                own[N_DETECTIONS] += row.kind == DETECTION
                if before_days <= row.mjd_tai - trigger <= after_days:
                    _take_step(own, row)


@compiled
def _take_step(known: NDArray[np.float64], row: Row) -> None:
    """Take one more step into what is known."""
    if row.kind != UPPER_LIMIT:
        known[LAST_FLUX_NJY + row.band] = row.flux_njy
        known[LAST_MJD_TAI + row.band] = row.mjd_tai
        if abs(row.flux_njy) > known[PEAK_NJY] or np.isnan(known[PEAK_MJD_TAI]):
            known[PEAK_NJY] = abs(row.flux_njy)
            known[PEAK_MJD_TAI] = row.mjd_tai
        if row.band != known[LATEST_BAND]:
            known[LATEST_OTHER_BAND] = known[LATEST_BAND]
            known[LATEST_BAND] = row.band
    known[N_STEP_DETECTIONS] += row.kind == DETECTION
    known[PREVIOUS_MJD_TAI] = row.mjd_tai
    known[N_STEPS] += 1.0


@compiled
def _write_checkpoint(out: NDArray[np.float64], row: Row, known: NDArray[np.float64]) -> None:
    """Write a row itself, and what is known with it."""
    out[_FLUX] = row.flux_njy
    out[_FLUX_ERR] = row.flux_err_njy
    out[_BAND] = row.band
    out[_KIND] = row.kind
    out[_N_DETECTIONS] = known[N_STEP_DETECTIONS]
    out[_PEAK] = known[PEAK_NJY]
    out[_SINCE_PEAK] = row.mjd_tai - known[PEAK_MJD_TAI]
    # An upper limit may be in a band other than that of the latest measurement.
    other = known[LATEST_OTHER_BAND] if row.band == known[LATEST_BAND] else known[LATEST_BAND]
    beside = int(other)
    out[_OTHER_BAND] = beside
    out[_OTHER_FLUX] = known[LAST_FLUX_NJY + beside] if beside >= 0 else np.nan
    out[_OTHER_DAYS] = row.mjd_tai - known[LAST_MJD_TAI + beside] if beside >= 0 else np.nan
    for band in range(N_BANDS):
        out[_LAST_FLUX + band] = known[LAST_FLUX_NJY + band]
        out[_LAST_DAYS + band] = row.mjd_tai - known[LAST_MJD_TAI + band]
