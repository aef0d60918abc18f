"""The result for one alert, and the results for many as columns."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["Classification", "ClassificationBatch", "Reason"]

_NO_PROBABILITIES = np.empty(0, np.float32)


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


_REASONS = tuple(Reason)  # by number, sooner than `Reason(number)`


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


@dataclass(frozen=True, slots=True)
class ClassificationBatch:
    """Results of one model for n alerts, as columns.

    Attributes
    ----------
    model, classified_at_ms
        As in `Classification`, the same for all.
    alert_id
        uint64, shape (n,).
    mjd_tai
        float64, shape (n,).
    n_detections, n_observations
        int64, shape (n,).
    reason
        uint8, shape (n,), `Reason` values.
    raw_probability, probability
        float32, shape (n, n_classes). The rows of abstentions have no meaning.
    """

    model: int
    classified_at_ms: int
    alert_id: NDArray[np.uint64]
    mjd_tai: NDArray[np.float64]
    n_detections: NDArray[np.int64]
    n_observations: NDArray[np.int64]
    reason: NDArray[np.uint8]
    raw_probability: NDArray[np.float32]
    probability: NDArray[np.float32]

    def rows(self) -> list[Classification]:
        """Return the results one by one, in order."""
        columns = zip(
            self.alert_id.tolist(),
            self.mjd_tai.tolist(),
            self.n_detections.tolist(),
            self.n_observations.tolist(),
            self.reason.tolist(),
            self.raw_probability,
            self.probability,
            strict=True,
        )
        return [
            Classification(
                alert_id=alert_id,
                mjd_tai=mjd_tai,
                classified_at_ms=self.classified_at_ms,
                n_detections=n_detections,
                n_observations=n_observations,
                reason=_REASONS[reason],
                model=self.model,
                raw_probability=_NO_PROBABILITIES if reason else raw_probability,
                probability=_NO_PROBABILITIES if reason else probability,
            )
            for (
                alert_id,
                mjd_tai,
                n_detections,
                n_observations,
                reason,
                raw_probability,
                probability,
            ) in columns
        ]
