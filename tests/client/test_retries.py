"""What the client makes of servers that do not answer as they should."""

import json
import re
import time
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from service.client import ApiError, MissedResultsWarning, Nightjar, NoAnswerError, NotFoundError
from service.client.models import LiveResult
from tests.client.faulty import answer, answering

BUSY = answer(503, '{"title": "The store does not answer"}', "Retry-After: 0")
EMPTY_PAGE = answer(200, '{"objects": [], "next_cursor": null}')
EXAMPLE: dict[str, Any] = LiveResult.model_json_schema()["examples"][0]


def event(number: int, name: str) -> str:
    data = json.dumps(EXAMPLE | {"id": name})
    return f"id: {number}\nevent: classification\ndata: {data}\n\n"


def stream(body: str) -> bytes:
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    return head.encode() + body.encode()


def test_a_server_that_is_not_ready_is_asked_again() -> None:
    with answering([BUSY, b"", EMPTY_PAGE]) as server, Nightjar(server.url, retries=3) as sky:
        assert sky.objects() == []
    assert len(server.requests) == 3


def test_a_token_goes_with_every_request() -> None:
    with (
        answering([EMPTY_PAGE, stream(event(1, "ztf:a"))]) as server,
        Nightjar(server.url, token="abc") as sky,  # noqa: S106  of nothing
    ):
        sky.objects()
        next(sky.stream())
    assert len(server.requests) == 2
    for one in server.requests:
        assert re.search(r"(?im)^authorization: bearer abc\s*$", one)


def test_a_server_that_stays_away_is_given_up_after_the_retries() -> None:
    with (
        answering([BUSY] * 3) as server,
        Nightjar(server.url, retries=2) as sky,
        pytest.raises(NoAnswerError, match="The store does not answer"),
    ):
        sky.object("ZTF21abiuvdk")
    assert len(server.requests) == 3
    with Nightjar("http://127.0.0.1:1", retries=0) as sky, pytest.raises(NoAnswerError):
        sky.object("ZTF21abiuvdk")


@pytest.mark.parametrize(("status", "kind"), [(404, NotFoundError), (422, ApiError), (500, ApiError)])
def test_an_answer_that_would_be_the_same_again_is_not_asked_for_again(
    status: int, kind: type[ApiError]
) -> None:
    body = '{"title": "No", "detail": "because", "errors": [{"location": "query.ra", "message": "where?"}]}'
    with (
        answering([answer(status, body)]) as server,
        Nightjar(server.url) as sky,
        pytest.raises(kind, match=r"^No: because; query\.ra: where\?$") as caught,
    ):
        sky.object("ZTF21abiuvdk")
    assert caught.value.status == status
    assert len(server.requests) == 1


def test_what_a_proxy_says_is_an_error_too() -> None:
    with (
        answering([answer(403, "<h1>no</h1>", kind="text/html")]) as server,
        Nightjar(server.url) as sky,
        pytest.raises(ApiError, match="status 403"),
    ):
        sky.object("ZTF21abiuvdk")


def test_a_silent_server_is_not_waited_for_longer_than_asked() -> None:
    start = time.monotonic()
    with (
        Nightjar("http://192.0.2.1", timeout=timedelta(seconds=0.2), retries=1) as sky,
        pytest.raises(NoAnswerError),
    ):
        sky.object("ZTF21abiuvdk")
    assert time.monotonic() - start < 10


def test_a_stream_that_is_cut_goes_on_where_it_was() -> None:
    first = stream(event(1, "ztf:a") + event(2, "ztf:b") + event(3, "ztf:cut off")[:-2])
    second = stream(": heartbeat\nid: 5\n\n" + 'event: end\ndata: {"detail": "stopping"}\n\n')
    third = stream(event(6, "ztf:c"))
    with answering([first, BUSY, second, third]) as server, Nightjar(server.url) as sky:
        found = [one.id for one in islice(sky.stream(class_name="Ia", survey="ztf"), 3)]
    assert found == ["ztf:a", "ztf:b", "ztf:c"]
    asked_from = [
        next(
            (line.split(": ")[1] for line in one.splitlines() if line.lower().startswith("last-event-id")), ""
        )
        for one in server.requests
    ]
    assert asked_from == ["", "2", "2", "5"]
    assert all("survey=ztf&class=Ia" in one.splitlines()[0] for one in server.requests)


def test_results_that_are_lost_are_warned_of() -> None:
    gap = stream('event: gap\ndata: {"offsets": 12}\n\n' + event(20, "ztf:a"))
    with (
        answering([gap]) as server,
        Nightjar(server.url) as sky,
        pytest.warns(MissedResultsWarning, match="12 results"),
    ):
        assert next(sky.stream()).id == "ztf:a"


def test_a_stream_that_cannot_be_had_is_given_up() -> None:
    with (
        answering([BUSY, BUSY]) as server,
        Nightjar(server.url, retries=1) as sky,
        pytest.raises(NoAnswerError, match="live stream lost"),
    ):
        next(sky.stream())
    refused = answer(422, '{"title": "No", "detail": "no class"}')
    with (
        answering([refused]) as server,
        Nightjar(server.url) as sky,
        pytest.raises(ApiError, match="no class"),
    ):
        next(sky.stream(class_name="nonsense"))
