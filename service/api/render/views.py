"""Stored states in the form of the API's answers."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.api.render.times import utc_of_mjd_tai, utc_of_unix_ms
from service.client.schemas.fields import KindName, StatusName
from service.client.schemas.objects import (
    Classifier,
    ClassProbability,
    Epoch,
    LightCurve,
    ObjectHistory,
    ObjectSummary,
    Observation,
)
from service.core.alerts import BAND_NAMES, Kind, Observations, Survey, object_key
from service.core.classification import Classification, Reason
from service.core.models.info import ModelInfo
from service.core.models.registry import ModelRegistry
from service.core.photometry import DETECTION_SIGMA, magnitude_of_flux_njy
from service.core.state.history import History
from service.core.state.object_state import ObjectState

__all__ = [
    "AGE_DECIMALS",
    "MAG_DECIMALS",
    "class_vector",
    "classifier_fields",
    "classifier_of",
    "epoch",
    "light_curve",
    "object_history",
    "observations",
    "summary",
    "top_class",
]

AGE_DECIMALS = 6
MAG_DECIMALS = 4
"""Of the magnitude in a summary, which is stored as float32."""

_MAGNITUDES_PER_RELATIVE_ERROR = 2.5 / math.log(10.0)
_KIND_NAMES: tuple[KindName, ...] = ("detection", "forced", "upper_limit")  # in the order of `Kind`
_LINKS = ("lightcurve", "classifications", "shadow-classifications")


def summary(survey: Survey, object_id: str, state: ObjectState, registry: ModelRegistry) -> ObjectSummary:
    """Return the summary of an object with its latest classification.

    Its first fields are those of a list (`service.api.render.summaries`), computed from the state itself:
    reading the stored summary too would cost a second request to the store.

    Parameters
    ----------
    survey, object_id
        Which object.
    state
        Its stored state, with all rows.
    registry
        Names of the models.
    """
    rows = state.observations
    detections = rows[rows["kind"] == Kind.DETECTION]
    last_detection = detections[-1] if len(detections) else None
    first = float(detections["mjd_tai"][0]) if len(detections) else None
    last = None if last_detection is None else float(last_detection["mjd_tai"])
    last_alert = _number(state.last_alert_mjd_tai)
    counts = np.bincount(rows["kind"], minlength=len(Kind)).tolist()
    last_item, last_classified = _last_items(state.history)
    classification = epoch(last_classified, registry) if last_classified else None
    key = object_key(survey, object_id)
    context = np.array([state.redshift, state.redshift_err, state.mwebv], np.float32)
    redshift, redshift_err, mwebv = _shortest(context)
    return ObjectSummary(
        id=key,
        survey=survey.value,
        object_id=object_id,
        ra_deg=_number(state.ra_deg),
        dec_deg=_number(state.dec_deg),
        last_alert_mjd_tai=last_alert,
        last_alert_utc=_utc(last_alert),
        last_alert_status=_status(last_item) if last_item else None,
        last_alert_reason=_reason(last_item) if last_item else None,
        first_detection_mjd_tai=first,
        first_detection_utc=_utc(first),
        age_days=None if first is None or last_alert is None else round(last_alert - first, AGE_DECIMALS),
        n_detections=counts[Kind.DETECTION],
        last_detection_mag=None if last_detection is None else _summary_mag(last_detection["flux_njy"]),
        last_detection_band=None if last_detection is None else BAND_NAMES[last_detection["band"]],
        classified_alert_id=last_classified.alert_id if last_classified else None,
        classifier=classification.classifier if classification else None,
        top_class=classification.top_class if classification else None,
        top_class_probability=classification.top_class_probability if classification else None,
        probabilities=_probabilities(classification.classifications if classification else ()),
        last_detection_mjd_tai=last,
        last_detection_utc=_utc(last),
        n_observations=len(rows),
        n_forced=counts[Kind.FORCED],
        n_upper_limits=counts[Kind.UPPER_LIMIT],
        bands=[BAND_NAMES[band] for band in np.unique(rows["band"])],
        redshift=redshift,
        redshift_err=redshift_err,
        mwebv=mwebv,
        n_epochs=len(state.history),
        classification=classification,
        links={name: f"/v1/objects/{key}/{name}" for name in _LINKS},
    )


def light_curve(survey: Survey, object_id: str, state: ObjectState) -> LightCurve:
    """Return the whole light curve of an object.

    Parameters
    ----------
    survey, object_id
        Which object.
    state
        Its stored state, with all rows.
    """
    rows = observations(state.observations)
    return LightCurve(
        id=object_key(survey, object_id),
        survey=survey.value,
        object_id=object_id,
        n_observations=len(rows),
        observations=rows,
    )


def object_history(
    survey: Survey, object_id: str, state: ObjectState, registry: ModelRegistry, *, limit: int
) -> ObjectHistory:
    """Return every stored classification of an object; the service stores at most `limit` of each.

    Parameters
    ----------
    survey, object_id
        Which object.
    state
        Its stored state.
    registry
        Names of the models.
    limit
        `Settings.history_length`.
    """
    epochs = [epoch(state.history[index], registry) for index in _by_time(state.history)]
    return ObjectHistory(
        id=object_key(survey, object_id),
        survey=survey.value,
        object_id=object_id,
        history_limit=limit,
        n_epochs=len(epochs),
        epochs=epochs,
    )


def observations(rows: Observations) -> list[Observation]:
    """Return the rows of a light curve with fluxes and magnitudes.

    Parameters
    ----------
    rows
        `OBSERVATION`, canonical.
    """
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
    """Return one classification with the class names of its model.

    Parameters
    ----------
    item
        A stored classification.
    registry
        Names of the models.
    """
    model = registry.find(item.model)
    vector = class_vector(model, item.raw_probability, item.probability)
    top, top_probability = top_class(vector)
    return Epoch(
        alert_id=item.alert_id,
        mjd_tai=item.mjd_tai,
        utc=utc_of_mjd_tai(item.mjd_tai),
        n_detections=item.n_detections,
        n_observations=item.n_observations,
        status=_status(item),
        reason=_reason(item),
        classifier=classifier_of(model) if model else None,
        top_class=top,
        top_class_probability=top_probability,
        classifications=vector,
        classified_utc=utc_of_unix_ms(item.classified_at_ms),
    )


def classifier_of(model: ModelInfo) -> Classifier:
    """Return ``classifier`` for a model.

    Parameters
    ----------
    model
        The model.
    """
    return Classifier(**classifier_fields(model))


def classifier_fields(model: ModelInfo) -> dict[str, Any]:
    """Return ``classifier`` for a model, ready for JSON.

    Parameters
    ----------
    model
        The model.
    """
    return {
        "name": model.name,
        "version": model.version,
        "feature_version": model.feature_version,
        "digest": f"{model.digest:016x}",
    }


def class_vector(
    model: ModelInfo | None, raw_probability: NDArray[np.float32], probability: NDArray[np.float32]
) -> list[ClassProbability]:
    """Return a class vector, without names where its model is no longer registered.

    Parameters
    ----------
    model
        The model that made it.
    raw_probability, probability
        float32, shape (n_classes,), as in `Classification`.
    """
    names: Sequence[tuple[int | None, str | None]] = [(None, None)] * len(probability)
    if model is not None and len(model.classes) == len(probability):
        names = model.classes
    return [
        ClassProbability(class_id=number, class_name=name, probability=calibrated, raw_probability=raw)
        for (number, name), calibrated, raw in zip(
            names, _shortest(probability), _shortest(raw_probability), strict=True
        )
    ]


def top_class(vector: Sequence[ClassProbability]) -> tuple[str | None, float | None]:
    """Return the most probable class and its probability, None where there is no vector.

    Parameters
    ----------
    vector
        A class vector; empty for none.
    """
    top = max(vector, key=lambda entry: entry.probability, default=None)
    return (None, None) if top is None else (top.class_name, top.probability)


def _probabilities(vector: Sequence[ClassProbability]) -> dict[str, float]:
    return {entry.class_name: entry.probability for entry in vector if entry.class_name is not None}


def _summary_mag(flux_njy: np.float32) -> float | None:
    return _number(round(float(np.float32(magnitude_of_flux_njy(flux_njy))), MAG_DECIMALS))


def _by_time(history: History) -> list[int]:
    """Return the indices of classifications by the time of their alerts, which arrive in any order.

    Indices, since reading a classification takes longer than sorting all of them.
    """
    order: list[int] = np.argsort(history.entries["mjd_tai"], kind="stable").tolist()
    return order


def _last_items(history: History) -> tuple[Classification | None, Classification | None]:
    """Return the classification of the latest alert, and of the latest that was classified."""
    order = _by_time(history)
    if not order:
        return None, None
    last = history[order[-1]]
    if last.reason == Reason.CLASSIFIED:
        return last, last
    reasons = history.entries["reason"].tolist()
    classified = [index for index in order if reasons[index] == Reason.CLASSIFIED]
    return last, history[classified[-1]] if classified else None


def _status(item: Classification) -> StatusName:
    return "abstained" if item.reason else "classified"


def _reason(item: Classification) -> str | None:
    return item.reason.label if item.reason else None


def _utc(mjd_tai: float | None) -> datetime | None:
    return None if mjd_tai is None else utc_of_mjd_tai(mjd_tai)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shortest(column: NDArray[np.float32]) -> list[Any]:
    """Return float32 values as the shortest decimals that read back as the same, like the published records.

    None for those that are not finite. Through text, by the library that writes the records: NumPy and
    `float` take ten times as long.
    """
    text = orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)
    values: list[Any] = orjson.loads(text)
    return values


def _limiting_mag(error_njy: NDArray[np.float64]) -> NDArray[np.float64]:
    return magnitude_of_flux_njy(DETECTION_SIGMA * error_njy)
