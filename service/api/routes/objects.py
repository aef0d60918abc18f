"""Endpoints about objects.

Most are plain functions, which the framework runs in its pool of threads: each is one round trip to Redis
and then arithmetic. An asynchronous client was measured to bring nothing for such calls, and would be a
second adapter to keep right beside the worker's. What is asked most, one object, shares its round trips and
is answered where the request came in: `service.api.request_coalescing`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Body, Path
from pydantic import BaseModel
from starlette.responses import Response

from service.api.caching import IfNoneMatch, conditional_response, state_tag
from service.api.context import Context, ContextDependency
from service.api.problems import Fault, ProblemError, ProblemType, documented
from service.api.render import views
from service.api.render.tables import TABLES, AskedFormat, flat, table_response
from service.api.schemas.objects import (
    Epoch,
    LightCurve,
    LookupAnswer,
    LookupRequest,
    ObjectHistory,
    ObjectSummary,
    Observation,
)
from service.core.alerts import Survey, object_key
from service.core.ids import FORMS, Candidate, InvalidObjectIdError, parse_object_id
from service.core.ports.store import ObjectStore
from service.core.state.object_state import ObjectState, StateError, decode_state

__all__ = ["ONE_OBJECT", "ObjectId", "find_object", "router"]

Found = tuple[Survey, str, ObjectState]

router = APIRouter(prefix="/v1/objects", tags=["objects"])

ObjectId = Annotated[
    str, Path(description=f"Object id: {FORMS}", examples=["ztf:ZTF21abiuvdk"], max_length=64)
]
ONE_OBJECT = documented(
    ProblemType.INVALID_OBJECT_ID, ProblemType.UNKNOWN_OBJECT, ProblemType.STORE_UNAVAILABLE
)


@router.get(
    "/{object_id}",
    responses=ONE_OBJECT,
    response_model=ObjectSummary,
    summary="Latest class vector and summary",
)
async def get_object(
    object_id: ObjectId, needs: ContextDependency, if_none_match: IfNoneMatch = None
) -> Response:
    """Give an object's position, counts, and its latest class vector."""
    found = await _find_any_case(object_id, needs)
    state = found[2]

    def answer() -> Response:
        tag = state_tag(state, "object")
        return conditional_response(
            if_none_match, tag, lambda headers: _json(views.summary(*found, needs.registry), headers)
        )

    if needs.registry.knows(state.history.entries["model"].tolist()):
        return answer()
    return await anyio.to_thread.run_sync(answer)  # the store is asked for models


@router.get(
    "/{object_id}/lightcurve",
    responses=ONE_OBJECT | TABLES,
    response_model=LightCurve,
    summary="Light curve",
)
def get_light_curve(
    object_id: ObjectId,
    needs: ContextDependency,
    form: AskedFormat = "json",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Give all observations of an object: detections, forced photometry, upper limits."""
    found = find_object(object_id, needs.store)

    def answer(headers: Mapping[str, str]) -> Response:
        curve = views.light_curve(*found)
        if form == "json":
            return _json(curve, headers)
        # With the object's name: tables of several can be put together, and `nightjar classify` reads them.
        rows = [{"object_id": curve.object_id, **dict(one)} for one in curve.observations]
        return table_response(rows, Observation, form, f"{curve.id} lightcurve", headers)

    return conditional_response(if_none_match, state_tag(found[2], "lightcurve", form), answer)


@router.get(
    "/{object_id}/classifications",
    responses=ONE_OBJECT | TABLES,
    response_model=ObjectHistory,
    summary="Every stored classification",
)
def get_classifications(
    object_id: ObjectId,
    needs: ContextDependency,
    form: AskedFormat = "json",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Give the classification of an object as of each of its alerts."""
    found = find_object(object_id, needs.store)

    def answer(headers: Mapping[str, str]) -> Response:
        history = views.object_history(*found, needs.registry, most_kept=needs.settings.history_length)
        if form == "json":
            return _json(history, headers)
        rows = [flat(one.model_dump()) for one in history.classifications]
        return table_response(rows, Epoch, form, f"{history.id} classifications", headers)

    return conditional_response(if_none_match, state_tag(found[2], "classifications", form), answer)


@router.post(
    "/lookup",
    responses=documented(
        ProblemType.INVALID_REQUEST, ProblemType.FORMAT_UNAVAILABLE, ProblemType.STORE_UNAVAILABLE
    )
    | TABLES,
    response_model=LookupAnswer,
    summary="Many objects at once",
)
def look_up(
    request: Annotated[LookupRequest, Body()], needs: ContextDependency, form: AskedFormat = "json"
) -> Response:
    """Give the summaries of many objects; a table has those that are known."""
    ids = list(dict.fromkeys(request.ids))
    found = _find_all(_parse_all(ids), needs.store)
    objects = [views.summary(*one, needs.registry) for one in found if one]
    if form != "json":
        return table_response([flat(one.model_dump()) for one in objects], ObjectSummary, form, "objects", {})
    unknown = [text for text, one in zip(ids, found, strict=True) if not one]
    return _json(LookupAnswer(objects=objects, unknown=unknown), {})


def _json(answer: BaseModel, headers: Mapping[str, str]) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json", headers=dict(headers))


def find_object(text: str, store: ObjectStore) -> Found:
    """Read the object that an id means.

    Raises
    ------
    ProblemError
        The id is none, or no object of that id is known.
    """
    candidates = _parse(text)
    return _is_stored(candidates, store.load([object_key(*candidate) for candidate in candidates]))


async def _find_any_case(text: str, needs: Context) -> Found:
    """Read an object as `find_object` does, in one round trip with what is asked for meanwhile."""
    candidates = _parse(text)
    return _is_stored(
        candidates, await needs.loader.load([object_key(*candidate) for candidate in candidates])
    )


def _parse(text: str) -> tuple[Candidate, ...]:
    try:
        return parse_object_id(text)
    except InvalidObjectIdError as error:
        raise ProblemError(ProblemType.INVALID_OBJECT_ID, str(error)) from error


def _is_stored(candidates: Sequence[Candidate], blobs: Sequence[bytes | None]) -> Found:
    found = _first(list(zip(candidates, blobs, strict=True)))
    if found is None:
        names = " or ".join(object_key(*candidate) for candidate in candidates)
        raise ProblemError(ProblemType.UNKNOWN_OBJECT, f"no object {names} is known")
    return found


def _parse_all(ids: Sequence[str]) -> list[tuple[Candidate, ...]]:
    parsed, faults = [], []
    for index, text in enumerate(ids):
        try:
            parsed.append(parse_object_id(text))
        except InvalidObjectIdError as error:
            faults.append(Fault(location=f"body.ids.{index}", message=str(error)))
    if faults:
        detail = f"{len(faults)} of {len(ids)} ids are not object ids"
        raise ProblemError(ProblemType.INVALID_REQUEST, detail, errors=faults)
    return parsed


def _find_all(wanted: Sequence[tuple[Candidate, ...]], store: ObjectStore) -> list[Found | None]:
    """Find the first candidate of each that is stored, all in one round trip."""
    blobs = iter(store.load([object_key(*candidate) for candidates in wanted for candidate in candidates]))
    return [_first([(candidate, next(blobs)) for candidate in candidates]) for candidates in wanted]


def _first(loaded: Sequence[tuple[Candidate, bytes | None]]) -> Found | None:
    for (survey, object_id), blob in loaded:
        if blob is not None:
            try:
                return survey, object_id, decode_state(blob)
            except StateError as error:
                detail = f"the stored state of {object_key(survey, object_id)}: {error}"
                raise ProblemError(ProblemType.UNREADABLE_STATE, detail) from error
    return None
