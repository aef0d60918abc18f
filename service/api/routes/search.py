"""The endpoint that finds objects."""

import base64
from typing import Annotated, Any, Self

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import Field, model_validator
from starlette.responses import Response

from service.api.caching import IfNoneMatch, with_etag
from service.api.context import Context, ContextDependency
from service.api.criteria import ARCSEC_PER_DEG, SearchParameters, criteria_of, known_classes
from service.api.problems import ProblemError, ProblemType, documented
from service.api.render.json import json_response
from service.api.render.summaries import class_names, classifiers_of, object_fields
from service.api.render.tables import TABLES, Format, table_response
from service.api.search import Page, Sort, TooManyError, find
from service.api.search import Query as SearchQuery
from service.client.schemas.objects import ListedObject, ObjectList
from service.client.schemas.problems import Fault
from service.core.search.criteria import Criteria, IndexEntry

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["objects"])

MAX_LISTED = 1000
DISTANCE_DECIMALS = 3


class ListParameters(SearchParameters):
    """The parameters of a search."""

    sort: Sort | None = Field(
        None,
        description="-last_alert: latest alert first; -probability: greatest probability first, of the class "
        "asked for or of the most probable one; distance: nearest first. By default distance with a cone, "
        "else -last_alert",
    )
    form: Format = Field("json", alias="format", description="json, or a table: csv, votable or parquet")
    limit: int = Field(100, ge=1, le=MAX_LISTED, description="Objects per page")
    cursor: str | None = Field(None, max_length=200, description="next_cursor of the previous page")

    @model_validator(mode="after")
    def check_sort(self) -> Self:
        """Refuse a distance without a cone."""
        if self.sort == "distance" and self.ra is None:
            raise ValueError("sort=distance needs a cone: ra, dec and radius_arcsec")
        return self

    @property
    def order(self) -> Sort:
        """The order of the objects."""
        return self.sort or ("distance" if self.ra is not None else "-last_alert")


@router.get(
    "/objects",
    responses=documented(
        ProblemType.INVALID_REQUEST, ProblemType.FORMAT_UNAVAILABLE, ProblemType.STORE_UNAVAILABLE
    )
    | TABLES,
    response_model=ObjectList,
    summary="Find objects",
)
def list_objects(
    parameters: Annotated[ListParameters, Query()],
    context: ContextDependency,
    request: Request,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return the objects that meet every condition, page by page.

    The header `Link` of a table names the next page. An object that changes while pages are read may appear
    twice, or be missed where it moves to the front.
    """
    criteria = criteria_of(parameters, context.registry)
    page = _page(parameters, criteria, context)
    objects = _objects(page, criteria, context)
    cursor = None if page.next_after is None else _write_cursor(parameters.order, page.next_after)
    if parameters.form == "json":
        return with_etag(json_response({"objects": objects, "next_cursor": cursor}), if_none_match)
    headers = (
        {} if cursor is None else {"Link": f'<{request.url.include_query_params(cursor=cursor)}>; rel="next"'}
    )
    return table_response(objects, ListedObject, parameters.form, "objects", headers)


def _objects(page: Page, criteria: Criteria, context: Context) -> list[dict[str, Any]]:
    names, classifier_of = class_names(context.registry), classifiers_of(context.registry)
    distances = (criteria.distance_deg(page.summaries) * ARCSEC_PER_DEG).tolist()
    return [
        fields | {"distance_arcsec": None if criteria.cone is None else round(distance, DISTANCE_DECIMALS)}
        for fields, distance in zip(
            object_fields(page.keys, page.summaries, names, classifier_of), distances, strict=True
        )
    ]


def _page(parameters: ListParameters, criteria: Criteria, context: Context) -> Page:
    query = SearchQuery(
        criteria=criteria,
        sort=parameters.order,
        limit=parameters.limit,
        after=None if parameters.cursor is None else _read_cursor(parameters.order, parameters.cursor),
        class_names=lambda: tuple(known_classes(context.registry).values()),
    )
    try:
        return find(query, context.store.index, class_names(context.registry))
    except TooManyError as error:
        fault = Fault(location="query.radius_arcsec", message=str(error))
        raise ProblemError(ProblemType.INVALID_REQUEST, str(error), errors=[fault]) from error


def _write_cursor(sort: Sort, entry: IndexEntry) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([sort, *entry])).decode().rstrip("=")


def _read_cursor(sort: Sort, text: str) -> IndexEntry:
    try:
        sorted_by, score, key = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if sorted_by == sort and isinstance(key, str):
            return IndexEntry(float(score), key)
    except (ValueError, TypeError):
        pass
    message = f"not the next_cursor of a list sorted by {sort}"
    fault = Fault(location="query.cursor", message=message)
    raise ProblemError(ProblemType.INVALID_REQUEST, message, errors=[fault])
