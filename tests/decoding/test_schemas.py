import json
import shutil
from pathlib import Path
from typing import Any

import fastavro
import orjson
import pytest
from fastavro.schema import to_parsing_canonical_form

from service.core.alerts import Survey
from service.decoding.decoder import Decoder, RawMessage
from service.decoding.wire.avro import parse_schema, to_avro
from service.decoding.wire.schemas import MAX_CACHED, SchemaStore, schema_id_of_version, writer_schema
from service.decoding.wire.shipped import shipped_schema, shipped_versions
from service.errors import (
    RegistryUnavailableError,
    RejectedAlertError,
    RejectionCode,
    SettingsError,
)
from tests.decoding.packets import body, confluent, container, elasticc, lsst, lsst_bytes, ztf
from tests.decoding.plain import load_schema

PUBLISHED = [
    (survey, version)
    for survey in ("ztf", "lsst", "elasticc")
    for version in shipped_versions(survey)
    if version != "0.9-prerelease"
]


def canonical(schema: Any) -> str:
    return str(to_parsing_canonical_form(schema))


@pytest.mark.parametrize(("survey", "version"), PUBLISHED)
def test_shipped_schemas_have_the_published_names_types_and_order(
    shared: Path, survey: str, version: str
) -> None:
    directory = shared / "alerts" / survey / "schema" / version
    (top,) = directory.glob("*.alert.avsc")
    name = f"{json.loads(top.read_text())['namespace']}.alert"
    assert canonical(shipped_schema(survey, version)) == canonical(load_schema(directory, name))


def test_the_shipped_pre_release_schema_is_that_of_the_real_packets(shared: Path) -> None:
    expected = canonical(shipped_schema("elasticc", "0.9-prerelease"))
    for path in (shared / "alerts" / "elasticc" / "0.9-prerelease").rglob("*.avro"):
        with path.open("rb") as file:
            assert canonical(fastavro.reader(file).writer_schema) == expected


def test_the_shipped_versions_are_those_the_surveys_published() -> None:
    assert shipped_versions("ztf") == ("3.0", "3.1", "3.2", "3.3", "4.01", "4.02")
    assert shipped_versions("lsst") == (
        "7.0",
        "7.1",
        "7.2",
        "7.3",
        "7.4",
        "8.0",
        "9.0",
        "10.0",
        "11.0",
        "11.1",
    )
    assert shipped_versions("elasticc") == ("0.9-prerelease", "0.9", "0.9.1")


@pytest.mark.parametrize("survey", ["ztf", "lsst", "elasticc"])
def test_a_checked_schema_writes_back_as_it_was(survey: str) -> None:
    for version in shipped_versions(survey):
        schema = shipped_schema(survey, version)
        assert to_avro(parse_schema(orjson.dumps(schema))) == schema


def test_lsst_ids_follow_from_versions() -> None:
    assert [schema_id_of_version(version) for version in ("7.4", "10.0", "11.1")] == [704, 1000, 1101]


def test_a_schema_is_checked_once_by_its_content() -> None:
    store = SchemaStore()
    text = orjson.dumps(shipped_schema("ztf", "4.02"))
    assert store.by_content(text) is store.by_content(bytes(bytearray(text)))


def test_a_flood_of_schemas_does_not_fill_the_memory() -> None:
    store = SchemaStore()
    first = store.by_content(orjson.dumps(shipped_schema("ztf", "4.02")))
    for number in range(2 * MAX_CACHED):
        with pytest.raises(RejectedAlertError):
            store.by_content(b'"int"' + b" " * number)
        assert store.by_content(orjson.dumps(shipped_schema("ztf", "4.02"))) is first
    assert len(store._by_content) == MAX_CACHED


def test_a_refused_schema_is_refused_again() -> None:
    store = SchemaStore()
    for _ in range(2):
        with pytest.raises(RejectedAlertError, match="schema is not a record"):
            store.by_content(b'"int"')


def record(*fields: Any, name: str = "alert") -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": f"f{i}", "type": kind} for i, kind in enumerate(fields)],
    }


def nested(depth: int) -> Any:
    kind: Any = "int"
    for _ in range(depth):
        kind = {"type": "array", "items": kind}
    return kind


def doubled(levels: int) -> Any:
    """Declare records that each hold the one before twice: 2 ** levels values in a few lines."""
    kind: Any = "int"
    for level in range(levels):
        kind = record(kind, kind if isinstance(kind, str) else kind["name"], name=f"r{level}")
    return kind


UNFIT_SCHEMAS: dict[str, Any] = {
    "not JSON": b"{",
    "deep JSON": b"[" * 100_000,
    "a number": 5,
    "null": None,
    "no type": {"name": "alert"},
    "unknown type": record("strange"),
    "no name": {"type": "record", "fields": []},
    "no fields": {"type": "record", "name": "alert"},
    "fields of no kind": {"type": "record", "name": "alert", "fields": [5]},
    "nameless field": {"type": "record", "name": "alert", "fields": [{"type": "int"}]},
    "itself": record("alert"),
    "itself in a list": record(["null", {"type": "array", "items": "alert"}]),
    "the same name twice": record(record("int", name="x"), record("int", name="x")),
    "empty union": record([]),
    "items of no bytes": record({"type": "array", "items": "null"}),
    "records of no bytes": record({"type": "array", "items": record(name="x")}),
    "a field of no bytes": record("null"),
    "an enum without symbols": record({"type": "enum", "name": "x"}),
    "a fixed without size": record({"type": "fixed", "name": "x"}),
    "a fixed of no bytes": record({"type": "fixed", "name": "x", "size": 0}),
    "too deep": record(nested(50)),
    "too many values": record(doubled(40)),
    "no alert": record("int"),
    "a map": {"type": "map", "values": "int"},
}


@pytest.mark.parametrize("schema", UNFIT_SCHEMAS.values(), ids=UNFIT_SCHEMAS.keys())
def test_a_schema_that_cannot_be_decoded_by_is_refused(schema: Any) -> None:
    with pytest.raises(RejectedAlertError) as caught:
        writer_schema(schema if isinstance(schema, bytes) else orjson.dumps(schema))
    assert caught.value.code is RejectionCode.SCHEMA


def without(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """Leave a field out of a schema wherever it is."""
    text = orjson.loads(orjson.dumps(schema))

    def visit(node: Any) -> None:
        if isinstance(node, list):
            node[:] = [entry for entry in node if not (isinstance(entry, dict) and entry.get("name") == name)]
            for entry in node:
                visit(entry)
        elif isinstance(node, dict):
            for value in node.values():
                visit(value)

    visit(text)
    return dict(text)


def test_a_schema_without_a_needed_field_is_refused_by_the_fields_name() -> None:
    with pytest.raises(RejectedAlertError, match=r"candidate\.magpsf") as caught:
        writer_schema(orjson.dumps(without(shipped_schema("ztf", "4.02"), "magpsf")))
    assert caught.value.code is RejectionCode.MISSING_FIELD


def test_a_schema_with_a_needed_field_of_another_type_is_refused() -> None:
    text = orjson.dumps(shipped_schema("ztf", "4.02")).replace(
        b'"jd","type":"double"', b'"jd","type":"string"'
    )
    with pytest.raises(RejectedAlertError, match=r"candidate\.jd is not float") as caught:
        writer_schema(text)
    assert caught.value.code is RejectionCode.SCHEMA


def test_extra_fields_other_orders_and_other_names_do_no_harm(decoder: Decoder) -> None:
    schema = shipped_schema("ztf", "4.02")
    schema["name"] = "topLevelRecord"
    schema["fields"] = [
        *schema["fields"][4:],
        *reversed(schema["fields"][:4]),
        {"name": "more", "type": {"type": "map", "values": "long"}},
    ]
    value = container(schema, ztf() | {"more": {"a": 1}})
    batch = decoder.decode([RawMessage(value, Survey.ZTF)])
    assert batch.alerts.object_id == ("ZTF21abiuvdk",)


def test_nullable_everything_as_a_broker_writes_it_does_no_harm(decoder: Decoder) -> None:
    def nullable(node: Any) -> Any:
        if isinstance(node, list):
            return [nullable(branch) for branch in node]
        if isinstance(node, dict) and node["type"] == "record":
            fields = [{"name": f["name"], "type": wrapped(nullable(f["type"]))} for f in node["fields"]]
            return {**node, "fields": fields}
        if isinstance(node, dict) and node["type"] == "array":
            return {"type": "array", "items": wrapped(nullable(node["items"]))}
        return node

    def wrapped(kind: Any) -> Any:
        return kind if isinstance(kind, list) else [kind, "null"]

    schema = nullable(shipped_schema("ztf", "4.02"))
    batch = decoder.decode([RawMessage(container(schema, ztf(prv=[None])), Survey.ZTF)])
    assert batch.alerts.object_id == ("ZTF21abiuvdk",)


def test_an_unknown_id_is_refused_by_its_number(decoder: Decoder) -> None:
    value = confluent(4711, shipped_schema("lsst", "10.0"), lsst())
    for survey in Survey:
        (rejected,) = decoder.decode([RawMessage(value, survey)]).rejected
        assert rejected.error.code is RejectionCode.UNKNOWN_SCHEMA
        assert "4711" in rejected.error.message


def test_the_registry_is_asked_for_unknown_ids_once() -> None:
    asked: list[int] = []

    def registry(schema_id: int) -> bytes | None:
        asked.append(schema_id)
        return orjson.dumps(shipped_schema("lsst", "10.0")) if schema_id == 4711 else None

    decoder = Decoder(SchemaStore(registry=registry))
    registered = RawMessage(confluent(4711, shipped_schema("lsst", "10.0"), lsst()), Survey.LSST)
    unknown = RawMessage(confluent(12, shipped_schema("lsst", "10.0"), lsst()), Survey.LSST)
    shipped = RawMessage(lsst_bytes(lsst()), Survey.LSST)
    batch = decoder.decode([registered, unknown, shipped, registered, unknown])
    assert batch.alerts.message.tolist() == [0, 2, 3]
    assert [rejected.error.code for rejected in batch.rejected] == [RejectionCode.UNKNOWN_SCHEMA] * 2
    assert asked == [4711, 12]


def test_a_registry_that_does_not_answer_is_not_the_messages_fault() -> None:
    def registry(schema_id: int) -> bytes | None:
        raise RegistryUnavailableError(f"no answer for {schema_id}")

    decoder = Decoder(SchemaStore(registry=registry))
    value = confluent(4711, shipped_schema("lsst", "10.0"), lsst())
    with pytest.raises(RegistryUnavailableError):
        decoder.decode([RawMessage(value, Survey.LSST)])


def renamed(version: str) -> dict[str, Any]:
    text = orjson.dumps(shipped_schema("lsst", "11.1"))
    return dict(orjson.loads(text.replace(b"v11_1", version.encode())))


def test_a_directory_gives_further_versions_by_the_names_of_their_records(tmp_path: Path) -> None:
    (tmp_path / "whole.avsc").write_bytes(orjson.dumps(renamed("v12_3")))
    decoder = Decoder(SchemaStore(tmp_path))
    value = confluent(1203, renamed("v12_3"), lsst("11.1"))
    assert len(decoder.decode([RawMessage(value, Survey.LSST)]).alerts) == 1


def test_a_directory_gives_further_ids_by_the_names_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "4711.avsc").write_bytes(orjson.dumps(shipped_schema("lsst", "11.1")))
    value = confluent(4711, shipped_schema("lsst", "11.1"), lsst("11.1"))
    assert len(Decoder(SchemaStore(tmp_path)).decode([RawMessage(value, Survey.LSST)]).alerts) == 1


def test_a_directory_may_hold_one_record_per_file(tmp_path: Path, shared: Path) -> None:
    shutil.copytree(shared / "alerts" / "lsst" / "schema" / "11.1", tmp_path / "lsst")
    for path in (tmp_path / "lsst").glob("*.avsc"):
        path.chmod(0o644)
        path.write_text(path.read_text().replace("v11_1", "v12_0"))
    value = confluent(1200, shipped_schema("lsst", "11.1"), lsst("11.1"))
    assert len(Decoder(SchemaStore(tmp_path)).decode([RawMessage(value, Survey.LSST)]).alerts) == 1


def test_a_directory_gives_further_schemas_of_bare_bodies(tmp_path: Path) -> None:
    schema = shipped_schema("elasticc", "0.9.1")
    schema["fields"].insert(0, {"name": "more", "type": "string"})
    (tmp_path / "custom.avsc").write_bytes(orjson.dumps(schema))
    value = body(schema, elasticc("0.9.1") | {"more": "text"})
    assert len(Decoder(SchemaStore(tmp_path)).decode([RawMessage(value, Survey.ELASTICC)]).alerts) == 1


@pytest.mark.parametrize("content", [b"{", orjson.dumps(record("strange")), orjson.dumps(record("int"))])
def test_a_directory_with_an_unusable_schema_is_refused_by_the_files_name(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "bad.avsc").write_bytes(content)
    with pytest.raises(SettingsError, match=r"bad\.avsc"):
        SchemaStore(tmp_path)


def test_a_directory_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        SchemaStore(tmp_path / "nowhere")
