"""One pass over a batch of light curves: what is known at each of their steps.

Everything here is causal: what is written for a step depends on the rows up to it and on nothing later.
"""

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Observations
from service.core.feature_steps import DETECTION, N_BANDS, UPPER_LIMIT, Row, is_used
from service.core.jit import compiled

__all__ = ["QUANTITIES", "write_quantities"]

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
            if not (before_days <= since_trigger <= after_days and is_used(row, kinds, bands)):
                continue
            same_flux, same_mjd = last_flux[row.band], last_mjd[row.band]
            if row.kind != UPPER_LIMIT:
                last_flux[row.band] = row.flux_njy
                last_mjd[row.band] = row.mjd_tai
                if abs(row.flux_njy) > peak or np.isnan(peak_mjd):
                    peak, peak_mjd = abs(row.flux_njy), row.mjd_tai
                if row.band != latest_band:
                    latest_band, other_band = row.band, latest_band
            n_detections += row.kind == DETECTION
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
    row: Row,
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
