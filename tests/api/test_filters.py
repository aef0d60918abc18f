"""Filters are stored, listed and removed by whoever has the token, and by nobody else."""

from typing import Any

import httpx
import pytest

from service.api.app import create_app
from service.api.routes.filters import MAX_FILTERS
from service.client.schemas.filters import FilterList, StoredFilter
from service.core.search.criteria import Criteria
from service.core.search.filters import FilterSpec
from service.redis.store import RedisStore
from service.settings import Settings
from tests.api.conftest import ADMIN, serve
from tests.api.test_objects import problem

FILTER = {"name": "bright-ia", "class": "ia", "min_probability": 0.8, "max_mag": 19, "rising": True}
CONE = {"name": "field-1", "ra": 150.1, "dec": 2.2, "radius_arcsec": 3600.0}


def names(client: httpx.Client) -> list[str]:
    answer = client.get("/v1/filters")
    assert answer.status_code == 200, answer.text
    return [one.name for one in FilterList.model_validate_json(answer.content).filters]


def test_a_filter_is_stored_listed_and_removed(client: httpx.Client, store: RedisStore) -> None:
    assert store.filters.all() == []
    for definition in (FILTER, CONE):
        answer = client.post("/v1/filters", json=definition, headers=ADMIN)
        assert answer.status_code == 201, answer.text
    assert names(client) == ["bright-ia", "field-1"]
    stored = StoredFilter.model_validate_json(client.get("/v1/filters/bright-ia").content)
    assert (stored.class_name, stored.topic) == ("Ia", "nightjar.filter.bright-ia")
    assert client.get("/v1/filters/bright-ia").json()["class"] == "Ia"
    assert client.get("/v1/filters/field-1").json()["radius_arcsec"] == 3600.0
    assert client.delete("/v1/filters/bright-ia", headers=ADMIN).status_code == 204
    assert names(client) == ["field-1"]
    problem(client.delete("/v1/filters/bright-ia", headers=ADMIN), 404, "unknown-filter")
    problem(client.get("/v1/filters/bright-ia"), 404, "unknown-filter")


def test_the_same_filter_may_be_stored_again_and_another_not(client: httpx.Client, store: RedisStore) -> None:
    assert store.filters.all() == []
    for _ in range(2):
        assert client.post("/v1/filters", json=FILTER, headers=ADMIN).status_code == 201
    other = FILTER | {"min_probability": 0.9}
    problem(client.post("/v1/filters", json=other, headers=ADMIN), 409, "filter-exists")
    assert client.get("/v1/filters/bright-ia").json()["min_probability"] == 0.8


def test_there_are_not_too_many_filters(client: httpx.Client, store: RedisStore) -> None:
    for number in range(MAX_FILTERS):
        store.filters.put(FilterSpec(f"f{number}", Criteria(min_detections=number)))
    problem(client.post("/v1/filters", json=FILTER, headers=ADMIN), 409, "filter-exists")


@pytest.mark.parametrize(
    ("change", "location"),
    [
        ({"name": "Bad Name"}, "body.name"),
        ({"name": "-a"}, "body.name"),
        ({"class": "Quasar"}, "body.class"),
        ({"colour": "red"}, "body.colour"),
        ({"stable_epochs": 1000}, "body.stable_epochs"),
        ({"ra": 10}, "body"),
        ({"class": None, "min_probability": None, "first_time": True}, "body"),
        ({"class": None, "min_probability": None, "max_mag": None, "rising": False}, "body"),
    ],
)
def test_a_wrong_filter_is_told_where_it_is_wrong(
    client: httpx.Client, store: RedisStore, change: dict[str, Any], location: str
) -> None:
    answer = client.post("/v1/filters", json=FILTER | change, headers=ADMIN)
    document = problem(answer, 422, "invalid-request")
    assert [fault.location for fault in document.errors or ()] == [location]
    assert store.filters.all() == []


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}])
def test_without_the_token_nothing_is_changed(
    client: httpx.Client, store: RedisStore, headers: dict[str, str]
) -> None:
    store.filters.put(FilterSpec("kept", Criteria(min_detections=1)))
    answer = client.post("/v1/filters", json=FILTER, headers=headers)
    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    problem(client.delete("/v1/filters/kept", headers=headers), 401, "unauthorized")
    assert names(client) == ["kept"]


def test_a_server_without_a_token_takes_no_changes(store: RedisStore) -> None:
    with serve(create_app(Settings(), store, {})) as client:
        document = problem(client.post("/v1/filters", json=FILTER, headers=ADMIN), 403, "writes-disabled")
        assert "NIGHTJAR_API_ADMIN_TOKEN" in (document.detail or "")
        problem(client.delete("/v1/filters/any", headers=ADMIN), 403, "writes-disabled")
        assert names(client) == []
