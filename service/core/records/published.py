"""Published classifications, read back and chosen from: for tools and clients."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import fastavro
import orjson

from service.core.records.encoding import RecordSchema, record_schema, single_object_header
from service.errors import InputError

__all__ = ["Filter", "Record", "parse_record", "top_class"]

Record = dict[str, Any]


def parse_record(value: bytes) -> Record:
    """Read a native record, whether JSON or Avro.

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
    """Read the Avro form into what the JSON form gives."""
    record: Any = fastavro.schemaless_reader(BytesIO(body), record_schema(RecordSchema.NATIVE_AVRO), None)
    # fastavro makes dates of them; JSON has Unix milliseconds.
    times = {
        name: None if time is None else round(time.timestamp() * 1000)
        for name, time in record["timestamps"].items()
    }
    return record | {"timestamps": times}


def top_class(record: Record) -> tuple[str, float]:
    """Give the most probable class and its probability; ("", 0) for an abstention."""
    best = max(record["classifications"], key=lambda entry: entry["probability"], default=None)
    return ("", 0.0) if best is None else (str(best["class_name"]), float(best["probability"]))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records to show; an empty criterion lets all pass.

    Attributes
    ----------
    classes
        Names, in any case. With `min_probability`: one of them is at least that probable; without: one of
        them is the most probable.
    min_probability
        Without `classes`: the most probable class is at least that probable.
    surveys, statuses
        As in the record.
    objects
        Names of objects as in the record, or with their survey before a colon.
    """

    classes: frozenset[str] = frozenset()
    min_probability: float = 0.0
    surveys: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    objects: frozenset[str] = frozenset()

    def passes(self, record: Record) -> bool:
        """Decide on one record."""
        if self.surveys and record["survey"] not in self.surveys:
            return False
        if self.statuses and record["status"] not in self.statuses:
            return False
        if self.objects and not self._object_passes(record):
            return False
        if not self.classes and not self.min_probability:
            return True
        return self._class_passes(record)

    def _object_passes(self, record: Record) -> bool:
        name = record["object_id"]
        return name in self.objects or f"{record['survey']}:{name}" in self.objects

    def _class_passes(self, record: Record) -> bool:
        name, probability = top_class(record)
        if not self.classes:
            return probability >= self.min_probability
        wanted = {wanted.lower() for wanted in self.classes}
        if not self.min_probability:
            return name.lower() in wanted
        return any(
            entry["class_name"].lower() in wanted and entry["probability"] >= self.min_probability
            for entry in record["classifications"]
        )
