"""The endpoint that finds objects by what they are."""

import base64
from datetime import datetime
from typing import Annotated, Any, Self

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from service.api.caching import IfNoneMatch, with_etag
from service.api.context import Context, ContextDependency
from service.api.problems import Fault, ProblemError, ProblemType, documented
from service.api.render.json import json_response
from service.api.render.summaries import class_names, items, model_names
from service.api.render.tables import TABLES, Format, flat, table_response
from service.api.schemas.objects import BandName, Status
from service.api.search import Page, Sort, TooManyError, find
from service.api.search import Query as SearchQuery
from service.api.selection import Selection, known_classes
from service.core.alerts import Survey
from service.core.search.criteria import Criteria, IndexEntry

__all__ = ["ObjectItem", "ObjectList", "router"]

router = APIRouter(prefix="/v1", tags=["objects"])

MOST_LISTED = 1000

_ITEM: dict[str, Any] = {
    "object_id": "ztf:ZTF21abiuvdk",
    "survey": "ztf",
    "ra_deg": 290.1523,
    "dec_deg": 34.2741,
    "n_detections": 9,
    "last_mjd_tai": 59390.225735,
    "last_time": "2021-06-25T05:24:26.504Z",
    "first_mjd_tai": 59380.301412,
    "first_time": "2021-06-15T07:13:24.997Z",
    "age_days": 9.924323,
    "magnitude": 19.6,
    "band": "g",
    "status": "classified",
    "reason": None,
    "best_class": "Ia",
    "best_probability": 0.91,
    "probabilities": {"Ia": 0.91, "II": 0.09},
    "model": "nightjar-ztf 1.0.0",
    "alert_id": 1636225735315015002,
    "distance_arcsec": None,
}


class ObjectItem(BaseModel):
    """An object in a list."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_ITEM]})

    object_id: str = Field(description="The qualified id: survey, colon, the survey's own name")
    survey: Survey
    ra_deg: float | None = Field(description="Right ascension of the latest alert, ICRS degrees")
    dec_deg: float | None = Field(description="Declination of the latest alert, ICRS degrees")
    n_detections: int = Field(ge=0, description="Detections in the light curve")
    last_mjd_tai: float | None = Field(description="Time of the latest alert, MJD TAI, days")
    last_time: datetime | None = Field(description="The same time in UTC")
    first_mjd_tai: float | None = Field(description="Time of the first detection, MJD TAI, days")
    first_time: datetime | None = Field(description="The same time in UTC")
    age_days: float | None = Field(description="From the first detection to the latest alert, days")
    magnitude: float | None = Field(
        description="AB magnitude of the latest detection; null where its flux is not positive"
    )
    band: BandName | None = Field(description="Passband of the latest detection")
    status: Status | None = Field(description="What became of the latest alert")
    reason: str | None = Field(description="Why it was not classified; null where it was")
    best_class: str | None = Field(
        description="The most probable class as of the latest alert that was classified; null where none was"
    )
    best_probability: float | None = Field(description="Its probability, calibrated")
    probabilities: dict[str, float] = Field(description="Class to probability; empty where none was")
    model: str | None = Field(description="Name and version of the model that said so")
    alert_id: int | None = Field(description="The alert that was classified; a 64-bit integer")
    distance_arcsec: float | None = Field(description="From the cone's centre; null without a cone")


class ObjectList(BaseModel):
    """One page of objects."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"examples": [{"objects": [_ITEM], "next_cursor": None}]}
    )

    objects: list[ObjectItem]
    next_cursor: str | None = Field(
        description="Give it as `cursor`, all else unchanged, for the next page; null where there is none. "
        "A page before may be short, or empty"
    )


class Listing(Selection):
    """The parameters of a search."""

    sort: Sort | None = Field(
        None,
        description="-last_alert: latest alert first; -probability: of the class asked for, or the most "
        "probable one, greatest first; distance: nearest first. By default distance with a cone, else "
        "-last_alert",
    )
    form: Format = Field("json", alias="format", description="json, or a table: csv, votable or parquet")
    limit: int = Field(100, ge=1, le=MOST_LISTED, description="Objects per page")
    cursor: str | None = Field(None, max_length=200, description="next_cursor of the page before")

    @model_validator(mode="after")
    def check_sort(self) -> Self:
        """Refuse a distance from nowhere."""
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
    wanted: Annotated[Listing, Query()],
    needs: ContextDependency,
    request: Request,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Give objects that have all that is asked for, one page at a time; tables name the next in `Connection`.

    An object that changes while pages are read may come twice, or not at all where it moves to the front.
    """
    criteria = wanted.criteria(needs.registry)
    page = _page(wanted, criteria, needs)
    objects = items(
        page.keys,
        page.summaries,
        class_names(needs.registry),
        model_names(needs.registry),
        criteria,
    )
    cursor = None if page.next_after is None else _write_cursor(wanted.order, page.next_after)
    if wanted.form == "json":
        return with_etag(json_response({"objects": objects, "next_cursor": cursor}), if_none_match)
    headers = (
        {} if cursor is None else {"Link": f'<{request.url.include_query_params(cursor=cursor)}>; rel="next"'}
    )
    return table_response([flat(one) for one in objects], ObjectItem, wanted.form, "objects", headers)


def _page(wanted: Listing, criteria: Criteria, needs: Context) -> Page:
    query = SearchQuery(
        criteria=criteria,
        sort=wanted.order,
        limit=wanted.limit,
        after=None if wanted.cursor is None else _read_cursor(wanted.order, wanted.cursor),
        class_names=lambda: tuple(known_classes(needs.registry).values()),
    )
    try:
        return find(query, needs.store.index, class_names(needs.registry))
    except TooManyError as error:
        fault = Fault(location="query.radius_arcsec", message=str(error))
        raise ProblemError(ProblemType.INVALID_REQUEST, str(error), errors=[fault]) from error


def _write_cursor(sort: Sort, place: IndexEntry) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([sort, *place])).decode().rstrip("=")


def _read_cursor(sort: Sort, text: str) -> IndexEntry:
    try:
        made_for, score, key = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if made_for == sort and isinstance(key, str):
            return IndexEntry(float(score), key)
    except (ValueError, TypeError):
        pass
    message = f"not a next_cursor of a list sorted by {sort}"
    fault = Fault(location="query.cursor", message=message)
    raise ProblemError(ProblemType.INVALID_REQUEST, message, errors=[fault])
