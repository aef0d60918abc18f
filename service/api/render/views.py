"""Stored states in the form of the API's answers."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.api.render.times import utc_of_mjd_tai, utc_of_unix_ms
from service.api.schemas.objects import (
    ClassifierName,
    ClassProbability,
    Epoch,
    KindName,
    LightCurve,
    ObjectHistory,
    ObjectSummary,
    Observation,
    Status,
    TopClass,
)
from service.core.alerts import BAND_NAMES, Kind, Observations, Survey, object_key
from service.core.classification import Classification, Reason
from service.core.models.registry import ModelRegistry
from service.core.photometry import DETECTION_SIGMA, magnitude_of_flux_njy
from service.core.ports.store import ModelInfo
from service.core.state.history import History
from service.core.state.object_state import ObjectState

__all__ = [
    "class_vector",
    "classifier_name",
    "epoch",
    "light_curve",
    "object_history",
    "observations",
    "summary",
    "top_class",
]

_MAGNITUDES_PER_RELATIVE_ERROR = 2.5 / math.log(10.0)
_KIND_NAMES: tuple[KindName, ...] = ("detection", "forced", "upper_limit")  # in the order of `Kind`


def summary(survey: Survey, object_id: str, state: ObjectState, registry: ModelRegistry) -> ObjectSummary:
    """Describe an object and what it was last classified as."""
    rows = state.observations
    detections = rows["mjd_tai"][rows["kind"] == Kind.DETECTION]
    first, last = (float(detections[0]), float(detections[-1])) if len(detections) else (None, None)
    counts = np.bincount(rows["kind"], minlength=len(Kind)).tolist()
    last_item, last_classified = _last_items(state.history)
    key = object_key(survey, object_id)
    context = np.array([state.redshift, state.redshift_err, state.mwebv], np.float32)
    redshift, redshift_err, mwebv = _shortest(context)
    return ObjectSummary(
        id=key,
        survey=survey,
        object_id=object_id,
        ra_deg=_number(state.ra_deg),
        dec_deg=_number(state.dec_deg),
        last_alert_mjd_tai=_number(state.last_alert_mjd_tai),
        last_alert_utc=utc_of_mjd_tai(state.last_alert_mjd_tai),
        first_detection_mjd_tai=first,
        first_detection_utc=_utc(first),
        last_detection_mjd_tai=last,
        last_detection_utc=_utc(last),
        n_observations=len(rows),
        n_detections=counts[Kind.DETECTION],
        n_forced=counts[Kind.FORCED],
        n_upper_limits=counts[Kind.UPPER_LIMIT],
        bands=[BAND_NAMES[band] for band in np.unique(rows["band"])],
        redshift=redshift,
        redshift_err=redshift_err,
        mwebv=mwebv,
        n_classifications=len(state.history),
        last_status=_status(last_item) if last_item else None,
        last_reason=_reason(last_item) if last_item else None,
        classification=epoch(last_classified, registry) if last_classified else None,
        links={what: f"/v1/objects/{key}/{what}" for what in ("lightcurve", "classifications")},
    )


def light_curve(survey: Survey, object_id: str, state: ObjectState) -> LightCurve:
    """Give the whole light curve of an object."""
    rows = observations(state.observations)
    return LightCurve(
        id=object_key(survey, object_id),
        survey=survey,
        object_id=object_id,
        n_observations=len(rows),
        observations=rows,
    )


def object_history(
    survey: Survey, object_id: str, state: ObjectState, registry: ModelRegistry, *, most_kept: int
) -> ObjectHistory:
    """Give every stored classification of an object."""
    epochs = [epoch(state.history[index], registry) for index in _by_time(state.history)]
    return ObjectHistory(
        id=object_key(survey, object_id),
        survey=survey,
        object_id=object_id,
        most_kept=most_kept,
        n_classifications=len(epochs),
        classifications=epochs,
    )


def observations(rows: Observations) -> list[Observation]:
    """Give the rows of a light curve with magnitudes beside fluxes."""
    flux = rows["flux_njy"].astype(np.float64)
    error = rows["flux_err_njy"].astype(np.float64)
    mag = magnitude_of_flux_njy(flux)
    # Where there is no magnitude there is no error of one either: NaN divided by anything stays NaN.
    mag_err = _MAGNITUDES_PER_RELATIVE_ERROR * error / np.where(np.isfinite(mag), flux, np.nan)
    columns = (
        rows["mjd_tai"].tolist(),
        rows["band"].tolist(),
        rows["kind"].tolist(),
        rows["source_id"].tolist(),
        _shortest(rows["flux_njy"]),
        _shortest(rows["flux_err_njy"]),
        *(map(_number, column.round(5).tolist()) for column in (mag, mag_err, _limiting_mag(error))),
    )
    return [
        Observation(
            mjd_tai=mjd_tai,
            utc=utc_of_mjd_tai(mjd_tai),
            band=BAND_NAMES[band],
            kind=_KIND_NAMES[kind],
            flux_njy=flux_njy,
            flux_err_njy=flux_err_njy,
            mag=magnitude,
            mag_err=magnitude_err,
            limiting_mag=limit,
            source_id=source_id,
        )
        for mjd_tai, band, kind, source_id, flux_njy, flux_err_njy, magnitude, magnitude_err, limit in zip(
            *columns, strict=True
        )
    ]


def epoch(item: Classification, registry: ModelRegistry) -> Epoch:
    """Give one classification with the names that its model has for its classes."""
    model = registry.find(item.model)
    vector = class_vector(model, item.raw_probability, item.probability)
    return Epoch(
        alert_id=item.alert_id,
        mjd_tai=item.mjd_tai,
        utc=utc_of_mjd_tai(item.mjd_tai),
        n_detections=item.n_detections,
        n_observations=item.n_observations,
        status=_status(item),
        reason=_reason(item),
        classifier=classifier_name(model) if model else None,
        top_class=top_class(vector),
        classifications=vector,
        classified_at=utc_of_unix_ms(item.classified_at_ms),
    )


def classifier_name(model: ModelInfo) -> ClassifierName:
    """Name the model of a classification."""
    return ClassifierName(
        name=model.classifier.name,
        version=model.classifier.version,
        feature_version=model.classifier.feature_version,
        digest=f"{model.digest:016x}",
    )


def class_vector(
    model: ModelInfo | None, raw_probability: NDArray[np.float32], probability: NDArray[np.float32]
) -> list[ClassProbability]:
    """Give a class vector, without names where its model is not known any more.

    Parameters
    ----------
    model
        The one that made it.
    raw_probability, probability
        float32, shape (n_classes,), as in `Classification`.
    """
    names: Sequence[tuple[int | None, str | None]] = [(None, None)] * len(probability)
    if model is not None and len(model.classifier.classes) == len(probability):
        names = model.classifier.classes
    return [
        ClassProbability(class_id=number, class_name=name, probability=calibrated, raw_probability=raw)
        for (number, name), calibrated, raw in zip(
            names, _shortest(probability), _shortest(raw_probability), strict=True
        )
    ]


def top_class(vector: Sequence[ClassProbability]) -> TopClass | None:
    """Give the most probable class, None where there are none."""
    if not vector:
        return None
    top = max(vector, key=lambda one: one.probability)
    return TopClass(class_name=top.class_name, probability=top.probability)


def _by_time(history: History) -> list[int]:
    """Order classifications by the time of their alerts; alerts arrive, and are stored, in any order.

    Gives indices, since reading a classification takes longer than all of its sorting.
    """
    order: list[int] = np.argsort(history.entries["mjd_tai"], kind="stable").tolist()
    return order


def _last_items(history: History) -> tuple[Classification | None, Classification | None]:
    """Give the classification of the latest alert, and of the latest that was classified."""
    order = _by_time(history)
    if not order:
        return None, None
    last = history[order[-1]]
    if last.reason == Reason.CLASSIFIED:
        return last, last
    reasons = history.entries["reason"].tolist()
    classified = [index for index in order if reasons[index] == Reason.CLASSIFIED]
    return last, history[classified[-1]] if classified else None


def _status(item: Classification) -> Status:
    return "abstained" if item.reason else "classified"


def _reason(item: Classification) -> str | None:
    return item.reason.label if item.reason else None


def _utc(mjd_tai: float | None) -> datetime | None:
    return None if mjd_tai is None else utc_of_mjd_tai(mjd_tai)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shortest(column: NDArray[np.float32]) -> list[Any]:
    """Give float32 values as the shortest decimals that read back as the same, like the published records.

    None for those that are not finite. Through text, and through the library that writes the records: by
    NumPy and `float` it takes ten times as long.
    """
    text = orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)
    values: list[Any] = orjson.loads(text)
    return values


def _limiting_mag(error_njy: NDArray[np.float64]) -> NDArray[np.float64]:
    return magnitude_of_flux_njy(DETECTION_SIGMA * error_njy)
