"""When not to classify: the policy of the operator, and what every light curve must have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import AlertBatch, Survey
from service.core.classification import Reason
from service.core.features.featuriser import LightCurveSummary

__all__ = ["AbstentionPolicy", "light_curve_reasons"]

STAR_DISTANCE_ARCSEC = 1.5
"""A point source within this radius is the alert's counterpart (ZTF: Tachibana & Miller 2018)."""


def light_curve_reasons(n_detections: NDArray[np.integer[Any]], *, min_detections: int) -> NDArray[np.uint8]:
    """Return why light curves alone, whatever their alerts say, are not to be classified.

    Parameters
    ----------
    n_detections
        Shape (n,): usable detections.
    min_detections
        The least that the bundle classifies.

    Returns
    -------
    ndarray, shape (n,), uint8
        `Reason` values; `Reason.CLASSIFIED` where nothing speaks against it.
    """
    return np.select(
        [n_detections == 0, n_detections < min_detections],
        [np.uint8(Reason.NO_PHOTOMETRY), np.uint8(Reason.TOO_FEW_DETECTIONS)],
        np.uint8(Reason.CLASSIFIED),
    )


@dataclass(frozen=True, slots=True)
class AbstentionPolicy:
    """The limits that the operator set.

    Attributes
    ----------
    min_real_bogus
        Abstain below this score; 0 disables the check. An alert without a score passes.
    max_star_score
        Abstain above this star-galaxy score of a counterpart within `STAR_DISTANCE_ARCSEC`; 1 disables the
        check.
    survey_min_real_bogus
        Overrides `min_real_bogus` for some surveys, whose scores are not comparable with one another.
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
        """Return for each alert why it is not to be classified, if so.

        Where several reasons hold, the first of this order is returned: what the source is (solar system),
        whether it is real (real-bogus), what it belongs to (star), then what the light curve says: no usable
        detection, too few, too long after the first. `Reason.NO_MODEL` is for alerts of a survey without a
        bundle, and is never returned here.

        Parameters
        ----------
        alerts
            The batch that contains the alerts.
        index
            int64, shape (n,): their positions in it.
        summary
            Summaries of their n light curves as of each alert's time.
        window_days, min_detections
            Limits of the bundle.

        Returns
        -------
        ndarray, shape (n,), uint8
            `Reason` values; `Reason.CLASSIFIED` where the alert is to be classified.
        """
        star_near = alerts.star_distance_arcsec[index] <= STAR_DISTANCE_ARCSEC
        days = alerts.mjd_tai[index] - summary.trigger_mjd_tai
        of_light_curve = light_curve_reasons(summary.n_detections, min_detections=min_detections)
        # Comparisons with NaN are false: an unknown value is no reason to abstain.
        conditions = {
            Reason.SOLAR_SYSTEM: alerts.is_solar_system[index],
            Reason.LOW_REAL_BOGUS: alerts.real_bogus[index] < self._min_real_bogus(alerts, index),
            Reason.STAR: star_near & (alerts.star_galaxy[index] > self.max_star_score),
        }
        late = np.where(days > window_days[1], Reason.OUTSIDE_TIME_WINDOW, Reason.CLASSIFIED)
        reasons = np.select(
            [*conditions.values(), of_light_curve != Reason.CLASSIFIED],
            [*(int(reason) for reason in conditions), of_light_curve],
            late,
        )
        return reasons.astype(np.uint8)

    def _min_real_bogus(self, alerts: AlertBatch, index: NDArray[np.int64]) -> float | NDArray[np.float64]:
        if not self.survey_min_real_bogus:
            return self.min_real_bogus
        surveys = (alerts.survey[position] for position in index.tolist())
        return np.array([self.survey_min_real_bogus.get(survey, self.min_real_bogus) for survey in surveys])
