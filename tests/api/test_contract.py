"""One contract: a field has one name, one type and one meaning in every schema and in the documentation.

That all ways of asking give the same values: `tests/integration/test_contract.py`.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import httpx
from pydantic import BaseModel

from service.client.schemas import classify, fields, filters, models, objects, records
from service.core.alerts import BAND_NAMES, Kind, Survey
from service.core.records.encoding import RecordSchema, record_schema
from tests.api.test_documentation import TEXT

Json = dict[str, Any]

SHOWN_IN: dict[str, type[BaseModel]] = {
    "record": records.PublishedRecord,
    "classification": objects.Epoch,
    "list": objects.ListedObject,
    "stream": objects.StreamedResult,
    "object": objects.ObjectSummary,
    "light curve": objects.Observation,
    "class vector": objects.ClassProbability,
    "classifier": objects.Classifier,
    "timestamps": records.PublishedTimes,
}
"""Where a field is, in the words of docs/rest.md."""

RESPONSES: list[type[BaseModel]] = [
    *SHOWN_IN.values(),
    records.PublishedClassifier,
    objects.LightCurve,
    objects.ObjectHistory,
    objects.ShadowModel,
    objects.ShadowClassifications,
    objects.LookupAnswer,
    objects.ObjectList,
    classify.ClassifyAnswer,
    models.Model,
    models.ModelClass,
]
OF_THEIR_SCHEMA = {"name", "version", "description"}
"""Names whose meaning is that of the thing they belong to."""


def json_type(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return the type of a field in words: that it may be null, and its bounds, are left out."""
    parts = [
        part for part in schema.get("anyOf", schema.get("oneOf", [schema])) if part.get("type") != "null"
    ]
    [part] = parts
    if "$ref" in part:
        name = part["$ref"].rsplit("/", 1)[1]
        return (
            "object"
            if definitions[name].get("type") == "object"
            else json_type(definitions[name], definitions)
        )
    if "enum" in part:
        return "string"
    if part["type"] == "array":
        return f"array of {json_type(part['items'], definitions)}"
    kind = part["type"]
    return next(name for name in kind if name != "null") if isinstance(kind, list) else str(kind)


def described_fields(model: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    """Name, type and description of each field of a model."""
    schema = model.model_json_schema()
    for name, field in schema["properties"].items():
        yield name, json_type(field, schema.get("$defs", {})), field.get("description", "")


def test_a_name_has_one_type_and_one_meaning_in_all_answers() -> None:
    seen: dict[str, tuple[str, str, str]] = {}
    shared = 0
    for model in RESPONSES:
        for name, kind, description in described_fields(model):
            assert description, (model, name)
            where, known_kind, known = seen.setdefault(name, (model.__name__, kind, description))
            assert kind == known_kind, (name, model.__name__, where)
            # A nested object may describe its own classes where the outer one names their model.
            if name not in OF_THEIR_SCHEMA and (name, model) != ("survey", models.Model):
                assert description == known, (name, model.__name__, where)
            shared += where != model.__name__
    assert shared > 60


def test_requests_use_the_names_of_answers_for_the_same_things() -> None:
    answered = {name: kind for model in RESPONSES for name, kind, _ in described_fields(model)}
    for model in (classify.GivenObservation, classify.ClassifyRequest, filters.FilterDefinition):
        for name, kind, _ in described_fields(model):
            if name in answered and name not in {"survey", "observations"}:  # a filter takes several surveys
                assert kind == answered[name], (model, name)


def test_the_names_of_the_client_are_those_of_the_core() -> None:
    assert get_args(fields.SurveyName) == tuple(Survey)
    assert get_args(fields.BandName) == tuple(BAND_NAMES)
    assert get_args(fields.KindName) == tuple(kind.name.lower() for kind in Kind)


def test_the_json_schema_of_records_describes_the_fields_of_the_client() -> None:
    schema = record_schema(RecordSchema.NATIVE_JSON)

    def compare(properties: Json, model: type[BaseModel]) -> None:
        expected = {name: (kind, text) for name, kind, text in described_fields(model)}
        found = {name: (json_type(field, {}), field["description"]) for name, field in _plain(properties)}
        assert found == expected

    compare(schema["properties"], records.PublishedRecord)
    nested = schema["properties"]
    compare(nested["classifier"]["oneOf"][1]["properties"], records.PublishedClassifier)
    compare(nested["classifications"]["items"]["properties"], objects.ClassProbability)
    compare(nested["timestamps"]["properties"], records.PublishedTimes)


def _plain(properties: Json) -> Iterator[tuple[str, Json]]:
    for name, field in properties.items():
        yield name, field | ({"type": "string"} if "const" in field else {})


def test_the_avro_schema_of_records_has_the_same_fields_in_the_same_words() -> None:
    as_json, as_avro = record_schema(RecordSchema.NATIVE_JSON), record_schema(RecordSchema.NATIVE_AVRO)

    def compare(avro: Json, properties: Json) -> None:
        assert {field["name"]: field["doc"] for field in avro["fields"]} == {
            name: field["description"] for name, field in properties.items()
        }

    by_name = {field["name"]: field["type"] for field in as_avro["fields"]}
    properties = as_json["properties"]
    compare(as_avro, properties)
    compare(by_name["classifier"][1], properties["classifier"]["oneOf"][1]["properties"])
    compare(by_name["classifications"]["items"], properties["classifications"]["items"]["properties"])
    compare(by_name["timestamps"], properties["timestamps"]["properties"])


def test_the_client_carries_the_avro_schema() -> None:
    path = Path(objects.__file__).with_name("classification.avsc")
    assert json.loads(path.read_text()) == record_schema(RecordSchema.NATIVE_AVRO)


def test_openapi_describes_the_models_of_the_client(client: httpx.Client) -> None:
    components = client.get("/openapi.json").json()["components"]["schemas"]
    for model in RESPONSES:
        if not issubclass(
            model, records.PublishedRecord | records.PublishedTimes | records.PublishedClassifier
        ):
            served = components[model.__name__]["properties"]
            assert {name: field.get("description") for name, field in served.items()} == {
                name: field.description for name, field in model.model_fields.items()
            }


def documented_rows() -> list[str]:
    """The rows of the table of fields in docs/rest.md."""
    rows: dict[str, tuple[list[str], str]] = {}
    for where, model in SHOWN_IN.items():
        for name, _, description in described_fields(model):
            rows.setdefault(name, ([], description))[0].append(where)
    return [
        f"| `{name}` | {', '.join(places)} | {description.replace('|', chr(92) + '|')} |"
        for name, (places, description) in rows.items()
    ]


def test_the_documentation_lists_every_field_in_the_same_words() -> None:
    section = TEXT.partition("\n## Fields\n")[2].partition("\n## ")[0]
    found = [line for line in section.splitlines() if line.startswith("| `")]
    assert found == documented_rows()
