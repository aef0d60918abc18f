import dataclasses

import fastavro
import httpx
import jsonschema
import pytest

from service.core.alerts import Survey
from service.core.classifier import ObjectClassifier
from service.core.models.info import ModelInfo
from service.core.records.encoding import RecordSchema, record_schema
from service.redis.store import RedisStore
from tests.api.test_objects import get, problem

ALL_SCHEMAS = [schema.value for schema in RecordSchema]


def test_models_are_those_workers_used_and_those_loaded_here(
    client: httpx.Client, store: RedisStore, classifiers: dict[Survey, ObjectClassifier]
) -> None:
    loaded = ModelInfo.of(classifiers[Survey.ZTF].bundle)
    older = dataclasses.replace(loaded, digest=7, name="aaa", version="-1")
    store.register_model(older)
    models = {one["digest"]: one for one in get(client, "/v1/models")["models"]}
    assert not models["0000000000000007"]["loaded"]
    assert models[f"{loaded.digest:016x}"] == {
        "digest": f"{loaded.digest:016x}",
        "name": "random-ztf",
        "version": "0",
        "survey": "ztf",
        "feature_version": loaded.feature_version,
        "classes": [{"class_id": number, "class_name": name} for number, name in loaded.classes],
        "loaded": True,
    }
    assert any(one["name"] == "random-lsst" for one in models.values())


def test_every_schema_listed_is_served_as_the_package_has_it(client: httpx.Client) -> None:
    listed = get(client, "/v1/schemas")["schemas"]
    assert [one["name"] for one in listed] == ALL_SCHEMAS
    for one in listed:
        response = client.get(one["path"])
        assert response.status_code == 200
        assert response.json() == record_schema(RecordSchema(one["name"]))
        if one["kind"] == "avro":
            assert response.headers["content-type"] == "application/json"
            fastavro.parse_schema(response.json())
        else:
            assert response.headers["content-type"] == "application/schema+json"
            jsonschema.Draft202012Validator.check_schema(response.json())


@pytest.mark.parametrize("name", ["nothing", "classification", "..%2Frecords.py", "CLASSIFICATION.JSON"])
def test_a_schema_there_is_not_is_a_problem_that_names_those_there_are(
    client: httpx.Client, name: str
) -> None:
    response = client.get(f"/v1/schemas/{name}")
    if "%2F" in name:
        assert response.status_code == 404
    else:
        assert "classification.avsc" in str(problem(response, 404, "unknown-schema").detail)
