"""How full the store is, as Prometheus learns it from the API."""

import re

import httpx

from service.embedded.redis import EmbeddedRedis
from tests.api.conftest import ServeOn


def value(client: httpx.Client, name: str) -> float | None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    found = re.search(rf"^{name} (\S+)$", answer.text, re.MULTILINE)
    return float(found[1]) if found else None


def test_metrics_tell_how_full_the_store_is(serve_on: ServeOn) -> None:
    with EmbeddedRedis(max_memory_bytes=2**26) as redis:
        client = serve_on(redis.url)
        assert value(client, "nightjar_store_up") == 1
        assert value(client, "nightjar_store_memory_limit_bytes") == 2**26
        assert 0 < (value(client, "nightjar_store_memory_bytes") or 0) < 2**26
        assert value(client, "nightjar_store_objects") == 0


def test_metrics_are_given_while_the_store_is_away(serve_on: ServeOn) -> None:
    with EmbeddedRedis() as redis:
        client = serve_on(redis.url)
        redis.kill()
        assert value(client, "nightjar_store_up") == 0
        assert value(client, "nightjar_store_memory_bytes") is None
        redis.start()
        assert value(client, "nightjar_store_up") == 1
