"""One pass over a batch of light curves, which computes the quantities known at each step.

Everything here is causal: what is written for a step depends on the rows up to it and on nothing later.
"""

import numpy as np
from numpy.typing import NDArray

from service.core.features.steps import DETECTION, UPPER_LIMIT, PackedLightCurves, Row, StepSelection, is_used
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
"""Rows that `write_quantities` writes for each step, in this order; NaN where there is no measurement yet.

``peak`` is the greatest absolute flux so far, this step included; ``same_band`` is the previous measurement
in the same band; ``other_band`` the latest measurement in any other band; ``last_*`` the latest measurement
in each band, this step included. Upper limits are steps but not measurements.
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
    curves: PackedLightCurves,
    selection: StepSelection,
    trigger_mjd_tai: NDArray[np.float64],
    first_step: NDArray[np.int64],
    step_offsets: NDArray[np.int64],
    quantities: NDArray[np.float64],
    row_index: NDArray[np.int64],
) -> None:
    """Write the quantities of each step, starting at a given step of each light curve.

    Parameters
    ----------
    curves
        n light curves.
    selection
        Which rows become steps.
    trigger_mjd_tai
        Shape (n,), days, from `count_steps`.
    first_step
        Shape (n,): earlier steps are passed over without being written; not before the checkpoints.
    step_offsets
        Shape (n + 1,): columns ``step_offsets[i]:step_offsets[i + 1]`` receive light curve i.
    quantities
        Written: shape (len(QUANTITIES), n_steps).
    row_index
        Written: shape (n_steps,): index into the rows of each step.
    """
    rows, offsets, checkpoints = curves
    state = np.empty(checkpoints.shape[1])
    for curve in range(len(offsets) - 1):
        state[:] = checkpoints[curve]
        step = step_offsets[curve]
        for index in range(offsets[curve], offsets[curve + 1]):
            row = rows[index]
            since_trigger = row.mjd_tai - trigger_mjd_tai[curve]
            is_within = selection.first_day <= since_trigger <= selection.last_day
            if not (is_within and is_used(row, selection)):
                continue
            is_written = state[N_STEPS] >= first_step[curve]
            same_flux, same_mjd = state[LAST_FLUX_NJY + row.band], state[LAST_MJD_TAI + row.band]
            previous_mjd = state[PREVIOUS_MJD_TAI]
            _advance(state, row)
            if is_written:
                out = quantities[:, step]
                out[_SINCE_TRIGGER] = since_trigger
                out[_SINCE_PREVIOUS] = row.mjd_tai - previous_mjd
                out[_SAME_FLUX] = same_flux
                out[_SAME_DAYS] = row.mjd_tai - same_mjd
                _write_state(out, row, state)
                row_index[step] = index
                step += 1


@compiled
def advance_checkpoint_rows(
    curves: PackedLightCurves, selection: StepSelection, trigger_mjd_tai: NDArray[np.float64]
) -> None:
    """Advance checkpoints over the rows that follow them, so that these rows need not be read again.

    Parameters
    ----------
    curves
        n light curves; their checkpoints are replaced.
    selection
        Which rows become steps.
    trigger_mjd_tai
        Shape (n,), days, from `count_steps`.
    """
    rows, offsets, checkpoints = curves
    for curve in range(len(offsets) - 1):
        checkpoint = checkpoints[curve]
        trigger = trigger_mjd_tai[curve]
        checkpoint[TRIGGER_MJD_TAI] = trigger
        for index in range(offsets[curve], offsets[curve + 1]):
            row = rows[index]
            checkpoint[N_ROWS] += 1.0
            checkpoint[END_MJD_TAI] = row.mjd_tai
            if row.kind == DETECTION:
                if checkpoint[N_LISTED_DETECTIONS] == 0.0:
                    checkpoint[FIRST_DETECTION_MJD_TAI] = row.mjd_tai
                checkpoint[N_LISTED_DETECTIONS] += 1.0
                checkpoint[LAST_DETECTION_BAND] = row.band
                checkpoint[LAST_DETECTION_FLUX_NJY] = row.flux_njy
            if is_used(row, selection):
                checkpoint[N_DETECTIONS] += row.kind == DETECTION
                if selection.first_day <= row.mjd_tai - trigger <= selection.last_day:
                    _advance(checkpoint, row)


@compiled
def _advance(state: NDArray[np.float64], row: Row) -> None:
    """Advance the state of a light curve, laid out as a checkpoint, by one step."""
    if row.kind != UPPER_LIMIT:
        state[LAST_FLUX_NJY + row.band] = row.flux_njy
        state[LAST_MJD_TAI + row.band] = row.mjd_tai
        if abs(row.flux_njy) > state[PEAK_NJY] or np.isnan(state[PEAK_MJD_TAI]):
            state[PEAK_NJY] = abs(row.flux_njy)
            state[PEAK_MJD_TAI] = row.mjd_tai
        if row.band != state[LATEST_BAND]:
            state[LATEST_OTHER_BAND] = state[LATEST_BAND]
            state[LATEST_BAND] = row.band
    state[N_STEP_DETECTIONS] += row.kind == DETECTION
    state[PREVIOUS_MJD_TAI] = row.mjd_tai
    state[N_STEPS] += 1.0


@compiled
def _write_state(out: NDArray[np.float64], row: Row, state: NDArray[np.float64]) -> None:
    """Write the quantities that follow from a row and the state that includes it."""
    out[_FLUX] = row.flux_njy
    out[_FLUX_ERR] = row.flux_err_njy
    out[_BAND] = row.band
    out[_KIND] = row.kind
    out[_N_DETECTIONS] = state[N_STEP_DETECTIONS]
    out[_PEAK] = state[PEAK_NJY]
    out[_SINCE_PEAK] = row.mjd_tai - state[PEAK_MJD_TAI]
    # An upper limit may be in another band than the latest measurement.
    other_band = int(state[LATEST_OTHER_BAND] if row.band == state[LATEST_BAND] else state[LATEST_BAND])
    out[_OTHER_BAND] = other_band
    out[_OTHER_FLUX] = state[LAST_FLUX_NJY + other_band] if other_band >= 0 else np.nan
    out[_OTHER_DAYS] = row.mjd_tai - state[LAST_MJD_TAI + other_band] if other_band >= 0 else np.nan
    for band in range(N_BANDS):
        out[_LAST_FLUX + band] = state[LAST_FLUX_NJY + band]
        out[_LAST_DAYS + band] = row.mjd_tai - state[LAST_MJD_TAI + band]
