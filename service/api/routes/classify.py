"""The endpoint that classifies a light curve of the user's; nothing is stored."""

import math
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Body
from numpy.typing import NDArray

from service.api.context import ContextDependency
from service.api.problems import ProblemError, ProblemType, documented
from service.api.render.views import class_vector, classifier_of, top_class
from service.client.schemas.classify import ClassifyAnswer, ClassifyRequest, GivenObservation
from service.core.abstention import light_curve_reasons
from service.core.alerts import BAND_NAMES, OBSERVATION, Kind, Observations, Survey
from service.core.classification import Reason
from service.core.classifier import LightCurveBatch, ObjectClassifier
from service.core.lightcurve.merge import canonical, one_per_exposure
from service.core.models.info import ModelInfo
from service.core.photometry import (
    DETECTION_SIGMA,
    flux_njy_of_magnitude,
    noise_njy_of_limit,
    relative_error_of_magnitude,
)
from service.core.times import TAI_MINUS_UTC_DAYS

__all__ = ["router"]


router = APIRouter(prefix="/v1", tags=["classify"])


@router.post(
    "/classify",
    responses=documented(ProblemType.NO_MODEL, ProblemType.INVALID_REQUEST),
    summary="Classify a light curve",
)
def classify(request: Annotated[ClassifyRequest, Body()], context: ContextDependency) -> ClassifyAnswer:
    """Classify a light curve; nothing is stored.

    Observations outside of the model's time window about the first detection are ignored.
    """
    classifier = context.classifiers.get(Survey(request.survey))
    if classifier is None:
        raise ProblemError(ProblemType.NO_MODEL, f"this server has no model for {request.survey}")
    return _answer(request, _rows(request), classifier)


def _answer(request: ClassifyRequest, rows: Observations, classifier: ObjectClassifier) -> ClassifyAnswer:
    bundle = classifier.bundle
    batch = LightCurveBatch(
        rows=rows,
        offsets=np.array([0, len(rows)]),
        as_of_mjd_tai=np.array([np.inf]),
        redshift=_column(request.redshift),
        mwebv=_column(request.mwebv),
    )
    result = classifier.classify(batch, classifier.empty_batch(1))
    n_detections = int(result.summary.n_detections[0])
    (reason_code,) = light_curve_reasons(result.summary.n_detections, min_detections=bundle.min_detections)
    reason = Reason(reason_code)
    model = ModelInfo.of(bundle)
    vector = [] if reason else class_vector(model, result.raw_probability[0], result.probability[0])
    top, top_probability = top_class(vector)
    return ClassifyAnswer(
        survey=request.survey,
        n_detections=n_detections,
        n_observations=int(result.summary.n_observations[0]),
        status="abstained" if reason else "classified",
        reason=reason.label if reason else None,
        classifier=classifier_of(model),
        top_class=top,
        top_class_probability=top_probability,
        classifications=vector,
    )


def _rows(request: ClassifyRequest) -> Observations:
    """Return the light curve in the form of a stored one."""
    rows = np.zeros(len(request.observations), OBSERVATION)
    to_tai = TAI_MINUS_UTC_DAYS if request.time_scale == "utc" else 0.0
    for number, (row, given) in enumerate(zip(rows, request.observations, strict=True), start=1):
        row["mjd_tai"] = given.mjd + to_tai
        row["band"] = BAND_NAMES.index(given.band)
        row["flux_njy"], row["flux_err_njy"], kind = _photometry(given)
        row["kind"] = Kind[given.kind.upper()] if given.kind else kind
        row["source_id"] = number
    return canonical(rows, one_per_exposure=one_per_exposure(Survey(request.survey)))


def _photometry(given: GivenObservation) -> tuple[float, float, Kind]:
    """Return flux and error in nJy, and the kind of row where the request does not state it."""
    if given.limiting_mag is not None:
        return 0.0, float(noise_njy_of_limit(given.limiting_mag)), Kind.UPPER_LIMIT
    if given.mag is not None and given.mag_err is not None:
        flux = float(flux_njy_of_magnitude(given.mag))
        return flux, flux * float(relative_error_of_magnitude(given.mag_err)), Kind.DETECTION
    # The request was validated: a row that is neither a limit nor a magnitude has both.
    flux, error = float(given.flux_njy or 0.0), float(given.flux_err_njy or math.nan)
    return flux, error, Kind.DETECTION if abs(flux) >= DETECTION_SIGMA * error else Kind.FORCED


def _column(value: float | None) -> NDArray[np.float32]:
    return np.array([math.nan if value is None else value], np.float32)
