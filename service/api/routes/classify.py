"""The endpoint that classifies a light curve of the user's; nothing of it is stored."""

import math
from typing import Annotated, Any, Literal, Self

import numpy as np
from fastapi import APIRouter, Body
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.api.context import ContextDependency
from service.api.problems import ProblemError, ProblemType, documented
from service.api.render.views import class_vector, classifier_name, top_class
from service.api.schemas.objects import BandName, ClassifierName, ClassProbability, KindName, Status, TopClass
from service.core.abstention import light_curve_reasons
from service.core.alerts import BAND_NAMES, OBSERVATION, Kind, Observations, Survey
from service.core.classification import Reason
from service.core.classifier import LightCurveBatch, ObjectClassifier
from service.core.lightcurve.merge import canonical, one_per_exposure
from service.core.photometry import (
    DETECTION_SIGMA,
    flux_njy_of_magnitude,
    noise_njy_of_limit,
    relative_error_of_magnitude,
)
from service.core.ports.store import ModelInfo
from service.core.times import TAI_MINUS_UTC_DAYS

__all__ = ["ClassifyAnswer", "ClassifyRequest", "GivenObservation", "router"]

MOST_OBSERVATIONS = 5000

router = APIRouter(prefix="/v1", tags=["classify"])


_BY_FLUX: dict[str, Any] = {"mjd": 59390.225735, "band": "g", "flux_njy": 52480.7, "flux_err_njy": 1450.1}
_BY_MAGNITUDE: dict[str, Any] = {"mjd": 59392.231, "band": "r", "mag": 19.4, "mag_err": 0.05}
_LIMIT: dict[str, Any] = {"mjd": 59386.25, "band": "r", "limiting_mag": 20.6}


class GivenObservation(BaseModel):
    """One row of a light curve: a flux, a magnitude, or a limit."""

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        json_schema_extra={"examples": [_BY_FLUX, _BY_MAGNITUDE, _LIMIT]},
    )

    mjd: float = Field(
        gt=0, lt=1e6, description="Middle of the exposure, MJD, days, in the request's time scale"
    )
    band: BandName = Field(description="Of the request's survey")
    flux_njy: float | None = Field(
        None, gt=-1e15, lt=1e15, description="Difference flux, signed, nJy (AB 31.4)"
    )
    flux_err_njy: float | None = Field(None, gt=0, lt=1e15, description="1 sigma, nJy; with flux_njy")
    mag: float | None = Field(None, gt=-10, lt=40, description="AB magnitude of a positive difference flux")
    mag_err: float | None = Field(None, gt=0, lt=10, description="1 sigma, mag; with mag")
    limiting_mag: float | None = Field(
        None, gt=-10, lt=40, description="AB magnitude of 5 sigma of the noise where nothing was detected"
    )
    kind: KindName | None = Field(
        None,
        description="By default a magnitude is a detection, a limit an upper limit, and a flux a detection "
        "from 5 sigma on and forced photometry below",
    )

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse a row that is not exactly one of the three."""
        given = {name for name in _PHOTOMETRY if getattr(self, name) is not None}
        if given not in _FORMS:
            raise ValueError("give flux_njy and flux_err_njy, or mag and mag_err, or limiting_mag")
        if (self.kind == "upper_limit") != (given == {"limiting_mag"}) and self.kind is not None:
            raise ValueError("an upper limit is a row with limiting_mag, and only that")
        return self


_PHOTOMETRY = ("flux_njy", "flux_err_njy", "mag", "mag_err", "limiting_mag")
_FORMS = ({"flux_njy", "flux_err_njy"}, {"mag", "mag_err"}, {"limiting_mag"})


class ClassifyRequest(BaseModel):
    """A light curve to classify."""

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [
                {
                    "survey": "ztf",
                    "time_scale": "tai",
                    "redshift": 0.05,
                    "observations": [_LIMIT, _BY_FLUX, _BY_MAGNITUDE],
                }
            ]
        },
    )

    survey: Survey = Field(description="Whose passbands the light curve is in; it selects the model")
    observations: list[GivenObservation] = Field(
        min_length=1, max_length=MOST_OBSERVATIONS, description="In any order"
    )
    time_scale: Literal["tai", "utc"] = Field("tai", description="Of the times given")
    redshift: float | None = Field(None, ge=0, lt=20, description="Of the host, where known")
    mwebv: float | None = Field(None, ge=0, lt=100, description="Milky Way E(B-V), mag, where known")


class ClassifyAnswer(BaseModel):
    """The classification of a light curve as of its last observation."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "survey": "ztf",
                    "n_detections": 2,
                    "n_observations": 3,
                    "status": "classified",
                    "reason": None,
                    "classifier": {
                        "name": "nightjar-ztf",
                        "version": "1.0.0",
                        "feature_version": 1,
                        "digest": "0123456789abcdef",
                    },
                    "top_class": {"class_name": "Ia", "probability": 0.7},
                    "classifications": [
                        {"class_id": 2222, "class_name": "Ia", "probability": 0.7, "raw_probability": 0.8},
                        {"class_id": 2224, "class_name": "II", "probability": 0.3, "raw_probability": 0.2},
                    ],
                }
            ]
        },
    )

    survey: Survey
    n_detections: int = Field(ge=0, description="Usable detections: in a passband of the survey")
    n_observations: int = Field(ge=0, description="Rows of the light curve")
    status: Status
    reason: str | None = Field(description="Why the light curve was not classified; null where it was")
    classifier: ClassifierName = Field(description="The model")
    top_class: TopClass | None = Field(description="The most probable class; null for an abstention")
    classifications: list[ClassProbability] = Field(
        description="Every class of the model; empty for an abstention"
    )


@router.post(
    "/classify",
    responses=documented(ProblemType.NO_MODEL, ProblemType.INVALID_REQUEST),
    summary="Classify a light curve of your own",
)
def classify(request: Annotated[ClassifyRequest, Body()], needs: ContextDependency) -> ClassifyAnswer:
    """Classify a light curve; nothing is stored.

    Observations after the model's time window about the first detection are passed over.
    """
    loaded = needs.classifiers.get(request.survey)
    if loaded is None:
        raise ProblemError(ProblemType.NO_MODEL, f"this server has no model for {request.survey.value}")
    return _answer(request, _rows(request), loaded)


def _answer(request: ClassifyRequest, rows: Observations, classifier: ObjectClassifier) -> ClassifyAnswer:
    bundle = classifier.bundle
    batch = LightCurveBatch(
        rows=rows,
        offsets=np.array([0, len(rows)]),
        as_of_mjd_tai=np.array([np.inf]),
        redshift=_one_number(request.redshift),
        mwebv=_one_number(request.mwebv),
    )
    result = classifier.classify(batch, classifier.empty_batch(1))
    n_detections = int(result.summary.n_detections[0])
    (reason_code,) = light_curve_reasons(result.summary.n_detections, min_detections=bundle.min_detections)
    reason = Reason(reason_code)
    model = ModelInfo.of(bundle)
    vector = [] if reason else class_vector(model, result.raw_probability[0], result.probability[0])
    return ClassifyAnswer(
        survey=request.survey,
        n_detections=n_detections,
        n_observations=int(result.summary.n_observations[0]),
        status="abstained" if reason else "classified",
        reason=reason.label if reason else None,
        classifier=classifier_name(model),
        top_class=top_class(vector),
        classifications=vector,
    )


def _rows(request: ClassifyRequest) -> Observations:
    """Bring the light curve to the form of a stored one."""
    rows = np.zeros(len(request.observations), OBSERVATION)
    to_tai = TAI_MINUS_UTC_DAYS if request.time_scale == "utc" else 0.0
    for number, (row, given) in enumerate(zip(rows, request.observations, strict=True), start=1):
        row["mjd_tai"] = given.mjd + to_tai
        row["band"] = BAND_NAMES.index(given.band)
        row["flux_njy"], row["flux_err_njy"], kind = _photometry(given)
        row["kind"] = Kind[given.kind.upper()] if given.kind else kind
        row["source_id"] = number
    return canonical(rows, one_per_exposure=one_per_exposure(request.survey))


def _photometry(given: GivenObservation) -> tuple[float, float, Kind]:
    """Give flux and error in nJy, and what kind of row that is unless the user says."""
    if given.limiting_mag is not None:
        return 0.0, float(noise_njy_of_limit(given.limiting_mag)), Kind.UPPER_LIMIT
    if given.mag is not None and given.mag_err is not None:
        flux = float(flux_njy_of_magnitude(given.mag))
        return flux, flux * float(relative_error_of_magnitude(given.mag_err)), Kind.DETECTION
    # The request was checked: what is neither a limit nor a magnitude has both.
    flux, error = float(given.flux_njy or 0.0), float(given.flux_err_njy or math.nan)
    return flux, error, Kind.DETECTION if abs(flux) >= DETECTION_SIGMA * error else Kind.FORCED


def _one_number(value: float | None) -> NDArray[np.float32]:
    return np.array([math.nan if value is None else value], np.float32)
