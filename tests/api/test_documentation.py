"""The documentation says what the server does."""

import json
import re
from pathlib import Path

import httpx
import pytest

from service.api.problems import ProblemType
from service.client.schemas.problems import Problem
from service.redis.store import RedisStore
from tests.api.conftest import ADMIN

TEXT = (Path(__file__).parents[2] / "docs" / "rest.md").read_text(encoding="utf-8")


def test_every_endpoint_is_documented_and_every_documented_one_is_there(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    served = {(method.upper(), path) for path, item in paths.items() for method in item}
    documented = set(re.findall(r"^\| `(GET|POST|DELETE) (/\S+)` \|", TEXT, re.MULTILINE))
    assert documented == served


def test_every_problem_is_documented_with_its_status() -> None:
    documented = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", TEXT, re.MULTILINE))
    assert documented == {kind.slug: str(kind.status) for kind in ProblemType}


def test_the_problem_shown_is_one() -> None:
    shown = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    assert len(shown) == 1
    Problem.model_validate_json(shown[0])


@pytest.mark.parametrize(
    ("path", "body"), re.findall(r"8000(/v1/[^\s'?]+)[^']*--json '(.*?)'\n", TEXT, re.DOTALL)
)
def test_every_request_shown_is_accepted(
    client: httpx.Client, store: RedisStore, path: str, body: str
) -> None:
    assert store.models() == {}
    assert client.post(path, json=json.loads(body), headers=ADMIN).is_success


def test_requests_are_shown() -> None:
    assert TEXT.count("--json '") == 3


@pytest.mark.parametrize("address", re.findall(r"curl 'http://127.0.0.1:8000(/v1/objects\S+)'", TEXT))
def test_every_search_shown_is_accepted(client: httpx.Client, store: RedisStore, address: str) -> None:
    assert store.models() == {}
    assert client.get(address).status_code == 200
