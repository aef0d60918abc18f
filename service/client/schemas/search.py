"""The conditions of a search, of the live stream and of stored filters, as a request states them."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from . import fields

__all__ = ["MAX_RADIUS_ARCSEC", "MIN_SEARCHED_PROBABILITY", "CriteriaParameters"]

MAX_RADIUS_ARCSEC = 36_000.0
MIN_SEARCHED_PROBABILITY = 0.1
"""A class is found by a `min_probability` below this only where it is the most probable one."""


class CriteriaParameters(BaseModel):
    """Conditions on objects, or results; None and empty let all pass."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)

    survey: list[fields.SurveyName] = Field(
        [], description="One of these surveys; may be given several times"
    )
    class_name: str | None = Field(
        None,
        alias="class",
        max_length=64,
        description="A class, as /v1/models names them, in any case. With min_probability: it is at least "
        "that probable, and at least 0.1 or the most probable one. Without: it is the most probable one",
        examples=["Ia"],
    )
    min_probability: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Least probability of that class, or of the most probable one",
        examples=[0.5],
    )
    min_detections: int | None = Field(None, ge=0, le=1_000_000, description="Least n_detections")
    min_mag: float | None = Field(
        None, ge=-10, le=40, description="Least last_detection_mag: so bright or fainter"
    )
    max_mag: float | None = Field(
        None, ge=-10, le=40, description="Greatest last_detection_mag: so bright or brighter", examples=[19.0]
    )
    ra: float | None = Field(
        None, ge=0, le=360, description="Centre of a cone, right ascension, ICRS degrees"
    )
    dec: float | None = Field(None, ge=-90, le=90, description="Centre of a cone, declination, ICRS degrees")
    radius_arcsec: float | None = Field(
        None, gt=0, le=MAX_RADIUS_ARCSEC, description="Radius of the cone, arcsec", examples=[60.0]
    )

    @model_validator(mode="after")
    def check_cone(self) -> Self:
        """Refuse a part of a cone."""
        if len({value is None for value in (self.ra, self.dec, self.radius_arcsec)}) > 1:
            raise ValueError("a cone needs all of ra, dec and radius_arcsec")
        return self
