"""Endpoints about named filters, which users store and follow by a topic or by the live stream."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Response

from service.api.context import Context, ContextDependency
from service.api.criteria import ARCSEC_PER_DEG, criteria_of
from service.api.problems import ProblemError, ProblemType, documented
from service.api.security import Admin
from service.client.schemas.filters import FilterDefinition, FilterList, StoredFilter
from service.core.search.filters import FilterSpec

__all__ = ["MAX_FILTERS", "router"]

router = APIRouter(prefix="/v1/filters", tags=["filters"])

MAX_FILTERS = 200
"""Every filter is evaluated for every result."""

Name = Annotated[str, Path(max_length=64, description="Name of a filter", examples=["young-ia"])]


@router.get("", responses=documented(ProblemType.STORE_UNAVAILABLE), summary="Stored filters")
def get_filters(context: ContextDependency) -> FilterList:
    """Return all filters, by name."""
    return FilterList(filters=[_stored(spec) for spec in context.store.filters.all()])


@router.get(
    "/{name}",
    responses=documented(ProblemType.UNKNOWN_FILTER, ProblemType.STORE_UNAVAILABLE),
    summary="One filter",
)
def get_filter(name: Name, context: ContextDependency) -> StoredFilter:
    """Return one filter."""
    for spec in context.store.filters.all():
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
def create_filter(request: Annotated[FilterDefinition, Body()], context: ContextDependency) -> StoredFilter:
    """Store a filter; it applies to results a few seconds later.

    `nightjar filter-worker` creates its topic and publishes there. Storing the same filter again is no error.
    """
    spec = _spec(request, context)
    known = {stored.name: stored for stored in context.store.filters.all()}
    if known.get(spec.name, spec) != spec:
        raise ProblemError(
            ProblemType.FILTER_EXISTS, f"another filter is named {spec.name!r}: remove it first"
        )
    if spec.name not in known and len(known) >= MAX_FILTERS:
        raise ProblemError(ProblemType.FILTER_EXISTS, f"{MAX_FILTERS} filters are stored: remove one first")
    context.store.filters.put(spec)
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
def remove_filter(name: Name, context: ContextDependency) -> None:
    """Remove a filter; its topic stays, and nothing more is published there."""
    if not context.store.filters.remove(name):
        raise _unknown(name)


def _unknown(name: str) -> ProblemError:
    return ProblemError(ProblemType.UNKNOWN_FILTER, f"no filter {name!r}; see /v1/filters")


def _spec(request: FilterDefinition, context: Context) -> FilterSpec:
    return FilterSpec(
        name=request.name,
        criteria=criteria_of(request, context.registry, location="body"),
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
        survey=[survey.value for survey in criteria.surveys],
        class_name=criteria.class_name,
        min_probability=criteria.min_probability,
        min_detections=criteria.min_detections,
        min_mag=criteria.min_mag,
        max_mag=criteria.max_mag,
        ra=cone.ra_deg if cone else None,
        dec=cone.dec_deg if cone else None,
        radius_arcsec=round(cone.radius_deg * ARCSEC_PER_DEG, 6) if cone else None,
        rising=spec.rising,
        stable_epochs=spec.stable_epochs,
        first_time=spec.first_time,
        topic=spec.topic,
        stream=f"/v1/stream?filter={spec.name}",
    )
