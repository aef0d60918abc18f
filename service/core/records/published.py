"""Published classifications, read back."""

from io import BytesIO
from typing import Any

import fastavro
import numpy as np
import orjson

from service.core.records.encoding import RecordSchema, record_schema, single_object_header
from service.errors import InputError

__all__ = ["Record", "parse_record", "top_class"]

Record = dict[str, Any]
OPT_NUMPY = orjson.OPT_SERIALIZE_NUMPY


def parse_record(value: bytes) -> Record:
    """Return a native record, whether in JSON or in Avro.

    Parameters
    ----------
    value
        Value of a record of the output topic.

    Raises
    ------
    InputError
        It is neither: the topic is not an output topic of this service.
    """
    header = single_object_header()
    try:
        record = _from_avro(value[len(header) :]) if value.startswith(header) else orjson.loads(value)
        if record["status"] in {"classified", "abstained"}:
            return dict(record)
    except (ValueError, KeyError, TypeError, EOFError, IndexError):
        pass
    raise InputError("the topic holds something else than classifications: check NIGHTJAR_OUTPUT_TOPIC")


def _from_avro(body: bytes) -> Any:
    """Return a record in Avro as its JSON form has it."""
    record: Any = fastavro.schemaless_reader(BytesIO(body), record_schema(RecordSchema.NATIVE_AVRO), None)
    # fastavro makes dates of them; JSON has Unix milliseconds.
    times = {
        name: None if time is None else round(time.timestamp() * 1000)
        for name, time in record["timestamps"].items()
    }
    vector = record["classifications"]
    for name in ("probability", "raw_probability"):
        # As the shortest decimals that read back as the same float32, like in JSON.
        column = np.array([entry[name] for entry in vector], np.float32)
        for entry, value in zip(vector, orjson.loads(orjson.dumps(column, option=OPT_NUMPY)), strict=True):
            entry[name] = value
    return record | {"timestamps": times}


def top_class(record: Record) -> tuple[str, float]:
    """Return the most probable class and its probability; ("", 0) for an abstention.

    Parameters
    ----------
    record
        A parsed record.
    """
    best = max(record["classifications"], key=lambda entry: entry["probability"], default=None)
    return ("", 0.0) if best is None else (str(best["class_name"]), float(best["probability"]))
