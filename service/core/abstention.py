"""When not to classify: the policy, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import AlertBatch, Survey
from service.core.classification import Reason
from service.core.features.featuriser import LightCurveSummary

__all__ = ["AbstentionPolicy"]

STAR_DISTANCE_ARCSEC = 1.5
"""A point source nearer than this is the alert's own (ZTF: Tachibana & Miller 2018 use 1.5 arcsec)."""


@dataclass(frozen=True, slots=True)
class AbstentionPolicy:
    """What the operator set.

    Attributes
    ----------
    min_real_bogus
        Abstain below this score; 0 never does. An alert without a score is not held against it.
    max_star_score
        Abstain above this star-galaxy score of a counterpart within `STAR_DISTANCE_ARCSEC`; 1 never does.
    survey_min_real_bogus
        The same as `min_real_bogus` for surveys that have a value of their own: their scores are not one
        another's.
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
        """Say for each alert whether, and if not why not, it is to be classified.

        Where several reasons hold, the one that lies deepest is given, in this order: what the source is
        (solar system), whether it is real (real-bogus), what it belongs to (star), then what the light
        curve says: no usable detection, too few, too long after the first. `Reason.NO_MODEL` is for
        alerts of a survey that has no bundle, and never comes from here.

        Parameters
        ----------
        alerts
            Where the alerts are.
        index
            int64, shape (n,): which of them.
        summary
            Their light curves, n of them, as of each alert's time.
        window_days, min_detections
            Of the bundle.

        Returns
        -------
        ndarray, shape (n,), uint8
            `Reason` values.
        """
        star_near = alerts.star_distance_arcsec[index] <= STAR_DISTANCE_ARCSEC
        days = alerts.mjd_tai[index] - summary.trigger_mjd_tai
        # Comparisons with NaN are false: what is not known is no reason.
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
