"""Packets for tests, written with fastavro by the shipped schemas."""

from io import BytesIO
from typing import Any

import fastavro
import orjson

from service.core.alerts import Survey
from service.decoding.wire.schemas import schema_id_of_version
from service.decoding.wire.shipped import shipped_schema

Record = dict[str, Any]
Schema = dict[str, Any]

EMPTY_VALUES = {
    "null": None,
    "boolean": False,
    "int": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "string": "",
    "bytes": b"",
}


def record_schema(schema: Schema, name: str) -> Schema:
    """Find a record of a schema by the last part of its name."""
    records: list[Schema] = []

    def visit(node: Any) -> None:
        if isinstance(node, list):
            for branch in node:
                visit(branch)
        elif isinstance(node, dict):
            if node.get("type") == "record" and node["name"].rpartition(".")[2] == name:
                records.append(node)
            for key in ("fields", "items", "type"):
                visit(node.get(key))

    visit(schema)
    return records[0]


def blank(schema: Schema, name: str = "alert", **values: Any) -> Record:
    """Build a record in which every field but those given is null, else zero or empty."""
    record = {}
    for field in record_schema(schema, name)["fields"]:
        kind = field["type"]
        if field["name"] in values:
            record[field["name"]] = values.pop(field["name"])
        elif isinstance(kind, list):
            record[field["name"]] = None
        elif isinstance(kind, dict):
            record[field["name"]] = blank(schema, kind["name"].rpartition(".")[2])
        else:
            record[field["name"]] = EMPTY_VALUES[kind]
    assert not values, f"{name} has no {list(values)}"
    return record


def body(schema: Schema, record: Record) -> bytes:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema, named_schemas={}), record)
    return stream.getvalue()


def container(schema: Schema, *records: Record, codec: str = "null", **options: Any) -> bytes:
    stream = BytesIO()
    parsed = fastavro.parse_schema(schema, named_schemas={})
    fastavro.writer(stream, parsed, list(records), codec=codec, **options)
    return stream.getvalue()


def varint(number: int) -> bytes:
    """Write an Avro long."""
    zigzag = (number << 1) ^ (number >> 63)
    result = bytearray()
    while zigzag > 0x7F:
        result.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*result, zigzag])


def text(value: bytes) -> bytes:
    return varint(len(value)) + value


SYNC = bytes(range(16))


def container_header(schema: bytes = b'"int"', codec: bytes = b"null") -> bytes:
    """Write the beginning of a container by hand, so that it can be wrong."""
    entries = text(b"avro.schema") + text(schema) + text(b"avro.codec") + text(codec)
    return b"Obj\x01" + varint(2) + entries + varint(0) + SYNC


def container_block(data: bytes, n_records: int = 1) -> bytes:
    return varint(n_records) + text(data) + SYNC


def confluent(schema_id: int, schema: Schema, record: Record) -> bytes:
    return b"\x00" + schema_id.to_bytes(4, "big") + body(schema, record)


def ztf(version: str = "4.02", /, prv: Any = None, fp: Any = None, **candidate: Any) -> Record:
    """Make a ZTF alert; keyword arguments are fields of ``candidate``."""
    schema = shipped_schema("ztf", version)
    values = {
        "candid": 1655436960815015008,
        "jd": 2459408.9368056,
        "fid": 1,
        "pid": 1655436960815,
        "ra": 244.8,
        "dec": -5.4,
        "magpsf": 18.0,
        "sigmapsf": 0.1,
        "isdiffpos": "t",
    } | candidate
    extra = {"fp_hists": fp} if version >= "4" else {}
    return blank(
        schema,
        objectId="ZTF21abiuvdk",
        candid=values["candid"],
        candidate=blank(schema, "candidate", **values),
        prv_candidates=prv,
        **extra,
    )


def ztf_prv(version: str = "4.02", /, **values: Any) -> Record:
    return blank(shipped_schema("ztf", version), "prv_candidate", **values)


def ztf_forced(**values: Any) -> Record:
    return blank(shipped_schema("ztf", "4.02"), "fp_hist", **values)


def ztf_bytes(record: Record, version: str = "4.02", codec: str = "null") -> bytes:
    return container(shipped_schema("ztf", version), record, codec=codec)


def lsst_source(version: str = "10.0", /, **values: Any) -> Record:
    defaults = {
        "diaSourceId": 170239611403501617,
        "diaObjectId": 170028500552515710,
        "visit": 2026040700100,
        "detector": 42,
        "midpointMjdTai": 61138.08,
        "ra": 148.7,
        "dec": 1.7,
        "psfFlux": 1234.5,
        "psfFluxErr": 100.25,
        "band": "i",
    }
    return blank(shipped_schema("lsst", version), "diaSource", **(defaults | values))


def lsst_forced(version: str = "10.0", /, **values: Any) -> Record:
    defaults = {
        "diaForcedSourceId": 170239611403501618,
        "midpointMjdTai": 61137.08,
        "psfFlux": 12.0,
        "psfFluxErr": 99.0,
        "band": "i",
    }
    return blank(shipped_schema("lsst", version), "diaForcedSource", **(defaults | values))


def lsst_object(version: str = "10.0", /, **values: Any) -> Record:
    return blank(shipped_schema("lsst", version), "diaObject", **values)


def lsst(version: str = "10.0", /, source: Record | None = None, **values: Any) -> Record:
    """Make an LSST alert; keyword arguments are fields of the alert."""
    source = source or lsst_source(version)
    name = "alertId" if version < "8" and not version.startswith("1") else "diaSourceId"
    identified: Record = {name: source["diaSourceId"]}
    return blank(shipped_schema("lsst", version), diaSource=source, **(identified | values))


def lsst_bytes(record: Record, version: str = "10.0") -> bytes:
    return confluent(schema_id_of_version(version), shipped_schema("lsst", version), record)


def elasticc_source(version: str = "0.9", /, **values: Any) -> Record:
    defaults = {
        "diaSourceId": 23907342054,
        "diaObjectId": 11953671,
        "midPointTai": 60856.0645,
        "filterName": "Y",
        "ra": 226.26,
        "decl": -9.17,
        "psFlux": 3931.5,
        "psFluxErr": 414.5,
    }
    return blank(shipped_schema("elasticc", version), "diaSource", **(defaults | values))


def elasticc_forced(version: str = "0.9", /, **values: Any) -> Record:
    defaults = {
        "diaForcedSourceId": 23907342053,
        "midPointTai": 60855.0,
        "filterName": "Y",
        "psFlux": 1.5,
        "psFluxErr": 400.0,
    }
    return blank(shipped_schema("elasticc", version), "diaForcedSource", **(defaults | values))


def elasticc_object(version: str = "0.9", /, **values: Any) -> Record:
    defaults = {"diaObjectId": 11953671, "ra": 226.26, "decl": -9.17}
    return blank(shipped_schema("elasticc", version), "diaObject", **(defaults | values))


def elasticc(version: str = "0.9", /, **values: Any) -> Record:
    """Make an ELAsTiCC alert; keyword arguments are fields of the alert."""
    defaults: Record = {
        "alertId": 23907342054,
        "diaSource": elasticc_source(version),
        "diaObject": elasticc_object(version),
    }
    return blank(shipped_schema("elasticc", version), **(defaults | values))


def elasticc_bytes(record: Record, version: str = "0.9") -> bytes:
    return body(shipped_schema("elasticc", version), record)


JD = 2459408.9368056


def whole_bodies() -> dict[Survey, bytes]:
    """Encode one alert of each survey, with at least one row in every table."""
    previous = {"jd": JD - 1, "fid": 1, "pid": 7}
    detection = ztf_prv(candid=3, isdiffpos="t", magpsf=18.0, sigmapsf=0.1, **previous)
    forced = ztf_forced(
        forcediffimflux=15.0, forcediffimfluxunc=1.0, magzpsci=26.4, procstatus="0", **previous
    )
    alerts = {
        Survey.ZTF: ztf(prv=[detection, ztf_prv(diffmaglim=20.0, **previous)], fp=[forced]),
        Survey.LSST: lsst(
            diaObject=lsst_object(diaObjectId=170028500552515710),
            prvDiaSources=[lsst_source(diaSourceId=987654321, midpointMjdTai=61130.0)],
            prvDiaForcedSources=[lsst_forced()],
            cutoutDifference=bytes(300),
        ),
        Survey.ELASTICC: elasticc(
            prvDiaSources=[elasticc_source(diaSourceId=987654321)], prvDiaForcedSources=[elasticc_forced()]
        ),
    }
    return {survey: body(SCHEMAS[survey], alert) for survey, alert in alerts.items()}


def framed(survey: Survey, data: bytes, n_records: int = 1) -> bytes:
    """Frame encoded records as their survey does."""
    match survey:
        case Survey.ZTF:
            return container_header(orjson.dumps(SCHEMAS[survey])) + container_block(data, n_records)
        case Survey.LSST:
            return b"\x00\x00\x00\x03\xe8" + data
        case Survey.ELASTICC:
            return data


SCHEMAS = {
    Survey.ZTF: shipped_schema("ztf", "4.02"),
    Survey.LSST: shipped_schema("lsst", "10.0"),
    Survey.ELASTICC: shipped_schema("elasticc", "0.9"),
}
BODIES = whole_bodies()
PACKETS = {survey: framed(survey, data) for survey, data in BODIES.items()}
