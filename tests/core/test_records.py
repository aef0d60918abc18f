"""What leaves the service says what output.md promises, in every encoding, and always in the same bytes."""

from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import orjson
import pytest
from fastavro.schema import load_schema
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from service.core.alerts import OBSERVATION, AlertBatch, Survey
from service.core.classification import Classification, Reason
from service.core.models.info import ModelInfo
from service.core.records.encoding import (
    AlertTimes,
    RecordSchema,
    encode_avro,
    encode_elasticc,
    encode_json,
    native_records,
    record_schema,
    single_object_header,
)

MODEL = 0x1234_5678_9ABC_DEF0
MODELS = {
    MODEL: ModelInfo(
        MODEL, Survey.ZTF, "ztf", "0.3", 1, ((2222, "Ia"), (2223, "Ib"), (2223, "Ic"), (2243, "TDE"))
    )
}
CANDID = 3_367_139_732_915_010_140  # beyond the 53 bits of a double


def alerts(n: int = 1, survey: Survey = Survey.ZTF, **columns: Any) -> AlertBatch:
    nothing = np.full(n, np.nan, np.float32)
    values: dict[str, Any] = {
        "message": np.arange(n),
        "survey": (survey,) * n,
        "object_id": tuple(f"ZTF21abiuvd{i}" for i in range(n)),
        "alert_id": np.arange(CANDID, CANDID + n, dtype=np.uint64),
        "mjd_tai": np.full(n, 59_400.123_456_789),
        "ra_deg": np.full(n, 150.25),
        "dec_deg": np.full(n, -2.5),
        "band": np.full(n, 2, np.uint8),
        "is_solar_system": np.zeros(n, np.bool_),
        "real_bogus": nothing,
        "star_galaxy": nothing,
        "star_distance_arcsec": nothing,
        "redshift": nothing,
        "redshift_err": nothing,
        "mwebv": nothing,
        "offsets": np.zeros(n + 1, np.int64),
        "observations": np.zeros(0, OBSERVATION),
    }
    return AlertBatch(**(values | columns))


def classified(probability: list[float] | None = None) -> Classification:
    values = np.array(probability or [0.7, 0.1, 0.15, 0.05], np.float32)
    raw = np.array([0.6, 0.2, 0.1, 0.1], np.float32)
    return Classification(CANDID, 59_400.5, 1_700_000_000_123, 5, 9, Reason.CLASSIFIED, MODEL, raw, values)


def abstained(reason: Reason = Reason.SOLAR_SYSTEM, model: int = MODEL) -> Classification:
    none = np.zeros(0, np.float32)
    return Classification(CANDID, 59_400.5, 1_700_000_000_123, 1, 1, reason, model, none, none)


def times(
    n: int = 1, published_ms: int = 1_700_000_000_000, ingested_ms: int = 1_700_000_000_100
) -> AlertTimes:
    return AlertTimes(np.full(n, published_ms), ingested_ms)


def read_avro(body: bytes, name: RecordSchema) -> Any:
    return fastavro.schemaless_reader(BytesIO(body), fastavro.parse_schema(record_schema(name)), None)


def elasticc(result: Classification, batch: AlertBatch | None = None) -> Any:
    (body,) = encode_elasticc(batch or alerts(), [result], MODELS, times(), "1.2.3")
    return read_avro(body, RecordSchema.ELASTICC)


def test_native_record_has_every_field_of_a_classified_alert() -> None:
    (record,) = map(orjson.loads, encode_json(native_records(alerts(), [classified()], MODELS, times())))

    assert record == {
        "schema_version": "1.0",
        "survey": "ztf",
        "object_id": "ZTF21abiuvd0",
        "alert_id": CANDID,
        "ra_deg": 150.25,
        "dec_deg": -2.5,
        "mjd_tai": 59_400.123_456_789,
        "band": "r",
        "n_detections": 5,
        "n_observations": 9,
        "status": "classified",
        "reason": None,
        "classifier": {"name": "ztf", "version": "0.3", "feature_version": 1},
        "classifications": [
            {"class_id": 2222, "class_name": "Ia", "probability": 0.7, "raw_probability": 0.6},
            {"class_id": 2223, "class_name": "Ib", "probability": 0.1, "raw_probability": 0.2},
            {"class_id": 2223, "class_name": "Ic", "probability": 0.15, "raw_probability": 0.1},
            {"class_id": 2243, "class_name": "TDE", "probability": 0.05, "raw_probability": 0.1},
        ],
        "timestamps": {
            "alert_published": 1_700_000_000_000,
            "ingested": 1_700_000_000_100,
            "classified": 1_700_000_000_123,
        },
    }


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason])
def test_abstention_names_its_reason_and_has_no_classes(reason: Reason) -> None:
    (record,) = native_records(alerts(), [abstained(reason)], MODELS, times())

    assert (record["status"], record["reason"], record["classifications"]) == ("abstained", reason.label, [])


def test_survey_without_a_model_has_no_classifier() -> None:
    (record,) = native_records(alerts(), [abstained(Reason.NO_MODEL, model=0)], MODELS, times())

    assert record["classifier"] is None


@pytest.mark.parametrize("survey", list(Survey))
@pytest.mark.parametrize("result", [classified(), *(abstained(reason) for reason in Reason if reason)])
def test_json_fits_the_json_schema(survey: Survey, result: Classification) -> None:
    batch = alerts(survey=survey, ra_deg=np.array([np.nan]))
    validator = Draft202012Validator(record_schema(RecordSchema.NATIVE_JSON))

    (body,) = encode_json(native_records(batch, [result], MODELS, times(published_ms=-1)))

    assert list(validator.iter_errors(orjson.loads(body))) == []


def test_json_schema_refuses_an_abstention_with_classes() -> None:
    (record,) = map(orjson.loads, encode_json(native_records(alerts(), [classified()], MODELS, times())))

    broken = record | {"status": "abstained"}

    assert not Draft202012Validator(record_schema(RecordSchema.NATIVE_JSON)).is_valid(broken)


@pytest.mark.parametrize("result", [classified(), abstained()])
def test_avro_holds_what_json_holds(result: Classification) -> None:
    records = native_records(alerts(), [result], MODELS, times())
    (as_json,), (as_avro,) = encode_json(records), encode_avro(records)
    header = single_object_header()

    assert (as_avro[:2], as_avro[: len(header)], len(header)) == (b"\xc3\x01", header, 10)
    decoded = read_avro(as_avro[len(header) :], RecordSchema.NATIVE_AVRO)
    decoded["timestamps"] = {
        name: round(time.timestamp() * 1000) for name, time in decoded["timestamps"].items()
    }
    expected = orjson.loads(as_json)
    for entry, other in zip(decoded["classifications"], expected["classifications"], strict=True):
        for name in ("probability", "raw_probability"):
            other[name] = float(np.float32(other[name]))  # JSON carries the shortest decimal of a float32
            assert entry[name] == other[name]
    assert decoded == expected


def test_probabilities_in_json_read_back_as_the_same_float32() -> None:
    result = classified([1 / 3, 1 / 7, 1e-30, 0.1])
    (record,) = map(orjson.loads, encode_json(native_records(alerts(), [result], MODELS, times())))

    read = np.array([entry["probability"] for entry in record["classifications"]], np.float32)

    np.testing.assert_array_equal(read, result.probability)


def test_same_classification_gives_the_same_bytes_but_for_the_time_of_arrival() -> None:
    def body(ingested_ms: int) -> bytes:
        (encoded,) = encode_json(
            native_records(alerts(), [classified()], MODELS, times(ingested_ms=ingested_ms))
        )
        return encoded

    assert body(1) == body(1)
    assert body(1).replace(b'"ingested":1,', b'"ingested":2,') == body(2)


def test_elasticc_schema_reads_what_desc_reads(shared: Path) -> None:
    path = shared / "alerts/elasticc/schema/0.9.1/elasticc.v0_9_1.brokerClassification.avsc"
    theirs = load_schema(str(path))
    (body,) = encode_elasticc(alerts(), [classified()], MODELS, times(), "1.2.3")

    read = fastavro.schemaless_reader(BytesIO(body), theirs, None)

    assert read == elasticc(classified())
    rewritten = BytesIO()
    fastavro.schemaless_writer(rewritten, theirs, read)
    assert rewritten.getvalue() == body
    canonical = fastavro.schema.to_parsing_canonical_form
    assert canonical(record_schema(RecordSchema.ELASTICC)) == canonical(theirs)


def test_elasticc_record_adds_up_classes_of_one_id_and_leaves_the_rest_to_residual() -> None:
    answer = elasticc(classified([0.5, 0.125, 0.125, 0.0]))

    vector = {entry["classId"]: entry["probability"] for entry in answer["classifications"]}
    assert vector == {2222: 0.5, 2223: 0.25, 2243: 0.0, 200: 0.25}
    assert (answer["alertId"], answer["diaSourceId"], answer["brokerName"]) == (CANDID, CANDID, "nightjar")
    assert (answer["brokerVersion"], answer["classifierName"]) == ("1.2.3", "ztf 0.3")


def test_elasticc_abstention_is_not_classified_with_certainty() -> None:
    assert elasticc(abstained())["classifications"] == [{"classId": 300, "probability": 1.0}]


def test_elasticc_publish_time_falls_back_to_the_time_of_arrival() -> None:
    (body,) = encode_elasticc(alerts(), [classified()], MODELS, times(published_ms=-1), "1")

    answer = read_avro(body, RecordSchema.ELASTICC)

    assert answer["elasticcPublishTimestamp"] == answer["brokerIngestTimestamp"]


@given(weights=st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4).filter(lambda w: sum(w) > 1e-3))
def test_elasticc_probabilities_sum_to_one(weights: list[float]) -> None:
    vector = np.array(weights) / sum(weights)

    answer = elasticc(classified(vector.tolist()))

    assert sum(entry["probability"] for entry in answer["classifications"]) == pytest.approx(1, abs=1e-6)


def test_classification_of_an_unknown_model_is_an_error() -> None:
    with pytest.raises(KeyError):
        native_records(alerts(), [classified()], {}, times())
