"""Classify stored light curves at given times, without using or changing stored hidden states."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.core.classifier import ClassifiedBatch, LightCurveBatch, ObjectClassifier
from service.core.features.featuriser import pack
from service.core.state.object_state import ObjectState

__all__ = ["classify_at"]


def classify_at(
    classifier: ObjectClassifier, states: Sequence[ObjectState], mjd_tai: NDArray[np.float64]
) -> ClassifiedBatch:
    """Classify whole light curves, each from its first step to a given time.

    Parameters
    ----------
    classifier
        The model. Hidden states and results that `states` hold play no part, whichever model they are of.
    states
        n objects; one that is wanted at several times occurs several times.
    mjd_tai
        float64, shape (n,), days. Later rows do not count.

    Returns
    -------
    ClassifiedBatch
        n results, bit for bit those of a worker that processed the alerts one by one.
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
