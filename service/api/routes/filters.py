"""Endpoints about named filters, which users store and follow by a topic or by the live stream."""

from typing import Annotated, Any, ClassVar, Self

from fastapi import APIRouter, Body, Path, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.api.context import ContextDependency
from service.api.problems import ProblemError, ProblemType, documented
from service.api.security import Admin
from service.api.selection import SearchConditions
from service.core.search.filters import FilterSpec

__all__ = ["FilterDefinition", "FilterList", "StoredFilter", "router"]

router = APIRouter(prefix="/v1/filters", tags=["filters"])

MOST_FILTERS = 200
"""Each is asked about every result."""

NAME_PATTERN = "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"

_DEFINITION: dict[str, Any] = {
    "name": "young-ia",
    "description": "Likely Ia that brighten",
    "survey": ["ztf"],
    "class": "Ia",
    "min_probability": 0.8,
    "max_magnitude": 19.0,
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
    "min_magnitude": None,
    "max_magnitude": 19.0,
    "ra": None,
    "dec": None,
    "radius_arcsec": None,
    "rising": True,
    "stable_epochs": 2,
    "first_time": True,
    "topic": "nightjar.filter.young-ia",
    "stream": "/v1/stream?filter=young-ia",
}


class FilterDefinition(SearchConditions):
    """A filter: a result passes that was classified and has all that is asked for."""

    model_config = ConfigDict(json_schema_extra={"examples": [_DEFINITION]})

    place: ClassVar[str] = "body"

    name: str = Field(
        pattern=NAME_PATTERN, description="Lower-case letters, digits and hyphens", examples=["young-ia"]
    )
    description: str = Field("", max_length=300, description="For people")
    rising: bool = Field(
        False,
        description="The alert's detection is brighter, by more than 2 sigma, than its band's one before",
    )
    stable_epochs: int = Field(
        0,
        ge=0,
        le=50,
        description="So many results in a row, this one the last, have the class asked for, or else the same "
        "one, as the most probable; 0 for no such condition",
    )
    first_time: bool = Field(
        False, description="No earlier result of the object has the class and probability asked for"
    )

    @model_validator(mode="after")
    def check_conditions(self) -> Self:
        """Refuse what has no meaning."""
        if self.first_time and self.class_name is None and self.min_probability is None:
            raise ValueError("first_time needs a class or min_probability")
        asked = self.model_dump(exclude={"name", "description"}, exclude_defaults=True)
        if not asked:
            raise ValueError("a filter without a condition is the topic of results itself")
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


Name = Annotated[str, Path(max_length=64, description="Name of a filter", examples=["young-ia"])]


@router.get("", responses=documented(ProblemType.STORE_UNAVAILABLE), summary="Stored filters")
def get_filters(needs: ContextDependency) -> FilterList:
    """List the filters."""
    return FilterList(filters=[_stored(spec) for spec in needs.store.filters.all()])


@router.get(
    "/{name}",
    responses=documented(ProblemType.UNKNOWN_FILTER, ProblemType.STORE_UNAVAILABLE),
    summary="One filter",
)
def get_filter(name: Name, needs: ContextDependency) -> StoredFilter:
    """Give one filter."""
    for spec in needs.store.filters.all():
        if spec.name == name:
            return _stored(spec)
    raise _unknown(name)


@router.post(
    "",
    dependencies=[Admin],
    status_code=201,
    responses=documented(
        ProblemType.UNAUTHORIZED,
        ProblemType.WRITES_DISABLED,
        ProblemType.FILTER_EXISTS,
        ProblemType.INVALID_REQUEST,
        ProblemType.STORE_UNAVAILABLE,
    ),
    summary="Store a filter",
)
def create_filter(request: Annotated[FilterDefinition, Body()], needs: ContextDependency) -> StoredFilter:
    """Store a filter; it applies to results from a few seconds later on.

    Its topic is made by `nightjar filter`, which publishes there. Storing the same filter again is no error.
    """
    spec = _spec(request, needs)
    known = {one.name: one for one in needs.store.filters.all()}
    if known.get(spec.name, spec) != spec:
        raise ProblemError(
            ProblemType.FILTER_EXISTS, f"there is another filter {spec.name!r}: remove it first"
        )
    if spec.name not in known and len(known) >= MOST_FILTERS:
        raise ProblemError(ProblemType.FILTER_EXISTS, f"there are {MOST_FILTERS} filters: remove one first")
    needs.store.filters.put(spec)
    return _stored(spec)


@router.delete(
    "/{name}",
    dependencies=[Admin],
    status_code=204,
    response_class=Response,
    responses=documented(
        ProblemType.UNAUTHORIZED,
        ProblemType.WRITES_DISABLED,
        ProblemType.UNKNOWN_FILTER,
        ProblemType.STORE_UNAVAILABLE,
    ),
    summary="Remove a filter",
)
def remove_filter(name: Name, needs: ContextDependency) -> None:
    """Remove a filter; its topic stays, and nothing more comes there."""
    if not needs.store.filters.remove(name):
        raise _unknown(name)


def _unknown(name: str) -> ProblemError:
    return ProblemError(ProblemType.UNKNOWN_FILTER, f"no filter {name!r}; see /v1/filters")


def _spec(request: FilterDefinition, needs: ContextDependency) -> FilterSpec:
    return FilterSpec(
        name=request.name,
        criteria=request.criteria(needs.registry),
        rising=request.rising,
        stable_epochs=request.stable_epochs,
        first_time=request.first_time,
        description=request.description,
    )


def _stored(spec: FilterSpec) -> StoredFilter:
    criteria = spec.criteria
    cone = criteria.cone
    return StoredFilter(
        name=spec.name,
        description=spec.description,
        survey=list(criteria.surveys),
        class_name=criteria.class_name,
        min_probability=criteria.min_probability,
        min_detections=criteria.min_detections,
        min_magnitude=criteria.min_magnitude,
        max_magnitude=criteria.max_magnitude,
        ra=cone.ra_deg if cone else None,
        dec=cone.dec_deg if cone else None,
        radius_arcsec=round(cone.radius_deg * 3600, 6) if cone else None,
        rising=spec.rising,
        stable_epochs=spec.stable_epochs,
        first_time=spec.first_time,
        topic=spec.topic,
        stream=f"/v1/stream?filter={spec.name}",
    )
