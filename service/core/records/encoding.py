"""Published records and their encoding.

There are two formats: the native record, as JSON or Avro, and the ELAsTiCC 0.9.1 ``brokerClassfication`` that
DESC reads. The same classification always encodes to the same bytes, except for the times of ingestion and
classification.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from io import BytesIO
from typing import Any

import fastavro
import numpy as np
import orjson
from fastavro.schema import fingerprint, to_parsing_canonical_form
from numpy.typing import NDArray

from service.core.alerts import BAND_NAMES, AlertBatch
from service.core.classification import Classification, Reason
from service.core.models.info import ModelInfo
from service.core.package_files import record_schema_bytes
from service.core.taxonomy import NOT_CLASSIFIED_ID, RESIDUAL_ID

__all__ = [
    "BROKER_NAME",
    "SCHEMA_VERSION",
    "AlertTimes",
    "RecordSchema",
    "encode_avro",
    "encode_elasticc",
    "encode_json",
    "native_records",
    "record_schema",
    "single_object_header",
]

SCHEMA_VERSION = "1.0"
BROKER_NAME = "nightjar"

Record = dict[str, Any]


class RecordSchema(StrEnum):
    """Schemas of published records, by the file name under which the API serves them."""

    NATIVE_JSON = "classification.json"
    NATIVE_AVRO = "classification.avsc"
    ELASTICC = "elasticc_broker_classification.avsc"


@dataclass(frozen=True, slots=True)
class AlertTimes:
    """When alerts were published and ingested.

    Attributes
    ----------
    published_ms
        int64, shape (n,), Kafka timestamp of each alert, Unix milliseconds; negative if it has none.
    ingested_ms
        Unix milliseconds at which the worker received the batch.
    """

    published_ms: NDArray[np.int64]
    ingested_ms: int


@cache
def record_schema(name: RecordSchema) -> Record:
    """Return a shipped schema.

    Parameters
    ----------
    name
        Which one.

    Returns
    -------
    dict
        The parsed JSON. It is shared between callers, who must not modify it.
    """
    schema: Record = orjson.loads(record_schema_bytes(name.value))
    return schema


def native_records(
    alerts: AlertBatch,
    results: Sequence[Classification],
    models: Mapping[int, ModelInfo],
    times: AlertTimes,
) -> list[Record]:
    """Build the native record of each alert, for `encode_json` or `encode_avro`.

    Parameters
    ----------
    alerts
        n alerts.
    results
        The n classifications of these alerts.
    models
        Descriptions by `Classification.model`, of every model but 0.
    times
        Times of these alerts.

    Returns
    -------
    list of dict
        Records of ``classification.json``; probabilities are `numpy.float32`.

    Raises
    ------
    KeyError
        If a classification refers to a model that is not in `models`.
    """
    rows = _rows(alerts, results, times)
    descriptions = {digest: _classifier_record(model) for digest, model in models.items()}
    return [
        {
            "schema_version": SCHEMA_VERSION,
            "survey": survey.value,
            "object_id": object_id,
            "alert_id": alert_id,
            "ra_deg": ra_deg,
            "dec_deg": dec_deg,
            "mjd_tai": mjd_tai,
            "band": BAND_NAMES[band],
            "n_detections": result.n_detections,
            "n_observations": result.n_observations,
            "status": "abstained" if result.reason else "classified",
            "reason": result.reason.label if result.reason else None,
            "classifier": descriptions[result.model] if result.model else None,
            "classifications": _class_vector(result, models),
            "timestamps": {
                "alert_published": published_ms if published_ms >= 0 else None,
                "ingested": times.ingested_ms,
                "classified": result.classified_at_ms,
            },
        }
        for result, survey, object_id, alert_id, ra_deg, dec_deg, mjd_tai, band, published_ms in rows
    ]


def _rows(
    alerts: AlertBatch, results: Sequence[Classification], times: AlertTimes
) -> Iterator[tuple[Any, ...]]:
    return zip(
        results,
        alerts.survey,
        alerts.object_id,
        alerts.alert_id.tolist(),
        _or_none(alerts.ra_deg),
        _or_none(alerts.dec_deg),
        alerts.mjd_tai.tolist(),
        alerts.band.tolist(),
        times.published_ms.tolist(),
        strict=True,
    )


def encode_json(records: Iterable[Record]) -> list[bytes]:
    """Encode native records as JSON.

    Parameters
    ----------
    records
        From `native_records`.

    Returns
    -------
    list of bytes
        One line per record, without the line terminator.
    """
    # Probabilities stay float32: orjson writes the shortest decimal that parses to the same float32.
    return [orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY) for record in records]


def encode_avro(records: Iterable[Record]) -> list[bytes]:
    """Encode native records in Avro's single-object encoding.

    That is: C3 01, the 8-byte CRC-64-AVRO fingerprint of the schema, the schemaless body (Avro specification
    1.11, "Single-object encoding"). A reader of only this schema skips the first 10 bytes; the fingerprint
    lets others tell several schemas apart.

    Parameters
    ----------
    records
        From `native_records`.
    """
    return _encode(records, RecordSchema.NATIVE_AVRO, single_object_header())


def encode_elasticc(
    alerts: AlertBatch,
    results: Sequence[Classification],
    models: Mapping[int, ModelInfo],
    times: AlertTimes,
    broker_version: str,
) -> list[bytes]:
    """Encode ELAsTiCC 0.9.1 ``brokerClassfication`` records as schemaless Avro, like the challenge's brokers.

    Probabilities of classes that share a taxonomy id are summed, what is missing to 1 goes to 200 (Residual),
    and an abstention is 300 (NotClassified) with probability 1.

    Parameters
    ----------
    alerts, results, models, times
        As in `native_records`.
    broker_version
        Version of the service.
    """
    published_ms = np.where(times.published_ms >= 0, times.published_ms, times.ingested_ms).tolist()
    records = [
        {
            "alertId": alert_id,
            "diaSourceId": alert_id,
            "elasticcPublishTimestamp": published,
            "brokerIngestTimestamp": times.ingested_ms,
            "brokerName": BROKER_NAME,
            "brokerVersion": broker_version,
            **_elasticc_result(result, models.get(result.model)),
        }
        for result, alert_id, published in zip(results, alerts.alert_id.tolist(), published_ms, strict=True)
    ]
    return _encode(records, RecordSchema.ELASTICC, b"")


@cache
def single_object_header() -> bytes:
    """Return the 10 bytes that precede every native Avro record."""
    canonical = to_parsing_canonical_form(record_schema(RecordSchema.NATIVE_AVRO))
    # fastavro returns the fingerprint as hex digits in the little-endian order of the encoding.
    return b"\xc3\x01" + bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


@cache
def _parsed(name: RecordSchema) -> Any:
    return fastavro.parse_schema(record_schema(name))


def _encode(records: Iterable[Record], name: RecordSchema, header: bytes) -> list[bytes]:
    schema, buffer, encoded = _parsed(name), BytesIO(), []
    for record in records:
        buffer.seek(0)
        buffer.truncate()
        buffer.write(header)
        fastavro.schemaless_writer(buffer, schema, record)
        encoded.append(buffer.getvalue())
    return encoded


def _or_none(column: NDArray[np.float64]) -> list[float | None]:
    """Return a column as a list with None for NaN, which neither JSON nor our Avro schema allows."""
    return [value if value == value else None for value in column.tolist()]  # NaN differs from itself


def _classifier_record(model: ModelInfo) -> Record:
    return {
        "name": model.name,
        "version": model.version,
        "feature_version": model.feature_version,
    }


def _class_vector(result: Classification, models: Mapping[int, ModelInfo]) -> list[Record]:
    if result.reason:
        return []
    return [
        {"class_id": number, "class_name": name, "probability": probability, "raw_probability": raw}
        for (number, name), probability, raw in zip(
            models[result.model].classes, result.probability, result.raw_probability, strict=True
        )
    ]


def _elasticc_result(result: Classification, model: ModelInfo | None) -> Record:
    if model is None:
        name, params = BROKER_NAME, ""
    else:
        name, params = f"{model.name} {model.version}", f"features={model.feature_version}"
    return {
        "classifierName": name,
        "classifierParams": params,
        "classifications": _elasticc_vector(result, model),
    }


def _elasticc_vector(result: Classification, model: ModelInfo | None) -> list[Record]:
    if result.reason is not Reason.CLASSIFIED or model is None:
        return [{"classId": NOT_CLASSIFIED_ID, "probability": 1.0}]
    by_id: dict[int, float] = {}
    for (number, _name), probability in zip(model.classes, result.probability.tolist(), strict=True):
        by_id[number] = by_id.get(number, 0.0) + probability
    by_id[RESIDUAL_ID] = by_id.get(RESIDUAL_ID, 0.0) + max(0.0, 1.0 - sum(by_id.values()))
    return [{"classId": number, "probability": value} for number, value in by_id.items()]
