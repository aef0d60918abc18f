"""Named filters, which users store and follow by a topic or by the live stream."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .search import CriteriaParameters

__all__ = ["FilterDefinition", "FilterList", "StoredFilter"]

NAME_PATTERN = "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"

_DEFINITION: dict[str, Any] = {
    "name": "young-ia",
    "description": "Likely Ia that brighten",
    "survey": ["ztf"],
    "class": "Ia",
    "min_probability": 0.8,
    "max_mag": 19.0,
    "rising": True,
    "stable_epochs": 2,
    "first_time": True,
}
_STORED: dict[str, Any] = {
    "name": "young-ia",
    "description": "Likely Ia that brighten",
    "survey": ["ztf"],
    "class": "Ia",
    "min_probability": 0.8,
    "min_detections": None,
    "min_mag": None,
    "max_mag": 19.0,
    "ra": None,
    "dec": None,
    "radius_arcsec": None,
    "rising": True,
    "stable_epochs": 2,
    "first_time": True,
    "topic": "nightjar.filter.young-ia",
    "stream": "/v1/stream?filter=young-ia",
}


class FilterDefinition(CriteriaParameters):
    """A filter: a result passes that was classified and meets every condition."""

    model_config = ConfigDict(json_schema_extra={"examples": [_DEFINITION]})

    name: str = Field(
        pattern=NAME_PATTERN, description="Lower-case letters, digits and hyphens", examples=["young-ia"]
    )
    description: str = Field("", max_length=300, description="Note for people")
    rising: bool = Field(
        False,
        description="The alert's detection is brighter than the last one in its band, by more than 2 sigma",
    )
    stable_epochs: int = Field(
        0,
        ge=0,
        le=50,
        description="So many results in a row, up to this one, have the class asked for, or else the same "
        "one, as the most probable; 0 for no such condition",
    )
    first_time: bool = Field(
        False, description="No earlier result of the object has the class and probability asked for"
    )

    @model_validator(mode="after")
    def check_conditions(self) -> Self:
        """Refuse conditions that have no meaning."""
        if self.first_time and self.class_name is None and self.min_probability is None:
            raise ValueError("first_time needs a class or min_probability")
        conditions = self.model_dump(exclude={"name", "description"}, exclude_defaults=True)
        if not conditions:
            raise ValueError("a filter needs a condition; without one it would repeat the output topic")
        return self


class StoredFilter(FilterDefinition):
    """A filter that is stored."""

    model_config = ConfigDict(json_schema_extra={"examples": [_STORED]})

    topic: str = Field(description="Kafka topic of the results that pass")
    stream: str = Field(description="Path of the live stream of the results that pass")


class FilterList(BaseModel):
    """All stored filters."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"filters": [_STORED]}]}, serialize_by_alias=True
    )

    filters: list[StoredFilter]
