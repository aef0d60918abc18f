"""One model's word on light curves as of given alerts, with nothing remembered and nothing kept."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.core.classification import Classification, Reason
from service.core.classifier import ClassifiedBatch, LightCurveBatch, ObjectClassifier
from service.core.features.featuriser import pack
from service.core.state.object_state import ObjectState

__all__ = ["classifications", "classify_as_of"]

_NO_PROBABILITIES = np.empty(0, np.float32)


def classify_as_of(
    classifier: ObjectClassifier, states: Sequence[ObjectState], mjd_tai: NDArray[np.float64]
) -> ClassifiedBatch:
    """Read stored light curves from their first step to the given times.

    Parameters
    ----------
    classifier
        The model; what the states remember of another one plays no part.
    states
        n objects, one of them several times where it is asked for at several times.
    mjd_tai
        float64, shape (n,), days: later rows do not count.
    """
    rows, offsets = pack([state.observations for state in states])
    batch = LightCurveBatch(
        rows=rows,
        offsets=offsets,
        as_of_mjd_tai=mjd_tai,
        redshift=np.array([state.redshift for state in states], np.float32),
        mwebv=np.array([state.mwebv for state in states], np.float32),
    )
    return classifier.classify(batch, classifier.empty_batch(len(states)))


def classifications(
    classifier: ObjectClassifier,
    outcome: ClassifiedBatch,
    reasons: Sequence[int],
    alert_id: Sequence[int],
    mjd_tai: Sequence[float],
    now_ms: int,
) -> list[Classification]:
    """Put results into the form in which they are stored and published.

    Parameters
    ----------
    classifier
        The model that gave them.
    outcome
        Of n light curves.
    reasons
        Shape (n,), `Reason` values: why not to classify, 0 to do so.
    alert_id, mjd_tai
        Shape (n,), the alerts as of which they hold.
    now_ms
        Unix time.
    """
    counts = zip(outcome.summary.n_detections.tolist(), outcome.summary.n_observations.tolist(), strict=True)
    columns = zip(alert_id, mjd_tai, reasons, counts, strict=True)
    return [
        Classification(
            alert_id=one,
            mjd_tai=time,
            classified_at_ms=now_ms,
            n_detections=n_detections,
            n_observations=n_observations,
            reason=Reason(reason),
            model=classifier.bundle.digest,
            raw_probability=_NO_PROBABILITIES if reason else outcome.raw_probability[place],
            probability=_NO_PROBABILITIES if reason else outcome.probability[place],
        )
        for place, (one, time, reason, (n_detections, n_observations)) in enumerate(columns)
    ]
