"""Endpoints about objects.

Most are plain functions, which the framework runs in its thread pool: each is one round trip to Redis and
then arithmetic. An asynchronous client was measured to gain nothing for such calls, and would be a second
adapter to maintain besides the worker's. The most frequent request, one object, shares round trips and is
answered in the event loop: `service.api.request_coalescing`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Body, Path
from pydantic import BaseModel
from starlette.responses import Response

from service.api.caching import IfNoneMatch, conditional_response, state_tag
from service.api.context import Context, ContextDependency
from service.api.problems import ProblemError, ProblemType, documented
from service.api.render import views
from service.api.render.tables import TABLES, FormatParameter, table_response
from service.client.schemas.objects import (
    Epoch,
    LightCurve,
    LookupAnswer,
    LookupRequest,
    ObjectHistory,
    ObjectSummary,
    Observation,
)
from service.client.schemas.problems import Fault
from service.core.alerts import Survey, object_key
from service.core.ids import FORMS, Candidate, InvalidObjectIdError, parse_object_id
from service.core.ports.store import ObjectStore
from service.core.state.object_state import ObjectState, StateError, decode_state

__all__ = ["ONE_OBJECT", "ObjectId", "find_object", "router"]

StoredObject = tuple[Survey, str, ObjectState]
"""Survey, the survey's own name, and state."""

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
    object_id: ObjectId, context: ContextDependency, if_none_match: IfNoneMatch = None
) -> Response:
    """Return an object's position, counts, and latest class vector."""
    stored = await _find_coalesced(object_id, context)
    state = stored[2]

    def answer() -> Response:
        tag = state_tag(state, "object")
        return conditional_response(
            if_none_match, tag, lambda headers: _json(views.summary(*stored, context.registry), headers)
        )

    if context.registry.knows(state.history.entries["model"].tolist()):
        return answer()
    return await anyio.to_thread.run_sync(answer)  # it reads models from the store


@router.get(
    "/{object_id}/lightcurve",
    responses=ONE_OBJECT | TABLES,
    response_model=LightCurve,
    summary="Light curve",
)
def get_light_curve(
    object_id: ObjectId,
    context: ContextDependency,
    form: FormatParameter = "json",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return all observations of an object: detections, forced photometry, upper limits."""
    stored = find_object(object_id, context.store)

    def answer(headers: Mapping[str, str]) -> Response:
        curve = views.light_curve(*stored)
        if form == "json":
            return _json(curve, headers)
        # With the object's names: tables of several objects can be joined, and `nightjar classify` reads
        # them.
        rows = [_names(curve) | dict(observation) for observation in curve.observations]
        return table_response(rows, Observation, form, f"{curve.id} lightcurve", headers)

    return conditional_response(if_none_match, state_tag(stored[2], "lightcurve", form), answer)


@router.get(
    "/{object_id}/classifications",
    responses=ONE_OBJECT | TABLES,
    response_model=ObjectHistory,
    summary="Every stored classification",
)
def get_classifications(
    object_id: ObjectId,
    context: ContextDependency,
    form: FormatParameter = "json",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return the classification of an object as of each of its alerts."""
    stored = find_object(object_id, context.store)

    def answer(headers: Mapping[str, str]) -> Response:
        history = views.object_history(*stored, context.registry, limit=context.settings.history_length)
        if form == "json":
            return _json(history, headers)
        rows = [_names(history) | epoch.model_dump() for epoch in history.epochs]
        return table_response(rows, Epoch, form, f"{history.id} classifications", headers)

    return conditional_response(if_none_match, state_tag(stored[2], "classifications", form), answer)


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
    request: Annotated[LookupRequest, Body()], context: ContextDependency, form: FormatParameter = "json"
) -> Response:
    """Return the summaries of many objects; a table has those that were found."""
    ids = list(dict.fromkeys(request.ids))
    stored = _find_all(_parse_all(ids), context.store)
    objects = [views.summary(*each, context.registry) for each in stored if each]
    if form != "json":
        rows = [summary.model_dump() for summary in objects]
        return table_response(rows, ObjectSummary, form, "objects", {})
    not_found = [text for text, each in zip(ids, stored, strict=True) if not each]
    return _json(LookupAnswer(objects=objects, not_found=not_found), {})


def _names(answer: LightCurve | ObjectHistory) -> dict[str, Any]:
    return {"id": answer.id, "survey": answer.survey, "object_id": answer.object_id}


def _json(answer: BaseModel, headers: Mapping[str, str]) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json", headers=dict(headers))


def find_object(text: str, store: ObjectStore) -> StoredObject:
    """Return the object of an id.

    Raises
    ------
    ProblemError
        The id is invalid, no such object is stored, or its state cannot be read.
    """
    candidates = _parse(text)
    return _require_stored(candidates, store.load([object_key(*candidate) for candidate in candidates]))


async def _find_coalesced(text: str, context: Context) -> StoredObject:
    """Return an object as `find_object` does, in one round trip with other requests."""
    candidates = _parse(text)
    return _require_stored(
        candidates, await context.loader.load([object_key(*candidate) for candidate in candidates])
    )


def _parse(text: str) -> tuple[Candidate, ...]:
    try:
        return parse_object_id(text)
    except InvalidObjectIdError as error:
        raise ProblemError(ProblemType.INVALID_OBJECT_ID, str(error)) from error


def _require_stored(candidates: Sequence[Candidate], blobs: Sequence[bytes | None]) -> StoredObject:
    stored = _first(list(zip(candidates, blobs, strict=True)))
    if stored is None:
        names = " or ".join(object_key(*candidate) for candidate in candidates)
        raise ProblemError(ProblemType.UNKNOWN_OBJECT, f"no object {names}")
    return stored


def _parse_all(ids: Sequence[str]) -> list[tuple[Candidate, ...]]:
    parsed, faults = [], []
    for index, text in enumerate(ids):
        try:
            parsed.append(parse_object_id(text))
        except InvalidObjectIdError as error:
            faults.append(Fault(location=f"body.ids.{index}", message=str(error)))
    if faults:
        detail = f"{len(faults)} of {len(ids)} ids are not valid object ids"
        raise ProblemError(ProblemType.INVALID_REQUEST, detail, errors=faults)
    return parsed


def _find_all(parsed: Sequence[tuple[Candidate, ...]], store: ObjectStore) -> list[StoredObject | None]:
    """Return the first stored candidate of each id, all in one round trip."""
    blobs = iter(store.load([object_key(*candidate) for candidates in parsed for candidate in candidates]))
    return [_first([(candidate, next(blobs)) for candidate in candidates]) for candidates in parsed]


def _first(loaded: Sequence[tuple[Candidate, bytes | None]]) -> StoredObject | None:
    for (survey, object_id), blob in loaded:
        if blob is not None:
            try:
                return survey, object_id, decode_state(blob)
            except StateError as error:
                detail = f"stored state of {object_key(survey, object_id)}: {error}"
                raise ProblemError(ProblemType.UNREADABLE_STATE, detail) from error
    return None
