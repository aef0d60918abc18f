"""The result for one alert, and the reasons for not classifying it."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["Classification", "Reason"]


class Reason(IntEnum):
    """Why an alert was not classified; 0 means that it was. Stored, so the numbers never change."""

    CLASSIFIED = 0
    SOLAR_SYSTEM = 1
    NO_PHOTOMETRY = 2
    TOO_FEW_DETECTIONS = 3
    OUTSIDE_TIME_WINDOW = 4
    LOW_REAL_BOGUS = 5
    STAR = 6
    NO_MODEL = 7

    @property
    def label(self) -> str:
        """Published name, for instance ``solar_system``."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Classification:
    """The result for one alert, as of that alert's own time.

    Attributes
    ----------
    alert_id
        candid or diaSourceId.
    mjd_tai
        Time of the alert, days.
    classified_at_ms
        Unix time of the classification in milliseconds; the only value a replay may change.
    n_detections, n_observations
        Rows of the light curve up to `mjd_tai`: detections, and all.
    reason
        `Reason.CLASSIFIED`, or the reason for the abstention.
    model
        First 8 bytes of the bundle's digest, 0 where no model was used.
    raw_probability, probability
        float32, shape (n_classes,), in the order of the model's classes, before and after calibration;
        empty for an abstention.
    """

    alert_id: int
    mjd_tai: float
    classified_at_ms: int
    n_detections: int
    n_observations: int
    reason: Reason
    model: int
    raw_probability: NDArray[np.float32]
    probability: NDArray[np.float32]
