"""Which objects, or results, a request asks for: the parameters that lists and the live stream share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from service.api.problems import Fault, ProblemError, ProblemType
from service.api.render.times import mjd_tai_of_utc
from service.core.alerts import Survey
from service.core.models.registry import ModelRegistry
from service.core.search.criteria import Criteria
from service.core.sky import Cone

__all__ = ["Moment", "SearchConditions", "Selection", "known_classes"]

LARGEST_RADIUS_ARCSEC = 36_000.0


def _moment(value: object) -> object:
    """Read a time given as MJD TAI or as ISO 8601, which without a zone is UTC."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("give MJD TAI (60000.5) or ISO 8601 (2026-11-21T12:00:00Z)") from None
    return mjd_tai_of_utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


Moment = Annotated[float, BeforeValidator(_moment), Field(ge=0, lt=1e6, allow_inf_nan=False)]
"""A time, MJD TAI in days."""


class SearchConditions(BaseModel):
    """What objects, or results, must have, whenever that is."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)

    cone: ClassVar[str] = "query"
    """Where in a request this stands."""

    survey: list[Survey] = Field([], description="One of these; may be given several times")
    class_name: str | None = Field(
        None,
        alias="class",
        max_length=64,
        description="A class, as /v1/models names them, in any case. With min_probability: it is at least "
        "that probable, and at least 0.1 or the most probable one. Without: it is the most probable one",
        examples=["Ia"],
    )
    min_probability: float | None = Field(
        None, ge=0, le=1, description="Of that class, or of the most probable one", examples=[0.5]
    )
    min_detections: int | None = Field(None, ge=0, le=1_000_000, description="At least so many detections")
    min_magnitude: float | None = Field(
        None, ge=-10, le=40, description="Latest detection so bright or fainter, AB"
    )
    max_magnitude: float | None = Field(
        None, ge=-10, le=40, description="Latest detection so bright or brighter, AB", examples=[19.0]
    )
    ra: float | None = Field(None, ge=0, le=360, description="Centre of a cone, ICRS degrees")
    dec: float | None = Field(None, ge=-90, le=90, description="Centre of a cone, ICRS degrees")
    radius_arcsec: float | None = Field(
        None, gt=0, le=LARGEST_RADIUS_ARCSEC, description="Radius of the cone, arcsec", examples=[60.0]
    )

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse a part of a cone."""
        if len({value is None for value in (self.ra, self.dec, self.radius_arcsec)}) > 1:
            raise ValueError("a cone is ra, dec and radius_arcsec, all of them")
        return self

    def criteria(self, registry: ModelRegistry) -> Criteria:
        """Give the same as the core compares it.

        Raises
        ------
        ProblemError
            There is no such class.
        """
        cone = None
        if self.ra is not None and self.dec is not None and self.radius_arcsec is not None:
            cone = Cone(self.ra, self.dec, self.radius_arcsec / 3600)
        return Criteria(
            surveys=tuple(dict.fromkeys(self.survey)),
            class_name=None
            if self.class_name is None
            else self._class(known_classes(registry), self.class_name),
            min_probability=self.min_probability,
            min_detections=self.min_detections,
            min_magnitude=self.min_magnitude,
            max_magnitude=self.max_magnitude,
            cone=cone,
        )

    def _class(self, known: Mapping[str, str], name: str) -> str:
        found = known.get(name.lower())
        if found is None:
            message = f"no class {name!r}; there are {', '.join(sorted(known.values())) or 'none yet'}"
            fault = Fault(location=f"{self.cone}.class", message=message)
            raise ProblemError(ProblemType.INVALID_REQUEST, message, errors=[fault])
        return found


class Selection(SearchConditions):
    """What objects, or results, must have, and when."""

    since: Moment | None = Field(
        None, description="Latest alert at this time or later: MJD TAI, or ISO 8601 (UTC without a zone)"
    )
    until: Moment | None = Field(None, description="Latest alert at this time or earlier")

    def criteria(self, registry: ModelRegistry) -> Criteria:
        """Give the same as the core compares it.

        Raises
        ------
        ProblemError
            There is no such class.
        """
        return replace(super().criteria(registry), since_mjd_tai=self.since, until_mjd_tai=self.until)


def known_classes(registry: ModelRegistry) -> Mapping[str, str]:
    """Give every class that a known model has: its name in lower case to its name.

    Raises
    ------
    StoreUnavailableError
        The store does not answer.
    """
    names: Sequence[str] = [name for model in registry.all() for _, name in model.classifier.classes]
    return {name.lower(): name for name in names}
