import importlib
import pkgutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, TypeAdapter

import service.api
from service.api.render.times import utc_of_mjd_tai
from service.client import schemas
from service.redis.store import RedisStore
from tests.api.conftest import ADMIN

METHODS = {"get", "post", "put", "delete", "patch"}


def models() -> Iterator[type[BaseModel]]:
    """All models of the API."""
    for module in (
        *pkgutil.walk_packages(service.api.__path__, "service.api."),
        *pkgutil.walk_packages(schemas.__path__, "service.client.schemas."),
    ):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == module.name:
                yield value


def examples() -> Iterator[tuple[type[BaseModel], Any]]:
    for model in models():
        extra = model.model_config.get("json_schema_extra") or {}
        assert isinstance(extra, dict)
        for example in extra.get("examples", ()):  # type: ignore[union-attr]
            yield model, example


def name_of(value: object) -> str:
    return value.__name__ if isinstance(value, type) else ""


@pytest.mark.parametrize(("model", "example"), list(examples()), ids=name_of)
def test_each_example_is_valid_and_complete(model: type[BaseModel], example: dict[str, Any]) -> None:
    read = model.model_validate(example)
    answered = TypeAdapter(dict[str, Any]).validate_json(read.model_dump_json(exclude_unset=True))
    assert _with_times(answered) == _with_times(example)


def _with_times(value: Any) -> Any:
    """Compare times as times: there are several ways to write one."""
    if isinstance(value, dict):
        return {name: _with_times(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_times(inner) for inner in value]
    if isinstance(value, str) and value.endswith("Z") and "T" in value:
        return datetime.fromisoformat(value)
    return value


@pytest.mark.parametrize("model", list(models()), ids=name_of)
def test_each_example_of_a_field_is_valid(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        for example in field.examples or ():
            validator: TypeAdapter[Any] = TypeAdapter(field.annotation or object)
            validator.validate_python(example)
            assert field.description or name in {"name", "version", "class_name"}


def test_the_examples_of_times_agree_with_each_other() -> None:
    pairs = 0
    for _, example in examples():
        for name, mjd_tai in example.items():
            utc = example.get(f"{name.removesuffix('mjd_tai')}utc")
            if name.endswith("mjd_tai") and utc:
                difference = datetime.fromisoformat(utc) - (utc_of_mjd_tai(mjd_tai) or datetime.min)
                assert abs(difference) < timedelta(milliseconds=2)
                pairs += 1
    assert pairs > 4


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield method, path, operation


def test_every_operation_says_what_it_does_and_how_it_fails(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    found = list(operations(document))
    assert len(found) >= 11
    for method, path, operation in found:
        assert operation["summary"], (method, path)
        assert operation["tags"], (method, path)
        if path == "/metrics":
            continue
        responses = operation["responses"]
        assert "default" in responses, (method, path)
        for status, response in responses.items():
            if not status.startswith("2"):
                content = response["content"]["application/problem+json"]
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_reference_of_the_description_resolves(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    found = set(references(document))
    assert len(found) > 10
    assert {reference.removeprefix("#/components/schemas/") for reference in found} <= schemas.keys()


def test_the_example_of_every_request_is_accepted(client: httpx.Client, store: RedisStore) -> None:
    assert store.models() == {}
    document = client.get("/openapi.json").json()
    sent = 0
    for method, path, operation in operations(document):
        if method != "post":
            continue
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        schema = document["components"]["schemas"][reference.rsplit("/", 1)[1]]
        for example in schema["examples"]:
            answer = client.post(path, json=example, headers=ADMIN)
            assert answer.is_success, answer.text
            sent += 1
    assert sent >= 2
