"""The store on a cluster of real servers: migrating slots, failover, and what holds on one server."""

import dataclasses
import threading
import zlib
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
from redis import Redis
from redis.crc import key_slot

from service.core.alerts import OBSERVATION, Survey
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
from service.redis.cluster import read_url
from service.redis.connection import Credentials
from service.redis.store import RedisStore
from tests.redis.test_store import MODEL
from tests.support.kafka import wait_until
from tests.support.redis_cluster import EmbeddedRedisCluster, Node

KEYS = [f"ztf:ZTF{number}" for number in range(300)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedRedisCluster]:
    """Run three masters with a replica each, for tests that kill none of them."""
    with EmbeddedRedisCluster() as running:
        yield running


@pytest.fixture
def store(cluster: EmbeddedRedisCluster) -> Iterator[RedisStore]:
    for master in cluster.masters:
        master.ask("FLUSHALL")
    store = connect(cluster.url)
    yield store
    store.close()


def connect(url: str, *, replicas: int = 0, password: str = "") -> RedisStore:
    return RedisStore.connect(
        url,
        access=Credentials(password=password),
        timeout=timedelta(seconds=2),
        expiry=timedelta(days=1),
        replicas=replicas,
    )


def write(key: str, replaces: bytes | None = None, *, step: int = 0) -> StateWrite:
    state = dataclasses.replace(EMPTY_STATE, counter=next_counter(replaces), hidden_step=step)
    return StateWrite(key, encode_state(state), replaces)


def slot_of(key: str) -> int:
    return key_slot(f"nj:{{{key}}}".encode())


def long_state(n_rows: int, n_archived: int) -> ObjectState:
    rows = np.zeros(n_rows, OBSERVATION)
    checksum = zlib.crc32(rows[:n_archived].tobytes())
    archived = ArchivedRows(n_archived, checksum, initial_checkpoints(1)[0], np.zeros(0, np.float32))
    return dataclasses.replace(EMPTY_STATE, counter=1, observations=rows, archived=archived)


def test_objects_are_spread_over_the_nodes_and_loaded_in_the_order_of_the_keys(
    store: RedisStore, cluster: EmbeddedRedisCluster
) -> None:
    writes = [write(key, step=step) for step, key in enumerate(KEYS)]
    assert store.save(writes) == [True] * len(KEYS)
    asked = ["ztf:unknown", *reversed(KEYS)]
    assert store.load(asked) == [None, *(item.blob for item in reversed(writes))]
    sizes = [master.ask("DBSIZE") for master in cluster.masters]
    assert sum(sizes) == len(KEYS)
    assert min(sizes) > len(KEYS) / 5


def test_long_light_curves_are_stored_in_two_values_on_one_node(store: RedisStore) -> None:
    states = [long_state(n_rows, n_rows // 2) for n_rows in range(2, 2 + len(KEYS))]
    writes = [StateWrite(key, encode_state(state), None) for key, state in zip(KEYS, states, strict=True)]
    assert store.save(writes) == [True] * len(KEYS)
    assert store.load(KEYS) == [item.blob for item in writes]
    assert store.load_recent(KEYS) == [encode_recent(state) for state in states]


def test_lost_races_do_not_affect_the_rest_of_the_batch(store: RedisStore) -> None:
    store.save([write(key) for key in KEYS[::3]])
    assert store.save([write(key) for key in KEYS]) == [bool(index % 3) for index in range(len(KEYS))]


def test_each_increment_of_concurrent_writers_counts_once(
    store: RedisStore, cluster: EmbeddedRedisCluster
) -> None:
    def increment(times: int) -> None:
        own_store = connect(cluster.url)
        while times:
            before = own_store.load(KEYS[:1])[0]
            step = decode_state(before).hidden_step if before else 0
            times -= own_store.save([write(KEYS[0], before, step=step + 1)])[0]
        own_store.close()

    threads = [threading.Thread(target=increment, args=(30,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = store.load(KEYS[:1])[0]
    assert stored is not None
    assert decode_state(stored).hidden_step == 90


def test_script_is_loaded_again_on_a_node_that_lost_it(
    store: RedisStore, cluster: EmbeddedRedisCluster
) -> None:
    writes = [write(key) for key in KEYS]
    store.save(writes)
    cluster.masters[1].ask("SCRIPT FLUSH")
    assert store.save([write(item.key, item.blob) for item in writes]) == [True] * len(KEYS)


def test_models_are_stored(store: RedisStore) -> None:
    store.register_model(MODEL)
    assert store.models() == {MODEL.digest: MODEL}
    store.ping()


def test_index_finds_objects_on_whichever_node_its_sets_are(store: RedisStore) -> None:
    entries = {("t", "ztf"): {"a": 61000.0, "b": 61001.0}, ("c", "ztf", "Ia"): {"a": 0.9}}
    store.index.add(entries)
    assert store.index.names() == [("c", "ztf", "Ia"), ("t", "ztf")]
    assert store.index.count(("t", "ztf"), 70000.0, 61000.5) == 1
    assert sorted(store.index.scan(("t", "ztf"), 0, count=9)[1]) == ["ztf:a", "ztf:b"]
    assert store.index.summaries(["ztf:a"]) == [None]
    store.index.forget(["ztf:a", "ztf:b"])
    assert store.index.count(("t", "ztf"), 70000.0, 0.0) == 0


def test_keys_of_all_nodes_are_scanned(store: RedisStore) -> None:
    store.save([write(key) for key in KEYS])
    scanned = [key for keys in store.keys(Survey.ZTF) for key in keys]
    assert sorted(set(scanned)) == sorted(KEYS)


def move_slot(cluster: EmbeddedRedisCluster, slot: int, source: Node, target: Node) -> None:
    """Assign a slot, which must be empty, to another node on all masters."""
    for node in (target, source, *cluster.masters):
        node.ask("CLUSTER SETSLOT", slot, "NODE", target.ask("CLUSTER MYID"))


def test_objects_in_a_migrating_slot_are_found_on_either_node(
    store: RedisStore, cluster: EmbeddedRedisCluster
) -> None:
    store.save([write(key) for key in KEYS])  # the slot map is loaded, and will be stale
    source, target = cluster.masters[0], cluster.masters[1]
    here = next(key for key in KEYS if slot_of(key) < 16384 // 3)
    slot, before = slot_of(here), store.load([here])[0]
    try:
        target.ask("CLUSTER SETSLOT", slot, "IMPORTING", source.ask("CLUSTER MYID"))
        source.ask("CLUSTER SETSLOT", slot, "MIGRATING", target.ask("CLUSTER MYID"))
        assert store.load([here]) == [before]  # not moved yet
        source.ask("MIGRATE", target.address, target.ports[0], f"nj:{{{here}}}", 0, 5000)
        assert store.load([*KEYS[:5], here])[-1] == before  # moved: the old node answers ASK
        assert store.save([write(here, before, step=7)]) == [True]
        move_slot(cluster, slot, source, target)
        loaded = store.load([here, *KEYS[:5]])[0]  # the old node answers MOVED
        assert loaded is not None
        assert decode_state(loaded).hidden_step == 7
        assert store.save([write(here, loaded, step=8)]) == [True]
        assert target.ask("EXISTS", f"nj:{{{here}}}") == 1
    finally:
        target.ask("DEL", f"nj:{{{here}}}")
        move_slot(cluster, slot, target, source)


def test_killed_master_is_replaced_and_nothing_is_lost() -> None:
    with EmbeddedRedisCluster() as cluster:
        store = connect(cluster.url, replicas=1)
        writes = [write(key) for key in KEYS]
        assert store.save(writes) == [True] * len(KEYS)
        cluster.masters[0].kill()
        with pytest.raises(StoreUnavailableError):
            store.load(KEYS)
        wait_until(lambda: bool(load_or_nothing(store)), "the replica", timeout_s=30)
        assert store.load(KEYS) == [item.blob for item in writes]
        # The promoted replica has no replica itself, so a write has none of the required copies.
        with pytest.raises(StoreUnavailableError, match="0 of 1 replicas"):
            store.save([write(item.key, item.blob) for item in writes])
        cluster.masters[0].start()
        cluster.wait_until_whole()
        repeated = [write(key, blob, step=2) for key, blob in zip(KEYS, store.load(KEYS), strict=True)]
        assert store.save(repeated) == [True] * len(KEYS)
        store.close()


def load_or_nothing(store: RedisStore) -> list[bytes | None]:
    try:
        return store.load(KEYS)
    except StoreUnavailableError:
        return []


def test_replicas_of_a_single_server_are_required_too(redis_url: str) -> None:
    store = connect(redis_url, replicas=1)
    with pytest.raises(StoreUnavailableError, match="0 of 1 replicas"):
        store.save([write(KEYS[0])])
    store.close()


def test_unreachable_cluster_is_reported_with_its_addresses() -> None:
    with pytest.raises(
        StoreUnavailableError, match=r"Redis at 127\.0\.0\.1:1,127\.0\.0\.1:2 cannot be reached"
    ):
        connect("redis+cluster://:secret@127.0.0.1:1,127.0.0.1:2").ping()


def test_store_that_could_not_connect_connects_later() -> None:
    with EmbeddedRedisCluster(n_masters=1, replicas=0) as cluster:
        node = cluster.nodes[0]
        store = connect(cluster.url)
        node.kill()
        with pytest.raises(StoreUnavailableError):
            store.ping()
        node.start()
        cluster.wait_until_whole()
        store.ping()
        store.close()


def test_server_that_contradicts_the_url_is_a_settings_error(
    cluster: EmbeddedRedisCluster, own_redis: EmbeddedRedis
) -> None:
    single = connect(own_redis.url.replace("redis://", "redis+cluster://"))
    with pytest.raises(SettingsError, match="is not a cluster"):
        single.ping()
    plain = connect(f"redis://{cluster.masters[0].place}/0")
    with pytest.raises(SettingsError, match="is a cluster"):
        plain.load(KEYS)
    plain.close()


def test_wrong_password_is_a_settings_error() -> None:
    with EmbeddedRedisCluster(n_masters=1, replicas=0) as cluster:
        phrase = "open sesame"
        with Redis(port=cluster.nodes[0].ports[0]) as client:
            client.config_set("requirepass", phrase)
        with pytest.raises(SettingsError, match="NIGHTJAR_REDIS_PASSWORD"):
            connect(cluster.url).ping()
        accepted = connect(cluster.url, password=phrase)
        accepted.ping()
        accepted.close()


def test_cluster_urls_contain_any_number_of_nodes() -> None:
    assert read_url("redis+cluster://u:p%40@a:1,b,[::1]:3/0?socket_keepalive=1") == (
        "redis://u:p%40@a:1/0?socket_keepalive=1",
        [("a", 1), ("b", 6379), ("::1", 3)],
    )
    assert read_url("rediss+cluster://[::1]:7") == ("rediss://[::1]:7/0", [("::1", 7)])


@pytest.mark.parametrize("url", ["redis+cluster://", "redis+cluster://a:port", "redis+cluster://a:1/3"])
def test_unsupported_url_is_a_settings_error(url: str) -> None:
    with pytest.raises(SettingsError, match="NIGHTJAR_REDIS_URL"):
        connect(url)
