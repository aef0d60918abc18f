"""Endpoints about objects.

They are plain functions, which the framework runs in its pool of threads: each is one round trip to Redis
and then arithmetic. An asynchronous client was measured to bring nothing for such calls, and would be a
second adapter to keep right beside the worker's.
"""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Body, Path

from service.api import views
from service.api.models import LightCurve, LookupAnswer, LookupRequest, ObjectHistory, ObjectSummary
from service.api.object_ids import FORMS, Candidate, InvalidObjectIdError, parse_object_id
from service.api.problems import Fault, ProblemError, ProblemType, documented
from service.api.resources import Needs
from service.core.alerts import Survey, object_key
from service.core.state import ObjectState, StateError, decode_state
from service.core.store import ObjectStore

__all__ = ["ONE_OBJECT", "ObjectId", "find_object", "router"]

Found = tuple[Survey, str, ObjectState]

router = APIRouter(prefix="/v1/objects", tags=["objects"])

ObjectId = Annotated[
    str, Path(description=f"Object id: {FORMS}", examples=["ztf:ZTF21abiuvdk"], max_length=64)
]
ONE_OBJECT = documented(
    ProblemType.INVALID_OBJECT_ID, ProblemType.UNKNOWN_OBJECT, ProblemType.STORE_UNAVAILABLE
)


@router.get("/{object_id}", responses=ONE_OBJECT, summary="Latest class vector and summary")
def get_object(object_id: ObjectId, needs: Needs) -> ObjectSummary:
    """Give an object's position, counts, and its latest class vector."""
    return views.summary(*find_object(object_id, needs.store), needs.registry)


@router.get("/{object_id}/lightcurve", responses=ONE_OBJECT, summary="Light curve")
def get_light_curve(object_id: ObjectId, needs: Needs) -> LightCurve:
    """Give all observations of an object: detections, forced photometry, upper limits."""
    return views.light_curve(*find_object(object_id, needs.store))


@router.get("/{object_id}/classifications", responses=ONE_OBJECT, summary="Every stored classification")
def get_classifications(object_id: ObjectId, needs: Needs) -> ObjectHistory:
    """Give the classification of an object as of each of its alerts."""
    found = find_object(object_id, needs.store)
    return views.object_history(*found, needs.registry, most_kept=needs.settings.history_length)


@router.post(
    "/lookup",
    responses=documented(ProblemType.INVALID_REQUEST, ProblemType.STORE_UNAVAILABLE),
    summary="Many objects at once",
)
def look_up(request: Annotated[LookupRequest, Body()], needs: Needs) -> LookupAnswer:
    """Give the summaries of many objects."""
    ids = list(dict.fromkeys(request.ids))
    found = _find_all(_parse_all(ids), needs.store)
    return LookupAnswer(
        objects=[views.summary(*one, needs.registry) for one in found if one],
        unknown=[text for text, one in zip(ids, found, strict=True) if not one],
    )


def find_object(text: str, store: ObjectStore) -> Found:
    """Read the object that an id means.

    Raises
    ------
    ProblemError
        The id is none, or no object of that id is known.
    """
    try:
        candidates = parse_object_id(text)
    except InvalidObjectIdError as error:
        raise ProblemError(ProblemType.INVALID_OBJECT_ID, str(error)) from error
    found = _find_all([candidates], store)[0]
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
