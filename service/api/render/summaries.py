"""Objects as lists and the live stream show them, from their stored summaries."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from service.api.render.times import utc_of_mjd_tai
from service.api.render.views import AGE_DECIMALS, MAG_DECIMALS, classifier_fields
from service.core.alerts import BAND_NAMES
from service.core.classification import Reason
from service.core.models.registry import ModelRegistry
from service.core.state.summary import ABSENT, ClassNames, Summaries

__all__ = ["ClassifierOf", "class_names", "classifiers_of", "object_fields"]

ClassifierOf = Callable[[int], Mapping[str, Any] | None]
"""Returns ``classifier`` for the digest of a model; None for one that is not registered."""


def class_names(registry: ModelRegistry) -> ClassNames:
    """Return a function from a model's digest to its class names, empty where it is not registered.

    Parameters
    ----------
    registry
        The models.
    """

    def names(digest: int) -> tuple[str, ...]:
        model = registry.find(digest)
        return model.class_names if model else ()

    return names


def classifiers_of(registry: ModelRegistry) -> ClassifierOf:
    """Return a function from a model's digest to ``classifier``, None where it is not registered.

    Parameters
    ----------
    registry
        The models.
    """

    def fields(digest: int) -> Mapping[str, Any] | None:
        model = registry.find(digest)
        return classifier_fields(model) if model else None

    return fields


def object_fields(
    keys: Sequence[str], summaries: Summaries, names: ClassNames, classifier_of: ClassifierOf
) -> list[dict[str, Any]]:
    """Return objects as `service.client.schemas.objects.ObjectFields` describes them, ready for JSON.

    Parameters
    ----------
    keys
        `service.core.alerts.object_key` of n objects.
    summaries
        Summaries of the same objects.
    names, classifier_of
        Class names and ``classifier`` of a model.
    """
    rows = summaries.columns.tolist()
    return [
        _fields(key, row, vector, names, classifier_of)
        for key, row, vector in zip(keys, rows, summaries.vectors, strict=True)
    ]


def _fields(
    key: str, row: tuple[Any, ...], vector: bytes, names: ClassNames, classifier_of: ClassifierOf
) -> dict[str, Any]:
    _, reason, band, best, n_detections, model, alert_id, ra_deg, dec_deg, last, first, mag, _ = row
    survey, _, object_id = key.partition(":")
    probability = np.frombuffer(vector, "<f4")
    classes = names(model) if best != ABSENT else ()
    if len(classes) != len(probability):
        classes = ()  # the model is no longer registered
    has_alert = reason != ABSENT
    return {
        "id": key,
        "survey": survey,
        "object_id": object_id,
        "ra_deg": _number(ra_deg),
        "dec_deg": _number(dec_deg),
        "last_alert_mjd_tai": _number(last),
        "last_alert_utc": _iso(last),
        "last_alert_status": ("abstained" if reason else "classified") if has_alert else None,
        "last_alert_reason": Reason(reason).label if has_alert and reason else None,
        "first_detection_mjd_tai": _number(first),
        "first_detection_utc": _iso(first),
        "age_days": _number(last - first, AGE_DECIMALS),
        "n_detections": n_detections,
        "last_detection_mag": _number(mag, MAG_DECIMALS),
        "last_detection_band": None if band == ABSENT else BAND_NAMES[band],
        "classified_alert_id": None if best == ABSENT else alert_id,
        "classifier": classifier_of(model),
        "top_class": classes[best] if classes else None,
        "top_class_probability": None if best == ABSENT else probability[best],
        "probabilities": dict(zip(classes, probability, strict=True)) if classes else {},
    }


def _number(value: float, decimals: int | None = None) -> float | None:
    if not math.isfinite(value):
        return None
    return value if decimals is None else round(value, decimals)


def _iso(mjd_tai: float) -> str | None:
    moment: datetime | None = utc_of_mjd_tai(mjd_tai)
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
