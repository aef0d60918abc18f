"""What an earlier commit stored and published, as `make_fixtures.py` wrote it."""

import json
import lzma
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from redis import Redis

from service.embedded.broker import create_topics

__all__ = [
    "AVRO",
    "COMMIT",
    "DESC",
    "DIGESTS",
    "EXPORT",
    "LONG_OBJECT",
    "OUTPUT",
    "REJECTED",
    "SETTINGS",
    "SHADOW",
    "SOURCES",
    "StoredRecord",
    "assert_same_answer",
    "bundle",
    "by_alert",
    "continuation",
    "redis_keys",
    "restore_redis",
    "restore_topics",
    "send_again",
    "topics",
]

FIXTURES = Path(__file__).parent / "fixtures"
EXPORT = FIXTURES / "export"

SOURCES = {"ztf": "compat.ztf", "lsst": "compat.lsst"}
OUTPUT, AVRO, DESC = "compat.classifications", "compat.classifications.avro", "compat.desc"
REJECTED, SHADOW = "compat.rejected", "compat.shadow"
LONG_OBJECT = "ztf:ZTF26compatx"

_ABOUT: dict[str, Any] = json.loads((FIXTURES / "commit.json").read_text())
COMMIT: str = _ABOUT["commit"]
DIGESTS: dict[str, str] = _ABOUT["digests"]
SETTINGS: dict[str, dict[str, str]] = json.loads((FIXTURES / "settings.json").read_text())

# When a record was made, which differs from run to run.
TIMES = {"ingested", "classified"}

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One message of a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


Topics = Mapping[str, list[StoredRecord]]


def bundle(name: str) -> Path:
    """Return the directory of a model: ``ztf``, ``ztf-shadow`` or ``lsst``."""
    return FIXTURES / "bundles" / name


@cache
def topics() -> Topics:
    """Return what every topic held."""
    return _topics("topics.json.xz")


@cache
def continuation() -> Topics:
    """Return what every topic held in addition after some more alerts."""
    return _topics("continuation.json.xz")


@cache
def redis_keys() -> dict[bytes, dict[str, Any]]:
    """Return every key of Redis with its type, its value, and the Unix time at which it expires."""
    return {key.encode("latin-1"): value for key, value in _read("redis.json.xz").items()}


def restore_redis(url: str) -> None:
    """Write every key into an empty database."""
    client: Any = Redis.from_url(url)
    for key, stored in redis_keys().items():
        value = stored["value"]
        match stored["type"]:
            case "string":
                client.set(key, value.encode("latin-1"), pxat=stored["expires_at_ms"] or None)
            case "hash":
                client.hset(key, mapping={name: text.encode("latin-1") for name, text in value.items()})
            case "set":
                client.sadd(key, *value)
            case "zset":
                client.zadd(key, dict(value))
    client.close()


def restore_topics(servers: str, group_id: str) -> None:
    """Write every topic into a broker that has none of them, and where the consumer group stood."""
    partitions = {
        topic: 1 + max(record.partition for record in records) for topic, records in topics().items()
    }
    create_topics(servers, partitions)
    send_again(servers, {topic: (topic, records) for topic, records in topics().items()})
    positions = [
        TopicPartition(topic, partition, sum(record.partition == partition for record in topics()[topic]))
        for topic in SOURCES.values()
        for partition in range(partitions[topic])
    ]
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group_id})
    consumer.commit(offsets=positions, asynchronous=False)
    consumer.close()


def send_again(servers: str, messages: Mapping[str, tuple[str, list[StoredRecord]]]) -> None:
    """Write stored records: by any name, the topic that they go to and the records."""
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True})
    for topic, records in messages.values():
        for record in records:
            producer.produce(topic, record.value, record.key, record.partition, headers=list(record.headers))
    assert producer.flush(60) == 0


def by_alert(records: list[StoredRecord]) -> dict[tuple[str, int], Answer]:
    """Return records in JSON by object and alert; of an alert that was repeated, the last one."""
    answers = [read_exactly(record.value) for record in records]
    return {(answer["object_id"], answer["alert_id"]): answer for answer in answers}


def read_exactly(value: bytes) -> Answer:
    """Read a record in JSON, decimal numbers as they are written."""
    answer: Answer = json.loads(value, parse_float=str)
    return answer


def assert_same_answer(old: Answer, new: Answer, *, but: Callable[[str], bool] = TIMES.__contains__) -> None:
    """Check that a record has all that an older one has, in the same order, with the same types and values.

    Fields of the newer one that the older one lacks must come with a newer minor version of the schema.

    Parameters
    ----------
    old, new
        As `read_exactly` gives them.
    but
        Which fields are of the same type only.
    """
    old_version, new_version = (record["schema_version"].split(".") for record in (old, new))
    assert old_version[0] == new_version[0]
    may_add = int(new_version[1]) > int(old_version[1])
    _assert_same(
        old | {"schema_version": ""}, new | {"schema_version": ""}, "record", but=but, may_add=may_add
    )


def _assert_same(old: Any, new: Any, where: str, *, but: Callable[[str], bool], may_add: bool) -> None:
    assert type(old) is type(new), where
    if isinstance(old, dict):
        assert [name for name in new if name in old] == list(old), where
        assert may_add or len(new) == len(old), (
            f"{where} has {set(new) - set(old)} in the same schema version"
        )
        for name in old:
            _assert_same(old[name], new[name], name, but=but, may_add=may_add)
    elif isinstance(old, list):
        assert len(old) == len(new), where
        for before, after in zip(old, new, strict=True):
            _assert_same(before, after, where, but=but, may_add=may_add)
    else:
        assert old == new or but(where), where


def _topics(name: str) -> Topics:
    return {topic: [_record(stored) for stored in records] for topic, records in _read(name).items()}


def _record(stored: dict[str, Any]) -> StoredRecord:
    return StoredRecord(
        stored["partition"],
        stored["offset"],
        None if stored["key"] is None else stored["key"].encode("latin-1"),
        stored["value"].encode("latin-1"),
        tuple((name, value.encode("latin-1")) for name, value in stored["headers"].items()),
    )


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(lzma.decompress((FIXTURES / name).read_bytes()))
    return content
