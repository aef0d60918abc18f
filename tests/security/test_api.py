"""The API bounds what one client can make it do, and asks for tokens where the operator wants that."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from service.api.app import create_app
from service.client.schemas.problems import Problem
from service.redis.store import RedisStore
from service.settings import Settings
from tests.api.conftest import serve
from tests.api.test_objects import KEY, problem

Serve = Callable[..., httpx.Client]


class SlowStore(RedisStore):
    """A store that takes its time, until it is let go."""

    gate = threading.Event()

    def load(self, keys: Any) -> Any:
        self.gate.wait(20)
        return super().load(keys)


def connect(kind: type[RedisStore], url: str) -> RedisStore:
    return kind.connect(url, timeout=timedelta(seconds=5), expiry=timedelta(days=1))


@pytest.fixture
def serve_with(redis_url: str) -> Iterator[Serve]:
    """Serve an app with some settings: ``serve_with(api_burst=3)`` gives a client."""
    with ExitStack() as stack:

        def start(kind: type[RedisStore] = RedisStore, **values: Any) -> httpx.Client:
            store = connect(kind, redis_url)
            stack.callback(store.close)
            return stack.enter_context(serve(create_app(Settings(**values), store, {})))

        yield start


def test_flood_is_told_to_come_again_and_is_served_when_it_does(serve_with: Serve) -> None:
    client = serve_with(api_rate_hz=1.0, api_burst=10)

    answers = [client.get("/v1/schemas") for _ in range(30)]

    served = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert 10 <= len(served) < 20
    for answer in refused:
        problem(answer, 429, "too-many-requests")
    time.sleep(int(refused[-1].headers["retry-after"]))
    assert client.get("/v1/schemas").status_code == 200
    # Whoever watches over the service is never in the queue with those who flood it.
    assert {client.get("/healthz").status_code for _ in range(30)} == {200}


def test_answer_that_takes_too_long_is_given_up(serve_with: Serve) -> None:
    SlowStore.gate.clear()
    client = serve_with(SlowStore, api_request_timeout=timedelta(seconds=0.5))

    begun_s = time.monotonic()
    answer = client.get(f"/v1/objects/{KEY}")

    problem(answer, 504, "timed-out")
    assert time.monotonic() - begun_s < 15  # the store itself would take 20
    SlowStore.gate.set()
    assert client.get(f"/v1/objects/{KEY}").status_code == 404


def test_requests_beyond_what_is_in_work_are_told_to_come_again(serve_with: Serve) -> None:
    SlowStore.gate.clear()
    client = serve_with(SlowStore, api_max_concurrent_requests=3)

    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(client.get, f"/v1/objects/{KEY}") for _ in range(6)]
        while sum(one.done() for one in asked) < 3:
            time.sleep(0.01)
        assert client.get("/healthz").status_code == 200
        SlowStore.gate.set()
        answers = [one.result() for one in asked]

    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == 3
    for answer in refused:
        problem(answer, 503, "busy")
        assert int(answer.headers["retry-after"]) > 0


def test_body_beyond_the_limit_is_refused(serve_with: Serve) -> None:
    client = serve_with(api_max_body_bytes=2000)

    answer = client.post("/v1/objects/lookup", json={"ids": ["ZTF18aaaaaaa"] * 900})

    assert answer.status_code == 413
    assert Problem.model_validate_json(answer.content).status == 413


def test_more_ids_than_one_request_may_name_are_refused(serve_with: Serve) -> None:
    answer = serve_with().post("/v1/objects/lookup", json={"ids": ["ZTF18aaaaaaa"] * 1001})

    problem(answer, 422, "invalid-request")


def test_pages_of_other_origins_may_not_read_unless_they_are_named(serve_with: Serve) -> None:
    origin = {"Origin": "https://example.org"}
    asking = origin | {"Access-Control-Request-Method": "GET"}
    closed, opened = serve_with(), serve_with(api_cors_origins=("https://example.org",))

    assert "access-control-allow-origin" not in closed.get("/v1/schemas", headers=origin).headers
    assert "access-control-allow-origin" not in closed.options("/v1/schemas", headers=asking).headers
    allowed = opened.get("/v1/schemas", headers=origin).headers["access-control-allow-origin"]
    assert allowed == "https://example.org"
    assert opened.options("/v1/schemas", headers=asking).status_code == 200
    other = opened.get("/v1/schemas", headers={"Origin": "https://example.com"})
    assert "access-control-allow-origin" not in other.headers


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_reading_takes_a_token_where_there_are_any(serve_with: Serve) -> None:
    client = serve_with(api_read_tokens=SecretStr("first, second"), api_admin_token=SecretStr("operator"))

    for headers in ({}, bearer("third"), bearer("fïrst"), {"Authorization": "Basic Zmlyc3Q="}):
        answer = client.get("/v1/schemas", headers={n: v.encode() for n, v in headers.items()})  # type: ignore[arg-type]
        problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    for token in ("first", "second", "operator"):
        assert client.get("/v1/schemas", headers=bearer(token)).status_code == 200
    assert client.get("/healthz").status_code == 200


def test_every_endpoint_that_tells_of_objects_or_changes_something_takes_a_token(serve_with: Serve) -> None:
    client = serve_with(api_read_tokens=SecretStr("reader"), api_admin_token=SecretStr("operator"))
    document = client.get("/openapi.json").json()

    asked = 0
    for path, item in document["paths"].items():
        for method in item.keys() & {"get", "post", "put", "delete", "patch"}:
            if path.startswith("/v1/"):
                answer = client.request(method, path.replace("{", "").replace("}", ""), content=b"{}")
                assert answer.status_code == 401, (method, path)
                asked += 1
    assert asked > 10


def test_changes_take_the_operators_token_and_not_a_readers(serve_with: Serve) -> None:
    client = serve_with(api_read_tokens=SecretStr("reader"), api_admin_token=SecretStr("operator"))
    document = client.get("/openapi.json").json()

    changing = [
        (method, path)
        for path, item in document["paths"].items()
        for method in item.keys() & {"put", "delete", "patch"}
    ]
    changing.append(("post", "/v1/filters"))
    assert len(changing) > 1
    for method, path in changing:
        url = path.replace("{", "").replace("}", "")
        assert client.request(method, url, headers=bearer("reader"), content=b"{}").status_code == 401
        assert client.request(method, url, content=b"{}").status_code == 401
