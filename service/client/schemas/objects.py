"""What the API answers about objects. Every field says its unit; every example is a valid answer."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from . import fields

__all__ = [
    "MAX_IDS",
    "ClassProbability",
    "Classifier",
    "Epoch",
    "LightCurve",
    "ListedObject",
    "LookupAnswer",
    "LookupRequest",
    "ObjectFields",
    "ObjectHistory",
    "ObjectList",
    "ObjectSummary",
    "Observation",
    "ShadowClassifications",
    "ShadowModel",
    "StreamedResult",
]

MAX_IDS = 1000
"""Objects of one lookup at most."""

_CLASSES: list[dict[str, Any]] = [
    {"class_id": 2222, "class_name": "Ia", "probability": 0.91, "raw_probability": 0.96},
    {"class_id": 2224, "class_name": "II", "probability": 0.09, "raw_probability": 0.04},
]
_CLASSIFIER: dict[str, Any] = {
    "name": "nightjar-ztf",
    "version": "1.0.0",
    "feature_version": 1,
    "digest": "0123456789abcdef",
}
_EPOCH: dict[str, Any] = {
    "alert_id": 1636225735315015002,
    "mjd_tai": 59390.225735,
    "utc": "2021-06-25T05:24:26.504Z",
    "n_detections": 9,
    "n_observations": 21,
    "status": "classified",
    "reason": None,
    "classifier": _CLASSIFIER,
    "top_class": "Ia",
    "top_class_probability": 0.91,
    "classifications": _CLASSES,
    "classified_utc": "2021-06-25T05:31:02.250Z",
}
_NAMES: dict[str, Any] = {"id": "ztf:ZTF21abiuvdk", "survey": "ztf", "object_id": "ZTF21abiuvdk"}
_OBJECT: dict[str, Any] = _NAMES | {
    "ra_deg": 290.1523,
    "dec_deg": 34.2741,
    "last_alert_mjd_tai": 59390.225735,
    "last_alert_utc": "2021-06-25T05:24:26.504Z",
    "last_alert_status": "classified",
    "last_alert_reason": None,
    "first_detection_mjd_tai": 59380.301412,
    "first_detection_utc": "2021-06-15T07:13:24.997Z",
    "age_days": 9.924323,
    "n_detections": 9,
    "last_detection_mag": 19.6,
    "last_detection_band": "g",
    "classified_alert_id": 1636225735315015002,
    "classifier": _CLASSIFIER,
    "top_class": "Ia",
    "top_class_probability": 0.91,
    "probabilities": {"Ia": 0.91, "II": 0.09},
}
_LISTED: dict[str, Any] = _OBJECT | {"distance_arcsec": None}
_STREAMED: dict[str, Any] = _OBJECT | {
    "alert_id": 1636225735315015002,
    "classifier": _CLASSIFIER | {"digest": None},
}
_SUMMARY: dict[str, Any] = _OBJECT | {
    "last_detection_mjd_tai": 59390.225735,
    "last_detection_utc": "2021-06-25T05:24:26.504Z",
    "n_observations": 21,
    "n_forced": 0,
    "n_upper_limits": 12,
    "bands": ["g", "r"],
    "redshift": None,
    "redshift_err": None,
    "mwebv": None,
    "n_epochs": 9,
    "classification": _EPOCH,
    "links": {
        "lightcurve": "/v1/objects/ztf:ZTF21abiuvdk/lightcurve",
        "classifications": "/v1/objects/ztf:ZTF21abiuvdk/classifications",
        "shadow-classifications": "/v1/objects/ztf:ZTF21abiuvdk/shadow-classifications",
    },
}
_OBSERVATION: dict[str, Any] = {
    "mjd_tai": 59390.225735,
    "utc": "2021-06-25T05:24:26.504Z",
    "band": "g",
    "kind": "detection",
    "flux_njy": 52480.7,
    "flux_err_njy": 1450.1,
    "mag": 19.6,
    "mag_err": 0.03,
    "limiting_mag": 21.75,
    "source_id": 1636225735315015002,
}


def _example(*examples: dict[str, Any]) -> ConfigDict:
    return ConfigDict(frozen=True, json_schema_extra={"examples": list(examples)})


class ClassProbability(BaseModel):
    """One element of a class vector."""

    model_config = _example(*_CLASSES)

    class_id: fields.ClassId
    class_name: fields.ClassName
    probability: fields.Probability
    raw_probability: fields.RawProbability


class Classifier(BaseModel):
    """The model that made a classification."""

    model_config = _example(_CLASSIFIER)

    name: str = Field(description="Name of the model", examples=["nightjar-ztf"])
    version: str = Field(description="Version of the model", examples=["1.0.0"])
    feature_version: fields.FeatureVersion
    digest: fields.Digest | None = Field(
        None,
        description=fields.DIGEST,
    )


class Epoch(BaseModel):
    """The classification of an object as of one of its alerts."""

    model_config = _example(_EPOCH)

    alert_id: fields.AlertId
    mjd_tai: fields.MjdTai
    utc: fields.Utc
    n_detections: fields.NDetections
    n_observations: fields.NObservations
    status: fields.Status
    reason: fields.Reason
    classifier: Classifier | None = Field(description=fields.CLASSIFIER)
    top_class: fields.TopClass
    top_class_probability: fields.TopClassProbability
    classifications: list[ClassProbability] = Field(description=fields.CLASSIFICATIONS)
    classified_utc: datetime = Field(
        description="When the classification was made, UTC; timestamps.classified of the published record"
    )


class ObjectFields(BaseModel):
    """What lists, the live stream and the answer about one object all say of an object."""

    id: fields.QualifiedId
    survey: fields.Survey
    object_id: fields.ObjectId
    ra_deg: fields.RaDeg
    dec_deg: fields.DecDeg
    last_alert_mjd_tai: float | None = Field(description="Time of the latest alert: MJD TAI, days")
    last_alert_utc: datetime | None = Field(description="last_alert_mjd_tai in UTC")
    last_alert_status: fields.StatusName | None = Field(description="status of the latest alert")
    last_alert_reason: str | None = Field(description="reason of the latest alert")
    first_detection_mjd_tai: float | None = Field(
        description="Time of the first detection: MJD TAI, days; null without one"
    )
    first_detection_utc: datetime | None = Field(description="first_detection_mjd_tai in UTC")
    age_days: fields.AgeDays
    n_detections: fields.NDetections
    last_detection_mag: fields.DetectionMag
    last_detection_band: fields.BandName | None = Field(
        description="Passband of the latest detection; null without one"
    )
    classified_alert_id: fields.ClassifiedAlertId
    classifier: Classifier | None = Field(description=fields.CLASSIFIER)
    top_class: fields.TopClass
    top_class_probability: fields.TopClassProbability
    probabilities: dict[str, float] = Field(
        description="Class vector of the latest alert that was classified: class to calibrated probability; "
        "empty where there is none"
    )


class ListedObject(ObjectFields):
    """An object in a list."""

    model_config = _example(_LISTED)

    distance_arcsec: float | None = Field(
        description="Distance from the centre of the cone searched, arcsec; null without a cone"
    )


class StreamedResult(ObjectFields):
    """A result in the live stream: its object as of the alert.

    Where the alert was not classified there is no class vector, whatever earlier alerts of the object had.
    """

    model_config = _example(_STREAMED)

    alert_id: fields.AlertId


class ObjectList(BaseModel):
    """One page of objects."""

    model_config = _example({"objects": [_LISTED], "next_cursor": None})

    objects: list[ListedObject] = Field(description=fields.OBJECTS)
    next_cursor: str | None = Field(
        description="Value of `cursor` for the next page, all else unchanged; null on the last page. "
        "A page before that may be short, or empty"
    )


class ObjectSummary(ObjectFields):
    """An object: its position, what was observed of it, and its latest classification."""

    model_config = _example(_SUMMARY)

    last_detection_mjd_tai: float | None = Field(
        description="Time of the latest detection: MJD TAI, days; null without one"
    )
    last_detection_utc: datetime | None = Field(description="last_detection_mjd_tai in UTC")
    n_observations: fields.NObservations
    n_forced: int = Field(ge=0, description="Forced photometry in the light curve")
    n_upper_limits: int = Field(ge=0, description="Upper limits in the light curve")
    bands: list[fields.BandName] = Field(description="Passbands of the light curve, blue to red")
    redshift: fields.Redshift
    redshift_err: float | None = Field(description="Error of redshift, 1 sigma")
    mwebv: fields.Mwebv
    n_epochs: fields.NEpochs
    classification: Epoch | None = Field(
        description="Classification of the latest alert that was classified; null where none was"
    )
    links: dict[str, str] = Field(description="Paths of further answers about the object")


class Observation(BaseModel):
    """One row of a light curve."""

    model_config = _example(_OBSERVATION)

    mjd_tai: fields.MjdTai
    utc: fields.Utc
    band: fields.Band
    kind: fields.Kind
    flux_njy: fields.FluxNjy
    flux_err_njy: fields.FluxErrNjy
    mag: fields.Mag
    mag_err: fields.MagErr
    limiting_mag: fields.LimitingMag
    source_id: fields.SourceId


class LightCurve(BaseModel):
    """The light curve of an object, by time."""

    model_config = _example(_NAMES | {"n_observations": 1, "observations": [_OBSERVATION]})

    id: fields.QualifiedId
    survey: fields.Survey
    object_id: fields.ObjectId
    n_observations: fields.NObservations
    observations: list[Observation] = Field(description=fields.OBSERVATIONS)


class ObjectHistory(BaseModel):
    """Every stored classification of an object, by time of the alert."""

    model_config = _example(_NAMES | {"history_limit": 64, "n_epochs": 1, "epochs": [_EPOCH]})

    id: fields.QualifiedId
    survey: fields.Survey
    object_id: fields.ObjectId
    history_limit: fields.HistoryLimit
    n_epochs: fields.NEpochs
    epochs: list[Epoch] = Field(description=fields.EPOCHS)


class ShadowModel(BaseModel):
    """Classifications of one object by one model."""

    classifier: Classifier = Field(description=fields.CLASSIFIER)
    epochs: list[Epoch] = Field(description=fields.EPOCHS)


class ShadowClassifications(BaseModel):
    """Classifications of one object by models other than the active one."""

    model_config = _example(
        _NAMES
        | {
            "models": [
                {"classifier": _CLASSIFIER | {"version": "1.1.0", "digest": "fedcba9876543210"}, "epochs": []}
            ]
        }
    )

    id: fields.QualifiedId
    survey: fields.Survey
    object_id: fields.ObjectId
    models: list[ShadowModel] = Field(description="Models with classifications, by name and version")


class LookupRequest(BaseModel):
    """Objects to look up."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"ids": ["ztf:ZTF21abiuvdk", "ZTF18abcdefg"]}]}
    )

    ids: list[str] = Field(
        min_length=1,
        max_length=MAX_IDS,
        description="Object ids, qualified or not; repeated ones are looked up once",
    )


class LookupAnswer(BaseModel):
    """The objects found, in the order of the request, and the ids for which there is none."""

    model_config = _example({"objects": [_SUMMARY], "not_found": ["ZTF18abcdefg"]})

    objects: list[ObjectSummary] = Field(description=fields.OBJECTS)
    not_found: list[str] = Field(description="Ids without a stored object, as written in the request")
