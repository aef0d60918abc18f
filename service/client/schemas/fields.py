"""Fields that several schemas share: one name, one type, one meaning.

`docs/rest.md` lists them, and the JSON and Avro schemas of the Kafka record describe them in the same words;
`tests/api/test_contract.py` holds all of these together.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

__all__ = [
    "CLASSIFICATIONS",
    "CLASSIFIER",
    "DIGEST",
    "EPOCHS",
    "OBJECTS",
    "OBSERVATIONS",
    "AgeDays",
    "AlertId",
    "Band",
    "BandName",
    "ClassId",
    "ClassName",
    "ClassifiedAlertId",
    "DecDeg",
    "DetectionMag",
    "Digest",
    "FeatureVersion",
    "FluxErrNjy",
    "FluxNjy",
    "HistoryLimit",
    "Kind",
    "KindName",
    "LimitingMag",
    "Mag",
    "MagErr",
    "MjdTai",
    "Mwebv",
    "NDetections",
    "NEpochs",
    "NObservations",
    "ObjectId",
    "Probability",
    "QualifiedId",
    "RaDeg",
    "RawProbability",
    "Reason",
    "Redshift",
    "SourceId",
    "Status",
    "StatusName",
    "Survey",
    "SurveyName",
    "TopClass",
    "TopClassProbability",
    "Utc",
]

SurveyName = Literal["ztf", "lsst", "elasticc"]
BandName = Literal["u", "g", "r", "i", "z", "y"]
KindName = Literal["detection", "forced", "upper_limit"]
StatusName = Literal["classified", "abstained"]

# Objects and alerts
QualifiedId = Annotated[str, Field(description="Qualified id of the object: survey, colon, object_id")]
Survey = Annotated[SurveyName, Field(description="Survey whose alert stream the object is in")]
ObjectId = Annotated[
    str,
    Field(
        description="The survey's own name of the object; 'ss' and the ssObjectId, or 'src' and the "
        "diaSourceId, where an alert has no object"
    ),
]
AlertId = Annotated[
    int, Field(ge=0, description="candid (ZTF) or diaSourceId of the alert; a 64-bit integer")
]
ClassifiedAlertId = Annotated[
    int | None,
    Field(description="alert_id of the latest alert that was classified; null where none was"),
]
RaDeg = Annotated[
    float | None,
    Field(description="Right ascension of the alert, of an object's latest alert; ICRS, degrees"),
]
DecDeg = Annotated[
    float | None, Field(description="Declination of the alert, of an object's latest alert; ICRS, degrees")
]
Redshift = Annotated[float | None, Field(description="Redshift of the host; null where it is not known")]
Mwebv = Annotated[float | None, Field(description="Milky Way E(B-V), mag; null where it is not known")]

# Times
MjdTai = Annotated[float, Field(description="Middle of the exposure: MJD TAI, days")]
Utc = Annotated[datetime | None, Field(description="mjd_tai in UTC")]
AgeDays = Annotated[
    float | None,
    Field(description="Time from the first detection to the latest alert, days; null without one"),
]

# Light curves
Band = Annotated[BandName, Field(description="Passband of the exposure")]
FluxNjy = Annotated[
    float | None, Field(description="Difference flux, signed, nJy (AB zero point 31.4); 0 for an upper limit")
]
FluxErrNjy = Annotated[float | None, Field(description="Error of flux_njy, 1 sigma, nJy")]
Mag = Annotated[
    float | None, Field(description="AB magnitude of the difference flux; null where that is not positive")
]
MagErr = Annotated[
    float | None, Field(description="Error of mag, 1 sigma, to first order, mag; null where mag is")
]
LimitingMag = Annotated[float | None, Field(description="AB magnitude of 5 sigma of the noise")]
SourceId = Annotated[
    int,
    Field(
        ge=0,
        description="The survey's id of the measurement (candid, diaSourceId, pid, ...); a 64-bit integer",
    ),
]
DetectionMag = Annotated[
    float | None,
    Field(description="AB magnitude of the latest detection; null where its flux is not positive"),
]
NDetections = Annotated[
    int, Field(ge=0, description="Detections in the light curve; for a classification, those up to mjd_tai")
]
NObservations = Annotated[
    int,
    Field(
        ge=0,
        description="Detections, forced photometry and upper limits in the light curve; for a "
        "classification, those up to mjd_tai",
    ),
]
Kind = Annotated[KindName, Field(description="Kind of observation")]

# Classifications
Status = Annotated[StatusName, Field(description="Whether there is a class vector")]
Reason = Annotated[str | None, Field(description="Why there is no class vector; null where there is one")]
ClassId = Annotated[
    int | None,
    Field(
        description="Id in the DESC taxonomy, which several classes may share; null where the model is no "
        "longer registered"
    ),
]
ClassName = Annotated[
    str | None,
    Field(description="The model's name of the class; null where the model is no longer registered"),
]
Probability = Annotated[float, Field(ge=0, le=1, description="Calibrated probability; the vector sums to 1")]
RawProbability = Annotated[
    float, Field(ge=0, le=1, description="Probability as the network gave it, before calibration")
]
TopClass = Annotated[
    str | None,
    Field(description="Most probable class of the class vector; null where there is none", examples=["Ia"]),
]
TopClassProbability = Annotated[
    float | None, Field(description="Calibrated probability of top_class", examples=[0.91])
]
NEpochs = Annotated[
    int, Field(ge=0, description="Classifications stored of the object, abstentions included")
]
HistoryLimit = Annotated[
    int, Field(description="Classifications stored per object at most; those made first are dropped first")
]

# Models
FeatureVersion = Annotated[int, Field(description="Version of the network's inputs", examples=[1])]
DIGEST = (
    "Digest of everything that decides the meaning of a classification, by which /v1/models lists a model; "
    "null in the live stream, since published records do not carry it"
)
Digest = Annotated[str, Field(pattern="^[0-9a-f]{16}$", description=DIGEST, examples=["0123456789abcdef"])]

# Descriptions of fields whose types are models
CLASSIFIER = (
    "Model that made the class vector; null where there was none, or where it is no longer registered"
)
CLASSIFICATIONS = "Class vector: every class of the model; empty where there is none"
EPOCHS = "Classifications as of each alert, oldest alert first"
OBSERVATIONS = "Rows of the light curve, oldest first"
OBJECTS = "Objects in the order asked for"
