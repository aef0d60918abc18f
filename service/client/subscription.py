"""Classifications straight from Kafka; needs the extra ``kafka``."""

import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any

from pydantic_core import from_json

from .errors import NoAnswerError, RecordError
from .models import Published
from .schemas.search import MIN_SEARCHED_PROBABILITY

__all__ = ["RecordCriteria", "Subscription", "parse_record"]

POLL_S = 0.2
METADATA_TIMEOUT_S = 10.0
RECORDS_PER_READ = 500
GROUP_ID = "nightjar-client"  # librdkafka wants one; nothing is committed
AVRO_MARKER = b"\xc3\x01"
AVRO_HEADER_BYTES = 10


@dataclass(frozen=True, slots=True)
class RecordCriteria:
    """Conditions on records, with the same meaning as in a search; None and empty let all pass.

    Attributes
    ----------
    surveys, object_ids, statuses
        One of these; objects by object_id or by qualified id.
    class_name, min_probability
        As in a search.
    """

    surveys: frozenset[str] = frozenset()
    object_ids: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    class_name: str | None = None
    min_probability: float | None = None

    def passes(self, record: Published) -> bool:
        """Return whether a record meets every condition."""
        if self.surveys and record.survey not in self.surveys:
            return False
        if self.statuses and record.status not in self.statuses:
            return False
        if self.object_ids and not self.object_ids & {record.object_id, record.id}:
            return False
        return self._class_passes(record)

    def _class_passes(self, record: Published) -> bool:
        least = self.min_probability
        if self.class_name is None:
            return least is None or (record.top_class_probability or -1.0) >= least
        name = self.class_name.lower()
        is_top = (record.top_class or "").lower() == name
        if least is None:
            return is_top
        least = least if is_top else max(least, MIN_SEARCHED_PROBABILITY)
        return any(
            (entry.class_name or "").lower() == name and entry.probability >= least
            for entry in record.classifications
        )


@dataclass(frozen=True, slots=True)
class Subscription:
    """One reader of a topic.

    Attributes
    ----------
    options
        librdkafka options, the brokers among them.
    topic
        An output topic of the service.
    criteria
        Conditions on its records.
    from_beginning
        Start with the oldest record rather than with the next to come.
    silence
        Time without any record after which to stop; None for never.
    """

    options: Mapping[str, Any]
    topic: str
    criteria: RecordCriteria
    from_beginning: bool
    silence: timedelta | None

    def records(self) -> Iterator[Published]:
        """Iterate over committed records as they arrive, in order within each object.

        Raises
        ------
        ImportError
            confluent-kafka is not installed.
        NoAnswerError
            Kafka does not answer, or has no such topic.
        RecordError
            The topic holds something else.
        """
        consumer = self._consumer()
        try:
            heard_s = time.monotonic()
            while not self._is_over(heard_s):
                for message in consumer.consume(RECORDS_PER_READ, POLL_S):
                    value = _value(message)
                    if value is None:
                        continue
                    heard_s = time.monotonic()
                    record = parse_record(value)
                    if self.criteria.passes(record):
                        yield record
        finally:
            consumer.close()

    def _consumer(self) -> Any:
        from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

        ours = {"group.id": GROUP_ID, "enable.auto.commit": False, "isolation.level": "read_committed"}
        consumer = Consumer({"log_level": 0, **self.options, **ours})
        try:
            topic = consumer.list_topics(self.topic, timeout=METADATA_TIMEOUT_S).topics[self.topic]
        except KafkaException as error:
            consumer.close()
            raise NoAnswerError(f"{self.options['bootstrap.servers']}: {error.args[0].str()}") from error
        if topic.error is not None or not topic.partitions:
            consumer.close()
            raise NoAnswerError(f"topic {self.topic} does not exist")
        start = OFFSET_BEGINNING if self.from_beginning else OFFSET_END
        consumer.assign([TopicPartition(self.topic, partition, start) for partition in topic.partitions])
        return consumer

    def _is_over(self, heard_s: float) -> bool:
        return self.silence is not None and time.monotonic() - heard_s > self.silence.total_seconds()


def _value(message: Any) -> bytes | None:
    """Return the value of a message; None for an error after which librdkafka goes on by itself."""
    error = message.error()
    if error is None:
        return bytes(message.value() or b"")
    if error.fatal():
        raise NoAnswerError(error.str())
    return None


def parse_record(value: bytes) -> Published:
    """Return a published record, whether in JSON or in Avro.

    Raises
    ------
    RecordError
        It is neither, or it is Avro and fastavro is not installed.
    """
    try:
        record = _avro_reader()(value) if value.startswith(AVRO_MARKER) else from_json(value)
        return Published.model_validate(record)
    except (ValueError, KeyError, TypeError, EOFError, IndexError) as error:
        raise RecordError("the topic holds something else than classifications") from error


@cache
def _avro_reader() -> Callable[[bytes], Any]:
    try:
        import fastavro
        from fastavro.schema import fingerprint, to_parsing_canonical_form
    except ImportError as error:
        raise RecordError("the topic holds Avro: pip install 'nightjar-client[kafka]'") from error
    path = files(__package__) / "schemas" / "classification.avsc"
    schema = from_json(path.read_bytes())
    # fastavro prints the fingerprint's bytes in the little-endian order of the encoding.
    header = AVRO_MARKER + bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))

    def read(value: bytes) -> Any:
        if not value.startswith(header):
            raise ValueError("Avro of another schema")
        record: Any = fastavro.schemaless_reader(BytesIO(value[AVRO_HEADER_BYTES:]), schema, None)
        # fastavro makes dates of them; JSON has Unix milliseconds.
        times = {
            name: None if moment is None else round(moment.timestamp() * 1000)
            for name, moment in record["timestamps"].items()
        }
        for entry in record["classifications"]:
            for name in ("probability", "raw_probability"):
                entry[name] = _shortest(entry[name])
        return record | {"timestamps": times}

    return read


def _shortest(value: float) -> float:
    """Return a float32 as the shortest decimal that reads back as the same, as in JSON."""
    packed = struct.pack("<f", value)
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    return next(float(text) for text in texts if struct.pack("<f", float(text)) == packed)
