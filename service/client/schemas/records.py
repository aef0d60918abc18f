"""Records of the output topic, as the JSON and Avro schemas describe them."""

from pydantic import BaseModel, ConfigDict, Field

from . import fields
from .objects import ClassProbability

__all__ = ["PublishedClassifier", "PublishedRecord", "PublishedTimes"]


class PublishedClassifier(BaseModel):
    """The model that made a published classification."""

    name: str = Field(description="Name of the model")
    version: str = Field(description="Version of the model")
    feature_version: fields.FeatureVersion


class PublishedTimes(BaseModel):
    """When an alert passed through the service: Unix milliseconds, UTC."""

    alert_published: int | None = Field(
        description="Kafka's time of the alert; null where the alert's topic has none"
    )
    ingested: int = Field(description="When a worker received the alert")
    classified: int = Field(description="When the classification was made; a replay keeps it")


class PublishedRecord(BaseModel):
    """The classification of one alert.

    Fields that a later minor version of the schema adds are ignored.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: str = Field(
        description="Version of the record: major.minor; a minor version only adds fields"
    )
    survey: fields.Survey
    object_id: fields.ObjectId
    alert_id: fields.AlertId
    ra_deg: fields.RaDeg
    dec_deg: fields.DecDeg
    mjd_tai: fields.MjdTai
    band: fields.Band
    n_detections: fields.NDetections
    n_observations: fields.NObservations
    status: fields.Status
    reason: fields.Reason
    classifier: PublishedClassifier | None = Field(description=fields.CLASSIFIER)
    classifications: list[ClassProbability] = Field(description=fields.CLASSIFICATIONS)
    timestamps: PublishedTimes = Field(
        description="When the alert passed through the service: Unix milliseconds, UTC"
    )

    @property
    def id(self) -> str:
        """Qualified id of the object."""
        return f"{self.survey}:{self.object_id}"

    @property
    def top_class(self) -> str | None:
        """Most probable class; None for an abstention."""
        top = self._top()
        return None if top is None else top.class_name

    @property
    def top_class_probability(self) -> float | None:
        """Calibrated probability of `top_class`."""
        top = self._top()
        return None if top is None else top.probability

    def _top(self) -> ClassProbability | None:
        return max(self.classifications, key=lambda entry: entry.probability, default=None)
