"""When not to classify an alert: the abstention policy."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import AlertBatch, Survey
from service.core.classification import Reason
from service.core.features.featuriser import LightCurveSummary

__all__ = ["AbstentionPolicy"]

STAR_DISTANCE_ARCSEC = 1.5
"""A point source within this radius is the alert's counterpart (ZTF: Tachibana & Miller 2018)."""


@dataclass(frozen=True, slots=True)
class AbstentionPolicy:
    """The operator's thresholds.

    Attributes
    ----------
    min_real_bogus
        Abstain below this score; 0 disables the check. An alert without a score passes.
    max_star_score
        Abstain above this star-galaxy score of a counterpart within `STAR_DISTANCE_ARCSEC`; 1 disables the
        check.
    survey_min_real_bogus
        Overrides `min_real_bogus` for single surveys, whose scores are not comparable with each other.
    """

    min_real_bogus: float = 0.0
    max_star_score: float = 1.0
    survey_min_real_bogus: Mapping[Survey, float] = field(default_factory=dict)

    def reasons(
        self,
        alerts: AlertBatch,
        index: NDArray[np.int64],
        summary: LightCurveSummary,
        *,
        window_days: tuple[float, float],
        min_detections: int,
    ) -> NDArray[np.uint8]:
        """Decide for each alert whether to classify it, and if not, why.

        Where several reasons apply, the first in this order is returned: the nature of the source (solar
        system), whether it is real (real-bogus), its counterpart (star), then its light curve: no usable
        detection, too few of them, too long after the first. `Reason.NO_MODEL` is for alerts of a survey
        without a bundle and is never returned here.

        Parameters
        ----------
        alerts
            Batch that contains the alerts.
        index
            int64, shape (n,): rows of the alerts to decide on.
        summary
            Summaries of their n light curves as of each alert's time.
        window_days, min_detections
            Limits of the bundle.

        Returns
        -------
        ndarray, shape (n,), uint8
            `Reason` values.
        """
        star_near = alerts.star_distance_arcsec[index] <= STAR_DISTANCE_ARCSEC
        days = alerts.mjd_tai[index] - summary.trigger_mjd_tai
        # Comparisons with NaN are false: a missing value is never a reason.
        conditions = {
            Reason.SOLAR_SYSTEM: alerts.is_solar_system[index],
            Reason.LOW_REAL_BOGUS: alerts.real_bogus[index] < self._least_real_bogus(alerts, index),
            Reason.STAR: star_near & (alerts.star_galaxy[index] > self.max_star_score),
            Reason.NO_PHOTOMETRY: summary.n_detections == 0,
            Reason.TOO_FEW_DETECTIONS: summary.n_detections < min_detections,
            Reason.OUTSIDE_TIME_WINDOW: days > window_days[1],
        }
        chosen = np.select(
            list(conditions.values()), [int(reason) for reason in conditions], int(Reason.CLASSIFIED)
        )
        return chosen.astype(np.uint8)

    def _least_real_bogus(self, alerts: AlertBatch, index: NDArray[np.int64]) -> float | NDArray[np.float64]:
        if not self.survey_min_real_bogus:
            return self.min_real_bogus
        surveys = (alerts.survey[place] for place in index.tolist())
        return np.array([self.survey_min_real_bogus.get(one, self.min_real_bogus) for one in surveys])
