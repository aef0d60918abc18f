"""``nightjar filter-worker`` publishes what passes each filter, byte for byte and exactly once."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.core.search.criteria import Criteria
from service.core.search.filters import FilterSpec
from service.embedded.broker import Broker
from service.embedded.processes import ChildProcess
from service.redis.store import RedisStore
from service.settings import Settings
from service.wiring.stores import object_store
from tests.conftest import SettingsFactory
from tests.support.command import command_line
from tests.support.kafka import Record, produce, read_topic, wait_for_records, wait_until
from tests.support.objects import put_all
from tests.support.results import Epoch, object_after, records_of
from tests.support.service import record_of, settings_as_environment

IA, II = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1)
EPOCHS = [Epoch(1_000.0 * (1 + turn % 3), vector) for turn, vector in enumerate([II, IA, IA, II, IA] * 3)]
OBJECTS = [f"ZTF21aaaaa{a}{b}" for a in "abcdefgh" for b in "abcde"]


@pytest.fixture
def settings(broker: Broker, redis_url: str, settings_factory: SettingsFactory) -> Settings:
    return settings_factory(broker, redis_url, batch_size=20)


@pytest.fixture
def store(settings: Settings) -> Iterator[RedisStore]:
    store = object_store(settings)
    yield store
    store.close()


def filter_process(settings: Settings, directory: Path, name: str) -> ChildProcess:
    variables = settings_as_environment(settings.model_copy(update={"worker_id": name}))
    return ChildProcess(name, command_line("filter-worker"), directory / f"{name}.log", variables)


def publish(settings: Settings, epochs: slice) -> list[bytes]:
    values = [(name, value) for name in OBJECTS for value in records_of(name, EPOCHS)[epochs]]
    servers, keys = settings.bootstrap_servers, [name.encode() for name, _ in values]
    partitions = [ord(name[-1]) % 4 for name, _ in values]
    produce(
        servers, settings.output_topic, [v for _, v in values], keys=keys, partition=partitions.__getitem__
    )
    return [value for _, value in values]


def alerts_of(records: list[Record], *, are_once: bool = True) -> set[tuple[str, int]]:
    """Return the alerts; `are_once` is False if the broker shows aborted records, which are repeated."""
    alerts = [(record_of(record)["object_id"], record_of(record)["alert_id"]) for record in records]
    distinct = {(*alert, record.value) for alert, record in zip(alerts, records, strict=True)}
    assert len(set(alerts)) == len(distinct)
    assert len(set(alerts)) == len(alerts) or not are_once
    return set(alerts)


def test_each_match_is_published_once_although_the_process_is_killed(
    broker: Broker, settings: Settings, store: RedisStore, tmp_path: Path
) -> None:
    are_once = broker.hides_aborted
    name = f"new-ia-{uuid.uuid4().hex[:8]}"
    first = FilterSpec(name, Criteria(class_name="Ia"), first_time=True)
    every = FilterSpec(f"{name}-all", Criteria(class_name="Ia"))
    put_all(store, {f"ztf:{object_id}": object_after(EPOCHS) for object_id in OBJECTS})
    store.filters.put(first)
    store.filters.put(every)
    published = publish(settings, slice(0, 10))
    process = filter_process(settings, tmp_path, "filter")
    process.start()
    try:
        servers = settings.bootstrap_servers
        wait_for_records(servers, every.topic, 40, timeout_s=90)
        process.kill()  # while it publishes
        published += publish(settings, slice(10, None))
        process.start()
        expected = {(object_id, n) for object_id in OBJECTS for n in range(1, 16) if n % 5 not in {1, 4}}
        wait_until(
            lambda: alerts_of(read_topic(servers, every.topic), are_once=are_once) >= expected,
            "every match",
            timeout_s=90,
        )
        records = read_topic(servers, every.topic)
        assert alerts_of(records, are_once=are_once) == expected
        assert {record.value for record in records} <= set(published)
        assert {record.headers["filter"] for record in records} == {every.name.encode()}
        assert all(r.headers["source"].startswith(settings.output_topic.encode()) for r in records)
        firsts = read_topic(servers, first.topic)
        assert alerts_of(firsts, are_once=are_once) == {(object_id, 2) for object_id in OBJECTS}
    finally:
        process.stop()


def test_topic_of_a_new_filter_is_created_without_any_result(
    settings: Settings, store: RedisStore, tmp_path: Path
) -> None:
    spec = FilterSpec(f"quiet-{uuid.uuid4().hex[:8]}", Criteria(class_name="Ia"))
    process = filter_process(settings, tmp_path, "filter")
    process.start()
    try:
        wait_until(lambda: "partitions assigned" in process.output(), "it waits for results")
        assert spec.topic not in process.output()
        store.filters.put(spec)
        wait_until(lambda: spec.topic in process.output(), "the topic to be created")
    finally:
        process.stop()


def test_filters_are_added_and_removed_while_the_process_runs(
    settings: Settings, store: RedisStore, tmp_path: Path
) -> None:
    servers = settings.bootstrap_servers
    spec = FilterSpec(f"bright-{uuid.uuid4().hex[:8]}", Criteria(max_mag=23.5))
    put_all(store, {f"ztf:{object_id}": object_after(EPOCHS) for object_id in OBJECTS})
    process = filter_process(settings, tmp_path, "filter")
    process.start()
    try:
        store.filters.put(spec)
        publish(settings, slice(0, 3))
        records = wait_for_records(servers, spec.topic, 2 * len(OBJECTS), timeout_s=90)
        assert alerts_of(records) == {(object_id, n) for object_id in OBJECTS for n in (2, 3)}
        store.filters.remove(spec.name)
        last = FilterSpec(f"{spec.name}-after", Criteria(min_detections=6))
        store.filters.put(last)
        publish(settings, slice(3, 6))
        assert len(wait_for_records(servers, last.topic, len(OBJECTS), timeout_s=90)) == len(OBJECTS)
        assert len(read_topic(servers, spec.topic)) == 2 * len(OBJECTS)
    finally:
        process.stop()
