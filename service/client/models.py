"""What the client gives: the API's own models, which can also be had as astropy tables."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.api.routes.search import ObjectItem
from service.api.schemas import objects as api
from service.client.tables import epochs_table, observations_table, rows_table
from service.core.alerts import Survey

__all__ = ["Candidate", "Candidates", "History", "LightCurve", "Published"]


class Candidate(ObjectItem):
    """An object as lists and the stream give it."""


class Candidates(list[Candidate]):
    """Objects in the order they were found."""

    def table(self) -> Any:
        """Give an `astropy.table.QTable`, one row per object, one column ``p_<class>`` per class.

        Raises
        ------
        ImportError
            Astropy is not installed.
        """
        names = [name for name in Candidate.model_fields if name != "probabilities"]
        rows = [
            one.model_dump(mode="json", exclude={"probabilities"})
            | {f"p_{name}": p for name, p in one.probabilities.items()}
            for one in self
        ]
        classes = dict.fromkeys(name for row in rows for name in row if name not in names)
        return rows_table(rows, [*names, *classes], {})


class LightCurve(api.LightCurve):
    """The light curve of an object, by time."""

    def table(self) -> Any:
        """Give an `astropy.table.QTable`, one row per observation, with units.

        Raises
        ------
        ImportError
            Astropy is not installed.
        """
        return observations_table(self.observations, {"id": self.id})


class History(api.ObjectHistory):
    """Every stored classification of an object, by time of the alert."""

    def table(self) -> Any:
        """Give an `astropy.table.QTable`, one row per alert, columns ``p_<class>`` and ``raw_<class>``.

        Raises
        ------
        ImportError
            Astropy is not installed.
        """
        return epochs_table(self.classifications, {"id": self.id})


class PublishedClassifier(BaseModel):
    """The model that made a published classification."""

    name: str
    version: str
    feature_version: int


class PublishedTimes(BaseModel):
    """When an alert passed through, Unix milliseconds, UTC."""

    alert_published: int | None = Field(description="Kafka's time of the alert")
    ingested: int = Field(description="A worker took it up")
    classified: int = Field(description="The classification was made")


class Published(BaseModel):
    """One record of the output topic: what the service says about one alert.

    Fields that a later minor version of the schema adds are passed over.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: str
    survey: Survey
    object_id: str
    alert_id: int
    ra_deg: float | None
    dec_deg: float | None
    mjd_tai: float
    band: api.BandName
    n_detections: int
    n_observations: int
    status: api.Status
    reason: str | None
    classifier: PublishedClassifier | None
    classifications: Sequence[api.ClassProbability]
    timestamps: PublishedTimes

    @property
    def best(self) -> api.ClassProbability | None:
        """The most probable class; None for an abstention."""
        return max(self.classifications, key=lambda one: one.probability, default=None)
