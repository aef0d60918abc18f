import re
import socket
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from service.api.app import create_app
from service.client.schemas.problems import Problem
from service.embedded.redis import EmbeddedRedis
from service.redis.store import RedisStore
from service.settings import Settings
from tests.api.conftest import ServeOn, serve
from tests.api.test_objects import KEY, get, problem
from tests.support.objects import object_state, put

NOWHERE = "redis://:secret@127.0.0.1:1/0"


def test_health_and_readiness(client: httpx.Client) -> None:
    for path in ("/healthz", "/readyz"):
        assert get(client, path)["status"] == "ok"


@pytest.mark.parametrize("path", ["/readyz", f"/v1/objects/{KEY}", "/v1/objects/lookup", "/v1/models"])
def test_without_redis_a_request_is_asked_to_come_again(serve_on: ServeOn, path: str) -> None:
    client = serve_on(NOWHERE)
    is_lookup = path.endswith("lookup")
    response = client.post(path, json={"ids": [KEY]}) if is_lookup else client.get(path)
    problem(response, 503, "store-unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert "127.0.0.1" not in response.text
    assert "secret" not in response.text


def test_without_redis_the_process_is_alive_and_classifies(serve_on: ServeOn) -> None:
    client = serve_on(NOWHERE)
    assert get(client, "/healthz")["status"] == "ok"
    observation = {"mjd": 59000, "band": "g", "mag": 19, "mag_err": 0.1}
    response = client.post("/v1/classify", json={"survey": "ztf", "observations": [observation]})
    assert response.status_code == 200


def test_redis_coming_back_is_enough(serve_on: ServeOn, own_redis: EmbeddedRedis) -> None:
    client = serve_on(own_redis.url)
    assert client.get("/readyz").status_code == 200
    own_redis.kill()
    problem(client.get("/readyz"), 503, "store-unavailable")
    own_redis.restart()
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/", 404),
        ("DELETE", f"/v1/objects/{KEY}", 405),
        ("POST", "/", 405),
    ],
)
def test_what_the_framework_refuses_is_a_problem_too(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document = Problem.model_validate_json(response.content)
    assert (document.status, document.type, document.instance) == (status, "about:blank", path)
    assert ("allow" in response.headers) == (status == 405)


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b"[1,]"])
def test_a_body_that_is_not_json_is_a_problem(client: httpx.Client, body: bytes) -> None:
    response = client.post("/v1/classify", content=body, headers={"content-type": "application/json"})
    assert response.status_code in {400, 422}
    assert Problem.model_validate_json(response.content).status == response.status_code


MOST_BODY_BYTES = Settings().api_max_body_bytes


def chunks() -> Iterator[bytes]:
    yield from [b"[" * 2**16] * (MOST_BODY_BYTES // 2**16 + 1)


@pytest.mark.parametrize("content", [b"[" * (MOST_BODY_BYTES + 1), chunks()], ids=["declared", "chunked"])
def test_a_body_beyond_all_measure_is_refused(client: httpx.Client, content: bytes | Iterator[bytes]) -> None:
    response = client.post("/v1/classify", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert Problem.model_validate_json(response.content).status == 413


class BrokenStore(RedisStore):
    """A store with a fault that nobody foresaw."""

    def ping(self) -> None:
        raise RuntimeError("some detail of our insides")


def test_a_fault_nobody_foresaw_is_a_problem_without_our_insides(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = BrokenStore.connect(redis_url, timeout=timedelta(seconds=5), expiry=timedelta(days=1))
    with serve(create_app(Settings(), store, {})) as client:
        response = client.get("/readyz")
    problem(response, 500, "internal")
    assert "insides" not in response.text
    assert "some detail of our insides" in caplog.text  # the operator is told
    store.close()


def requests_counted(client: httpx.Client, route: str, status: int) -> float:
    pattern = (
        rf'^nightjar_api_requests_total{{method="GET",route="{re.escape(route)}",status="{status}"}} (\S+)$'
    )
    found = re.search(pattern, client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_requests_are_counted_by_pattern_not_by_path(client: httpx.Client, store: RedisStore) -> None:
    put(store, KEY, object_state())
    route = "/v1/objects/{object_id}"
    before = [requests_counted(client, route, status) for status in (200, 404)]
    for key in (KEY, "ZTF18aaaaaaa", "ZTF18aaaaaab"):
        client.get(f"/v1/objects/{key}")
    after = [requests_counted(client, route, status) for status in (200, 404)]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 2]
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "ZTF18aaaaaaa" not in metrics.text
    assert "nightjar_api_request_seconds_bucket" in metrics.text


def test_an_app_is_made_without_talking_to_redis(app: FastAPI) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        store = RedisStore.connect(url, timeout=Settings().redis_timeout, expiry=Settings().object_ttl)
        create_app(Settings(), store, {})
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has knocked
            server.accept()
    assert app.state.context is not None
