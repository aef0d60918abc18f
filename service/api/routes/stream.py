"""The endpoint of the live stream."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from service.api.context import ContextDependency
from service.api.criteria import SearchParameters, criteria_of
from service.api.live.batches import StreamQuery
from service.api.live.client import StreamClient
from service.api.live.response import EventStream
from service.api.live.streams import LiveStreams
from service.api.problems import ProblemError, ProblemType, documented
from service.client.schemas.problems import Fault
from service.core.ports.result_feed import read_positions, write_positions
from service.errors import BrokerUnavailableError

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["live"])

RETRY_AFTER_S = 5


class StreamParameters(SearchParameters):
    """The parameters of a stream."""

    filter: str | None = Field(
        None, max_length=64, description="Name of a stored filter", examples=["young-ia"]
    )
    last_event_id: str | None = Field(
        None, max_length=2000, description="Like the header Last-Event-ID, for clients that cannot send one"
    )


_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events of the types `classification`, whose data is a StreamedResult; `gap`, where "
        "missed results are no longer available; and `end`, the last one, whose data has a `detail`",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/stream",
    responses=documented(
        ProblemType.INVALID_REQUEST,
        ProblemType.UNKNOWN_FILTER,
        ProblemType.STREAM_UNAVAILABLE,
    )
    | _EVENTS,
    status_code=200,
    response_class=EventStream,
    summary="Live stream of results",
)
async def stream(
    parameters: Annotated[StreamParameters, Query()],
    context: ContextDependency,
    last_event_id: Annotated[
        str | None,
        Header(
            max_length=2000, description="The id of the last event received: later results are sent first"
        ),
    ] = None,
) -> EventStream:
    """Send results as they are published, as server-sent events.

    The id of an event tells how far the results have been sent; heartbeats carry an id without an event. With
    `Last-Event-ID` no result is missed or sent twice, on whichever server.
    """
    live = _live(context.live)
    positions = _positions(parameters.last_event_id or last_event_id)
    criteria = await run_in_threadpool(criteria_of, parameters, context.registry)
    if parameters.filter is not None:
        await run_in_threadpool(_check_filter, parameters.filter, live)
    try:
        await live.broadcaster.ready(live.ready_timeout_s)
    except BrokerUnavailableError as error:
        raise _unavailable(str(error)) from error
    client = StreamClient(
        StreamQuery(criteria, parameters.filter or ""), max_bytes=live.max_bytes, on_drop=live.count_dropped
    )
    return EventStream(_events(live, client, positions), lambda: live.leave(client))


def _live(live: LiveStreams | None) -> LiveStreams:
    if live is None:
        raise _unavailable("this server does not read results from Kafka")
    if live.is_full:
        raise _unavailable(f"this server already has its maximum of {live.max_clients} clients")
    return live


def _unavailable(detail: str) -> ProblemError:
    return ProblemError(ProblemType.STREAM_UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


def _positions(text: str | None) -> dict[int, int] | None:
    if not text:
        return None
    try:
        return read_positions(text)
    except ValueError as error:
        fault = Fault(location="header.last-event-id", message=str(error))
        raise ProblemError(ProblemType.INVALID_REQUEST, str(error), errors=[fault]) from error


def _check_filter(name: str, live: LiveStreams) -> None:
    if name not in {spec.name for spec in live.broadcaster.filters(refresh=True)}:
        raise ProblemError(ProblemType.UNKNOWN_FILTER, f"no filter {name!r}; see /v1/filters")


async def _events(
    live: LiveStreams, client: StreamClient, positions: dict[int, int] | None
) -> AsyncIterator[bytes]:
    live.enter(client)
    if positions is None:
        live.broadcaster.join(client)
        positions = dict(live.broadcaster.positions)
        # A client that is interrupted before the first event resumes here.
        yield f"retry: 2000\nid: {write_positions(positions)}\n\n".encode()
    else:
        async for events in live.replays.catch_up(client, positions):
            yield events
    async for events in client.events(live.heartbeat_s, lambda: write_positions(live.broadcaster.positions)):
        yield events
