"""Classifying a light curve of the user's."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from . import fields
from .objects import Classifier, ClassProbability

__all__ = ["ClassifyAnswer", "ClassifyRequest", "GivenObservation"]

MAX_OBSERVATIONS = 5000

_BY_FLUX: dict[str, Any] = {"mjd": 59390.225735, "band": "g", "flux_njy": 52480.7, "flux_err_njy": 1450.1}
_BY_MAGNITUDE: dict[str, Any] = {"mjd": 59392.231, "band": "r", "mag": 19.4, "mag_err": 0.05}
_LIMIT: dict[str, Any] = {"mjd": 59386.25, "band": "r", "limiting_mag": 20.6}

_PHOTOMETRY = ("flux_njy", "flux_err_njy", "mag", "mag_err", "limiting_mag")
_FORMS = ({"flux_njy", "flux_err_njy"}, {"mag", "mag_err"}, {"limiting_mag"})


class GivenObservation(BaseModel):
    """One row of a light curve: a flux, a magnitude, or a limit."""

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        json_schema_extra={"examples": [_BY_FLUX, _BY_MAGNITUDE, _LIMIT]},
    )

    mjd: float = Field(
        gt=0, lt=1e6, description="Middle of the exposure: MJD in the request's time_scale, days"
    )
    band: fields.Band
    flux_njy: fields.FluxNjy = Field(None, gt=-1e15, lt=1e15)
    flux_err_njy: fields.FluxErrNjy = Field(None, gt=0, lt=1e15)
    mag: fields.Mag = Field(None, gt=-10, lt=40)
    mag_err: fields.MagErr = Field(None, gt=0, lt=10)
    limiting_mag: fields.LimitingMag = Field(None, gt=-10, lt=40)
    kind: fields.KindName | None = Field(
        None,
        description="Kind of observation; by default a magnitude is a detection, a limit an upper limit, and "
        "a flux a detection from 5 sigma and forced photometry below",
    )

    @model_validator(mode="after")
    def check_form(self) -> Self:
        """Refuse a row that is not exactly one of the three."""
        given = {name for name in _PHOTOMETRY if getattr(self, name) is not None}
        if given not in _FORMS:
            raise ValueError("give flux_njy and flux_err_njy, or mag and mag_err, or limiting_mag")
        if (self.kind == "upper_limit") != (given == {"limiting_mag"}) and self.kind is not None:
            raise ValueError("an upper limit is a row with limiting_mag, and only that")
        return self


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

    survey: fields.SurveyName = Field(
        description="Survey whose passbands the light curve is in; it selects the model"
    )
    observations: list[GivenObservation] = Field(
        min_length=1, max_length=MAX_OBSERVATIONS, description="Rows of the light curve, in any order"
    )
    time_scale: Literal["tai", "utc"] = Field("tai", description="Time scale of mjd")
    redshift: fields.Redshift = Field(None, ge=0, lt=20)
    mwebv: fields.Mwebv = Field(None, ge=0, lt=100)


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
                    "top_class": "Ia",
                    "top_class_probability": 0.7,
                    "classifications": [
                        {"class_id": 2222, "class_name": "Ia", "probability": 0.7, "raw_probability": 0.8},
                        {"class_id": 2224, "class_name": "II", "probability": 0.3, "raw_probability": 0.2},
                    ],
                }
            ]
        },
    )

    survey: fields.Survey
    n_detections: fields.NDetections
    n_observations: fields.NObservations
    status: fields.Status
    reason: fields.Reason
    classifier: Classifier = Field(description=fields.CLASSIFIER)
    top_class: fields.TopClass
    top_class_probability: fields.TopClassProbability
    classifications: list[ClassProbability] = Field(description=fields.CLASSIFICATIONS)
