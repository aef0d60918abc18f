import dataclasses
import socket
import threading
import zlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from redis import Redis

from service.core.alerts import OBSERVATION, Survey
from service.core.models.info import ModelInfo
from service.core.ports.store import StateWrite
from service.core.state.checkpoint import initial_checkpoints
from service.core.state.layout import next_counter
from service.core.state.object_state import (
    EMPTY_STATE,
    ArchivedRows,
    ObjectState,
    decode_state,
    encode_recent,
    encode_state,
)
from service.embedded.redis import EmbeddedRedis
from service.errors import SettingsError, StoreUnavailableError
from service.redis.connection import Credentials
from service.redis.store import RedisStore

KEY = "ztf:ZTF21abiuvdk"


def connect(url: str, *, timeout_s: float = 5.0, expiry: timedelta = timedelta(days=1)) -> RedisStore:
    return RedisStore.connect(url, timeout=timedelta(seconds=timeout_s), expiry=expiry)


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisStore]:
    store = connect(redis_url)
    yield store
    store.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    client.close()


def write(replaces: bytes | None, key: str = KEY, *, step: int = 0) -> StateWrite:
    state = dataclasses.replace(EMPTY_STATE, counter=next_counter(replaces), hidden_step=step)
    return StateWrite(key, encode_state(state), replaces)


def test_saved_objects_are_loaded_in_the_order_of_the_keys(store: RedisStore) -> None:
    writes = [write(None, f"ztf:Z{i}", step=i) for i in range(3)]
    assert store.save(writes) == [True, True, True]
    assert store.load(["ztf:Z2", "ztf:unknown", "ztf:Z0"]) == [writes[2].blob, None, writes[0].blob]


def test_loading_and_saving_nothing_needs_no_server() -> None:
    store = connect("redis://127.0.0.1:1/0")
    assert store.load([]) == []
    assert store.save([]) == []


def test_value_is_replaced_by_a_writer_that_read_it(store: RedisStore) -> None:
    first = write(None)
    assert store.save([first]) == [True]
    second = write(first.blob)
    assert store.save([second]) == [True]
    assert store.load([KEY]) == [second.blob]


@pytest.mark.parametrize("stale", [None, "first"])
def test_write_based_on_an_older_value_loses_and_changes_nothing(
    store: RedisStore, stale: str | None
) -> None:
    first = write(None, step=1)
    second = write(first.blob, step=2)
    assert store.save([first]) == store.save([second]) == [True]
    assert store.save([write(first.blob if stale else None, step=3)]) == [False]
    assert store.load([KEY]) == [second.blob]


def test_write_based_on_a_deleted_value_loses(store: RedisStore, client: Redis) -> None:
    first = write(None)
    store.save([first])
    client.flushall()
    assert store.save([write(first.blob)]) == [False]


@pytest.mark.parametrize("garbage", [b"", b"short", b"123456789012", b"x" * 300])
def test_value_that_cannot_be_decoded_can_be_replaced(
    store: RedisStore, client: Redis, garbage: bytes
) -> None:
    client.set(f"nj:{{{KEY}}}", garbage)
    loaded = store.load([KEY])[0]
    assert loaded == garbage
    replacement = write(loaded)
    assert store.save([replacement]) == [True]
    assert store.load([KEY]) == [replacement.blob]


def long_state(replaces: bytes | None, n_rows: int, n_archived: int) -> ObjectState:
    """Return a state whose first rows are archived; the rows are numbered."""
    rows = np.zeros(n_rows, OBSERVATION)
    rows["source_id"] = np.arange(n_rows)
    checksum = zlib.crc32(rows[:n_archived].tobytes())
    archived = ArchivedRows(n_archived, checksum, initial_checkpoints(1)[0], np.zeros(0, np.float32))
    return dataclasses.replace(
        EMPTY_STATE, counter=next_counter(replaces), observations=rows, archived=archived
    )


def recent_part(state: ObjectState) -> ObjectState:
    return dataclasses.replace(state, observations=state.recent_rows, has_all_rows=False)


def test_archived_rows_are_stored_separately_and_loaded_only_with_whole_values(
    store: RedisStore, client: Redis
) -> None:
    state = long_state(None, 10, 6)
    assert store.save([StateWrite(KEY, encode_state(state), None), write(None, "ztf:short")]) == [True, True]

    recent, short = store.load_recent([KEY, "ztf:short"])
    assert recent == encode_recent(state)
    assert store.load([KEY, "ztf:short"]) == [encode_state(state), short]
    assert client.get(f"nj:o:{{{KEY}}}") == state.observations[:6].tobytes()
    assert sorted(key for keys in store.keys(Survey.ZTF) for key in keys) == sorted([KEY, "ztf:short"])


def test_newly_archived_rows_are_appended_to_the_stored_ones(store: RedisStore) -> None:
    first = encode_state(long_state(None, 10, 6))
    store.save([StateWrite(KEY, first, None)])
    grown = long_state(first, 12, 9)
    added = grown.observations[6:9].tobytes()
    assert store.save([StateWrite(KEY, encode_recent(recent_part(grown)), first, archived_rows=added)]) == [
        True
    ]
    assert store.load([KEY]) == [encode_state(grown)]


def test_write_of_the_recent_part_keeps_the_archived_rows_and_renews_their_expiry(
    store: RedisStore, client: Redis
) -> None:
    first = encode_state(long_state(None, 10, 6))
    store.save([StateWrite(KEY, first, None)])
    client.pexpire(f"nj:o:{{{KEY}}}", 1000)
    grown = long_state(first, 12, 6)
    assert store.save([StateWrite(KEY, encode_recent(recent_part(grown)), first)]) == [True]
    assert store.load([KEY]) == [encode_state(grown)]
    expiry_ms, archived_expiry_ms = client.pttl(f"nj:{{{KEY}}}"), client.pttl(f"nj:o:{{{KEY}}}")
    assert archived_expiry_ms == pytest.approx(expiry_ms, abs=1000)
    store.expire_at([(KEY, 0)])
    assert client.pttl(f"nj:o:{{{KEY}}}") == client.pttl(f"nj:{{{KEY}}}") == -1


def test_archived_rows_are_deleted_when_a_value_has_none(store: RedisStore, client: Redis) -> None:
    first = encode_state(long_state(None, 10, 6))
    store.save([StateWrite(KEY, first, None)])
    second = encode_state(long_state(first, 10, 0))
    assert store.save([StateWrite(KEY, second, first)]) == [True]
    assert store.load([KEY]) == [second]
    assert not client.exists(f"nj:o:{{{KEY}}}")


def test_lost_race_leaves_the_archived_rows_unchanged(store: RedisStore) -> None:
    first = encode_state(long_state(None, 10, 6))
    store.save([StateWrite(KEY, first, None)])
    late = long_state(None, 12, 9)
    lost = [
        StateWrite(
            KEY, encode_recent(recent_part(late)), None, archived_rows=late.observations[6:9].tobytes()
        ),
        StateWrite("ztf:other", encode_state(long_state(None, 8, 4)), None),
        write(None, "ztf:short"),
    ]
    assert store.save(lost) == [False, True, True]
    assert store.load([KEY, "ztf:other"]) == [first, lost[1].blob]


def test_lost_races_do_not_affect_the_rest_of_the_batch(store: RedisStore) -> None:
    store.save([write(None, "ztf:taken")])
    batch = [write(None, "ztf:a"), write(None, "ztf:taken"), write(None, "ztf:b")]
    assert store.save(batch) == [True, False, True]


def test_more_writes_than_fit_into_one_pipeline_all_arrive(store: RedisStore) -> None:
    writes = [write(None, f"ztf:{i}") for i in range(2500)]
    assert store.save(writes) == [True] * 2500
    assert store.load([item.key for item in writes]) == [item.blob for item in writes]


def test_each_increment_of_concurrent_writers_counts_once(redis_url: str) -> None:
    def increment(times: int) -> None:
        store = connect(redis_url)
        while times:
            before = store.load([KEY])[0]
            step = decode_state(before).hidden_step if before else 0
            times -= store.save([write(before, step=step + 1)])[0]
        store.close()

    threads = [threading.Thread(target=increment, args=(50,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = connect(redis_url).load([KEY])[0]
    assert stored is not None
    assert decode_state(stored).hidden_step == decode_state(stored).counter == 200


def test_value_expires_after_its_last_write(redis_url: str, client: Redis) -> None:
    store = connect(redis_url, expiry=timedelta(days=400))
    first = write(None)
    store.save([first])
    client.pexpire(f"nj:{{{KEY}}}", 60_000)
    store.save([write(first.blob)])
    assert 399 * 86400 < client.ttl(f"nj:{{{KEY}}}") <= 400 * 86400


def test_keys_of_one_object_share_a_cluster_slot(store: RedisStore, client: Redis) -> None:
    store.save([write(None)])
    assert client.keys("*") == [b"nj:{ztf:ZTF21abiuvdk}"]


def test_script_is_loaded_again_after_the_server_lost_it(store: RedisStore, client: Redis) -> None:
    first = write(None)
    assert store.save([first]) == [True]
    client.script_flush()
    assert store.save([write(first.blob), write(None, "ztf:other")]) == [True, True]


def test_restarted_server_is_reconnected(own_redis: EmbeddedRedis) -> None:
    store = connect(own_redis.url)
    first = write(None)
    assert store.save([first]) == [True]
    own_redis.kill()
    with pytest.raises(StoreUnavailableError):
        store.load([KEY])
    own_redis.restart()
    assert store.load([KEY]) == [first.blob]
    assert store.save([write(first.blob)]) == [True]


def test_missing_server_is_reported_with_its_address() -> None:
    with pytest.raises(StoreUnavailableError, match=r"Redis at 127\.0\.0\.1:1 cannot be reached"):
        connect("redis://:secret@127.0.0.1:1/0").ping()


def test_silent_server_is_an_outage_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = connect(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout_s=0.2)
        with pytest.raises(StoreUnavailableError, match="does not answer in time"):
            store.ping()
        store.close()


def test_full_server_is_an_outage() -> None:
    with EmbeddedRedis(max_memory_bytes=2 * 2**20) as server:
        store = connect(server.url)
        writes = [StateWrite(f"ztf:{i}", bytes(100_000), None) for i in range(60)]
        with pytest.raises(StoreUnavailableError, match="is out of memory"):
            store.save(writes)
        store.close()


def test_read_only_replica_is_an_outage(own_redis: EmbeddedRedis) -> None:
    store = connect(own_redis.url)
    client = Redis.from_url(own_redis.url)
    client.replicaof("127.0.0.1", "1")
    with pytest.raises(StoreUnavailableError, match="read-only replica"):
        store.save([write(None)])
    client.close()
    store.close()


@pytest.mark.parametrize("password", ["", "wrong"])
def test_wrong_password_is_a_settings_error(own_redis: EmbeddedRedis, password: str) -> None:
    client = Redis.from_url(own_redis.url)
    phrase = "open sesame"
    client.config_set("requirepass", phrase)
    client.close()
    options: dict[str, Any] = {"timeout": timedelta(seconds=5), "expiry": timedelta(days=1)}
    refused = RedisStore.connect(own_redis.url, access=Credentials(password=password), **options)
    with pytest.raises(SettingsError, match="NIGHTJAR_REDIS_PASSWORD"):
        refused.ping()
    with pytest.raises(SettingsError, match="NIGHTJAR_REDIS_PASSWORD"):
        refused.save([write(None)])
    accepted = RedisStore.connect(own_redis.url, access=Credentials(password=phrase), **options)
    accepted.ping()
    for store in (refused, accepted):
        store.close()


def test_user_without_write_permission_is_a_settings_error(own_redis: EmbeddedRedis) -> None:
    client = Redis.from_url(own_redis.url)
    client.acl_setuser("reader", enabled=True, passwords=["+p"], keys="*", commands=["+@read", "+ping"])
    client.close()
    store = connect(own_redis.url.replace("redis://", "redis://reader:p@"))
    assert store.load([KEY]) == [None]
    with pytest.raises(SettingsError, match="denies access"):
        store.save([write(None)])
    store.close()


def test_nonexistent_database_is_a_settings_error(redis_url: str) -> None:
    with pytest.raises(SettingsError, match="DB index"):
        connect(redis_url.removesuffix("0") + "9999").ping()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis://127.0.0.1:port/0"])
def test_unsupported_url_is_a_settings_error(url: str) -> None:
    with pytest.raises(SettingsError, match="NIGHTJAR_REDIS_URL"):
        connect(url)


def test_server_that_does_not_speak_redis_is_an_outage() -> None:
    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        store = connect(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        with pytest.raises(StoreUnavailableError, match="cannot be reached"):
            store.ping()
        thread.join()
        store.close()


MODEL = ModelInfo(
    0x0123456789ABCDEF,
    Survey.ZTF,
    "nightjar-ztf",
    "1.0",
    3,
    ((2222, "Ia"), (2223, "Ib/c")),
)


def test_registered_models_are_read_back(store: RedisStore) -> None:
    other = dataclasses.replace(MODEL, digest=7, survey=Survey.LSST)
    assert store.models() == {}
    for model in (MODEL, other, MODEL):
        store.register_model(model)
    assert store.models() == {MODEL.digest: MODEL, 7: other}


def test_server_that_lost_its_data_receives_the_models_again(store: RedisStore, client: Redis) -> None:
    store.register_model(MODEL)
    client.flushall()
    store.save([write(None)])
    assert store.models() == {MODEL.digest: MODEL}
