"""Summaries of objects in the form of the API's lists and of the live stream."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from service.api.render.times import utc_of_mjd_tai
from service.core.alerts import BAND_NAMES
from service.core.classification import Reason
from service.core.models.registry import ModelRegistry
from service.core.search.criteria import Criteria
from service.core.state.summary import ABSENT, ClassNames, Summaries

__all__ = ["ModelNames", "class_names", "items", "model_names"]

ARCSEC_PER_DEG = 3600.0
EVERYTHING = Criteria()

ModelNames = Callable[[int], str | None]


def class_names(registry: ModelRegistry) -> ClassNames:
    """Give the names of a model's classes by its digest; none for one that is not registered."""

    def names(digest: int) -> tuple[str, ...]:
        model = registry.find(digest)
        return tuple(name for _, name in model.classifier.classes) if model else ()

    return names


def items(
    keys: Sequence[str],
    summaries: Summaries,
    names: ClassNames,
    model_names: ModelNames,
    criteria: Criteria = EVERYTHING,
) -> list[dict[str, Any]]:
    """Give objects as `service.api.routes.search.ObjectItem` describes them, ready for JSON.

    Parameters
    ----------
    keys
        `service.core.alerts.object_key` of n objects.
    summaries
        Of the same objects.
    names, model_names
        Name the classes of models, and models.
    criteria
        Whose cone distances are from.
    """
    distances = criteria.distance_deg(summaries).tolist()
    heads = summaries.columns.tolist()
    return [
        _item(key, head, vector, names, model_names)
        | {"distance_arcsec": _number(distance * ARCSEC_PER_DEG, 3)}
        for key, head, vector, distance in zip(keys, heads, summaries.vectors, distances, strict=True)
    ]


def _item(
    key: str,
    head: tuple[Any, ...],
    vector: bytes,
    names: ClassNames,
    model_names: ModelNames,
) -> dict[str, Any]:
    _, reason, band, best, n_detections, model, alert_id, ra_deg, dec_deg, last, first, magnitude, _ = head
    probability = np.frombuffer(vector, "<f4")
    classes = names(model) if best != ABSENT else ()
    if len(classes) != len(probability):
        classes = ()  # of a model that nobody knows any more
    is_known = reason != ABSENT
    return {
        "object_id": key,
        "survey": key.partition(":")[0],
        "ra_deg": _number(ra_deg),
        "dec_deg": _number(dec_deg),
        "n_detections": n_detections,
        "last_mjd_tai": _number(last),
        "last_time": _iso(last),
        "first_mjd_tai": _number(first),
        "first_time": _iso(first),
        "age_days": _number(last - first, 6),
        "magnitude": _number(magnitude, 4),
        "band": None if band == ABSENT else BAND_NAMES[band],
        "status": ("abstained" if reason else "classified") if is_known else None,
        "reason": Reason(reason).label if is_known and reason else None,
        "best_class": classes[best] if classes else None,
        "best_probability": probability[best] if classes else None,
        "probabilities": dict(zip(classes, probability, strict=True)) if classes else {},
        "model": model_names(model),
        "alert_id": alert_id or None,
    }


def model_names(registry: ModelRegistry) -> ModelNames:
    """Give name and version of a model by its digest; None for one that is not registered."""

    def name(digest: int) -> str | None:
        model = registry.find(digest)
        return f"{model.classifier.name} {model.classifier.version}" if model else None

    return name


def _number(value: float, digits: int = 12) -> float | None:
    return round(value, digits) if math.isfinite(value) else None


def _iso(mjd_tai: float) -> str | None:
    moment: datetime | None = utc_of_mjd_tai(mjd_tai)
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
