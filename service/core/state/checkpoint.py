"""Checkpoints: what the featuriser knows after the archived rows of a light curve.

The oldest rows of a long light curve are archived, and what the featuriser needs of them is in a checkpoint,
a fixed number of values however many rows they are. Continuing from a checkpoint gives the same bits as
processing all rows.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["CHECKPOINT_SIZE", "N_BANDS", "initial_checkpoints"]

N_BANDS = 6

(
    N_ROWS,  # of any kind
    END_MJD_TAI,  # time of the last row, days; every later row of the light curve is later than this
    N_DETECTIONS,  # usable ones, whether within the window or not
    N_LISTED_DETECTIONS,  # usable or not
    FIRST_DETECTION_MJD_TAI,  # of those
    LAST_DETECTION_BAND,
    LAST_DETECTION_FLUX_NJY,
    TRIGGER_MJD_TAI,  # NaN before the first usable detection
    N_STEPS,
    N_STEP_DETECTIONS,  # among the steps
    PREVIOUS_MJD_TAI,  # of the last step
    PEAK_NJY,  # greatest absolute flux
    PEAK_MJD_TAI,
    LATEST_BAND,  # of the latest measurement, -1 for none
    LATEST_OTHER_BAND,  # of the latest measurement in any other band, -1 for none
    LAST_FLUX_NJY,  # and the following: one of each band
) = range(16)
LAST_MJD_TAI = LAST_FLUX_NJY + N_BANDS

CHECKPOINT_SIZE = LAST_MJD_TAI + N_BANDS
"""Values of a checkpoint, float64."""


def initial_checkpoints(n: int) -> NDArray[np.float64]:
    """Return the checkpoints of n light curves before their first rows.

    Parameters
    ----------
    n
        Number of light curves.

    Returns
    -------
    ndarray, shape (n, CHECKPOINT_SIZE), float64
    """
    checkpoints = np.full((n, CHECKPOINT_SIZE), np.nan)
    checkpoints[:, END_MJD_TAI] = -np.inf
    checkpoints[:, [N_ROWS, N_DETECTIONS, N_LISTED_DETECTIONS, N_STEPS, N_STEP_DETECTIONS, PEAK_NJY]] = 0.0
    checkpoints[:, [LAST_DETECTION_BAND, LATEST_BAND, LATEST_OTHER_BAND]] = -1.0
    return checkpoints
