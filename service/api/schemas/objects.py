"""What the API answers about objects. Every field says its unit; every example is a valid answer."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.core.alerts import Survey

__all__ = [
    "BandName",
    "ClassProbability",
    "ClassifierName",
    "Epoch",
    "KindName",
    "LightCurve",
    "LookupAnswer",
    "LookupRequest",
    "ObjectHistory",
    "ObjectSummary",
    "Observation",
    "Status",
    "TopClass",
]

BandName = Literal["u", "g", "r", "i", "z", "y"]
KindName = Literal["detection", "forced", "upper_limit"]
Status = Literal["classified", "abstained"]

MOST_IDS = 1000

_CLASSES: list[dict[str, Any]] = [
    {"class_id": 2222, "class_name": "Ia", "probability": 0.91, "raw_probability": 0.96},
    {"class_id": 2224, "class_name": "II", "probability": 0.09, "raw_probability": 0.04},
]
_EPOCH: dict[str, Any] = {
    "alert_id": 1636225735315015002,
    "mjd_tai": 59390.225735,
    "utc": "2021-06-25T05:24:26.504Z",
    "n_detections": 9,
    "n_observations": 21,
    "status": "classified",
    "reason": None,
    "classifier": {
        "name": "nightjar-ztf",
        "version": "1.0.0",
        "feature_version": 1,
        "digest": "0123456789abcdef",
    },
    "top_class": {"class_name": "Ia", "probability": 0.91},
    "classifications": _CLASSES,
    "classified_at": "2021-06-25T05:31:02.250Z",
}
_NAMES: dict[str, Any] = {"id": "ztf:ZTF21abiuvdk", "survey": "ztf", "object_id": "ZTF21abiuvdk"}
_SUMMARY: dict[str, Any] = _NAMES | {
    "ra_deg": 290.1523,
    "dec_deg": 34.2741,
    "last_alert_mjd_tai": 59390.225735,
    "last_alert_utc": "2021-06-25T05:24:26.504Z",
    "first_detection_mjd_tai": 59380.301412,
    "first_detection_utc": "2021-06-15T07:13:24.997Z",
    "last_detection_mjd_tai": 59390.225735,
    "last_detection_utc": "2021-06-25T05:24:26.504Z",
    "n_observations": 21,
    "n_detections": 9,
    "n_forced": 0,
    "n_upper_limits": 12,
    "bands": ["g", "r"],
    "redshift": None,
    "redshift_err": None,
    "mwebv": None,
    "n_classifications": 9,
    "last_status": "classified",
    "last_reason": None,
    "classification": _EPOCH,
    "links": {
        "lightcurve": "/v1/objects/ztf:ZTF21abiuvdk/lightcurve",
        "classifications": "/v1/objects/ztf:ZTF21abiuvdk/classifications",
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

    class_id: int | None = Field(
        description="Id in the DESC taxonomy; several classes may share one. Null where the model is not "
        "registered any more, as then is the name"
    )
    class_name: str | None = Field(description="The model's name of the class")
    probability: float = Field(ge=0, le=1, description="Calibrated; the vector sums to 1")
    raw_probability: float = Field(ge=0, le=1, description="As the network gave it, before calibration")


class TopClass(BaseModel):
    """The most probable class of a vector."""

    class_name: str | None = Field(description="The model's name of the class", examples=["Ia"])
    probability: float = Field(ge=0, le=1, description="Calibrated", examples=[0.91])


class ClassifierName(BaseModel):
    """The model that made a classification."""

    name: str = Field(examples=["nightjar-ztf"])
    version: str = Field(examples=["1.0.0"])
    feature_version: int = Field(description="Version of what the network reads", examples=[1])
    digest: str = Field(
        pattern="^[0-9a-f]{16}$",
        description="Of everything that decides the meaning of a classification; see /v1/models",
        examples=["0123456789abcdef"],
    )


class Epoch(BaseModel):
    """The classification of an object as of one of its alerts."""

    model_config = _example(_EPOCH)

    alert_id: int = Field(ge=0, description="candid (ZTF) or diaSourceId; a 64-bit integer")
    mjd_tai: float = Field(description="Time of the alert: MJD TAI, days, middle of the exposure")
    utc: datetime | None = Field(description="The same time in UTC")
    n_detections: int = Field(ge=0, description="Detections up to that time")
    n_observations: int = Field(ge=0, description="Detections, forced photometry and upper limits")
    status: Status
    reason: str | None = Field(description="Why the alert was not classified; null where it was")
    classifier: ClassifierName | None = Field(
        description="Null where no model was used, or where it is not registered any more"
    )
    top_class: TopClass | None = Field(description="The most probable class; null for an abstention")
    classifications: list[ClassProbability] = Field(
        description="Every class of the model; empty for an abstention"
    )
    classified_at: datetime = Field(description="When the service classified it, UTC")


class ObjectSummary(BaseModel):
    """An object: where it is, what was seen of it, what it is."""

    model_config = _example(_SUMMARY)

    id: str = Field(description="The qualified id: survey, colon, the survey's own name")
    survey: Survey
    object_id: str = Field(description="The survey's own name")
    ra_deg: float | None = Field(description="Right ascension of the latest alert, ICRS degrees")
    dec_deg: float | None = Field(description="Declination of the latest alert, ICRS degrees")
    last_alert_mjd_tai: float | None = Field(description="Time of the latest alert, MJD TAI, days")
    last_alert_utc: datetime | None = Field(description="The same time in UTC")
    first_detection_mjd_tai: float | None = Field(description="MJD TAI, days; null without a detection")
    first_detection_utc: datetime | None = Field(description="The same time in UTC")
    last_detection_mjd_tai: float | None = Field(description="MJD TAI, days; null without a detection")
    last_detection_utc: datetime | None = Field(description="The same time in UTC")
    n_observations: int = Field(ge=0, description="Rows of the light curve")
    n_detections: int = Field(ge=0, description="Of these, detections")
    n_forced: int = Field(ge=0, description="Of these, forced photometry")
    n_upper_limits: int = Field(ge=0, description="Of these, upper limits")
    bands: list[BandName] = Field(description="Passbands of the light curve, blue to red")
    redshift: float | None = Field(description="Of the host, where a packet carried one")
    redshift_err: float | None = Field(description="Its error")
    mwebv: float | None = Field(description="Milky Way E(B-V), mag, where a packet carried one")
    n_classifications: int = Field(ge=0, description="Stored epochs, abstentions included")
    last_status: Status | None = Field(description="What became of the latest alert")
    last_reason: str | None = Field(description="Why it was not classified, where it was not")
    classification: Epoch | None = Field(
        description="The latest class vector; null where no alert of the object was classified"
    )
    links: dict[str, str] = Field(description="Paths of what else there is about the object")


class Observation(BaseModel):
    """One row of a light curve."""

    model_config = _example(_OBSERVATION)

    mjd_tai: float = Field(description="Middle of the exposure, MJD TAI, days")
    utc: datetime | None = Field(description="The same time in UTC")
    band: BandName
    kind: KindName
    flux_njy: float | None = Field(description="Difference flux, signed, nJy (AB 31.4); 0 for an upper limit")
    flux_err_njy: float | None = Field(description="1 sigma, nJy")
    mag: float | None = Field(description="AB magnitude of the flux; null where it is not positive")
    mag_err: float | None = Field(description="1 sigma, mag, to first order; null where mag is")
    limiting_mag: float | None = Field(description="AB magnitude of 5 sigma of the flux error")
    source_id: int = Field(
        ge=0, description="The survey's id of the measurement (candid, diaSourceId, pid, ...); 64 bits"
    )


class LightCurve(BaseModel):
    """The light curve of an object, by time."""

    model_config = _example(_NAMES | {"n_observations": 1, "observations": [_OBSERVATION]})

    id: str = Field(description="The qualified id")
    survey: Survey
    object_id: str = Field(description="The survey's own name")
    n_observations: int = Field(ge=0)
    observations: list[Observation]


class ObjectHistory(BaseModel):
    """Every stored classification of an object, by time of the alert."""

    model_config = _example(_NAMES | {"most_kept": 64, "n_classifications": 1, "classifications": [_EPOCH]})

    id: str = Field(description="The qualified id")
    survey: Survey
    object_id: str = Field(description="The survey's own name")
    most_kept: int = Field(description="Epochs kept per object; those processed first are dropped first")
    n_classifications: int = Field(ge=0)
    classifications: list[Epoch]


class LookupRequest(BaseModel):
    """Objects to look up."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"ids": ["ztf:ZTF21abiuvdk", "ZTF18abcdefg"]}]}
    )

    ids: list[str] = Field(
        min_length=1,
        max_length=MOST_IDS,
        description="Object ids, qualified or not; repeated ones are looked up once",
    )


class LookupAnswer(BaseModel):
    """The objects found, in the order of the request, and the ids for which there is none."""

    model_config = _example({"objects": [_SUMMARY], "unknown": ["ZTF18abcdefg"]})

    objects: list[ObjectSummary]
    unknown: list[str] = Field(description="As written in the request")
