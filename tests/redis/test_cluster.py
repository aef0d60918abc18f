"""The store on a cluster of real servers: slots that move, masters that die, and all that holds on one."""

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
    """Three masters with a replica each, for tests that kill none of them."""
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


def long_state(n_rows: int, n_settled: int) -> ObjectState:
    rows = np.zeros(n_rows, OBSERVATION)
    checksum = zlib.crc32(rows[:n_settled].tobytes())
    settled = ArchivedRows(n_settled, checksum, initial_checkpoints(1)[0], np.zeros(0, np.float32))
    return dataclasses.replace(EMPTY_STATE, counter=1, observations=rows, archived=settled)


def test_objects_are_spread_over_the_nodes_and_loaded_in_the_order_asked(
    store: RedisStore, cluster: EmbeddedRedisCluster
) -> None:
    writes = [write(key, step=step) for step, key in enumerate(KEYS)]
    assert store.save(writes) == [True] * len(KEYS)
    asked = ["ztf:unknown", *reversed(KEYS)]
    assert store.load(asked) == [None, *(one.blob for one in reversed(writes))]
    sizes = [master.ask("DBSIZE") for master in cluster.masters]
    assert sum(sizes) == len(KEYS)
    assert min(sizes) > len(KEYS) / 5


def test_long_light_curves_are_kept_in_two_values_of_one_node(store: RedisStore) -> None:
    states = [long_state(n_rows, n_rows // 2) for n_rows in range(2, 2 + len(KEYS))]
    writes = [StateWrite(key, encode_state(state), None) for key, state in zip(KEYS, states, strict=True)]
    assert store.save(writes) == [True] * len(KEYS)
    assert store.load(KEYS) == [one.blob for one in writes]
    assert store.load_recent(KEYS) == [encode_recent(state) for state in states]


def test_losers_do_not_keep_others_of_their_batch_from_winning(store: RedisStore) -> None:
    store.save([write(key) for key in KEYS[::3]])
    assert store.save([write(key) for key in KEYS]) == [bool(place % 3) for place in range(len(KEYS))]


def test_of_concurrent_writers_each_increment_counts_once(
    store: RedisStore, cluster: EmbeddedRedisCluster
) -> None:
    def increment(times: int) -> None:
        own = connect(cluster.url)
        while times:
            before = own.load(KEYS[:1])[0]
            step = decode_state(before).hidden_step if before else 0
            times -= own.save([write(KEYS[0], before, step=step + 1)])[0]
        own.close()

    threads = [threading.Thread(target=increment, args=(30,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = store.load(KEYS[:1])[0]
    assert stored is not None
    assert decode_state(stored).hidden_step == 90


def test_the_script_is_sent_again_to_a_node_that_forgot_it(
    store: RedisStore, cluster: EmbeddedRedisCluster
) -> None:
    writes = [write(key) for key in KEYS]
    store.save(writes)
    cluster.masters[1].ask("SCRIPT FLUSH")
    assert store.save([write(one.key, one.blob) for one in writes]) == [True] * len(KEYS)


def test_models_are_kept(store: RedisStore) -> None:
    store.register_model(MODEL)
    assert store.models() == {MODEL.digest: MODEL}
    store.ping()


def test_the_index_finds_objects_wherever_its_sets_lie(store: RedisStore) -> None:
    places = {("t", "ztf"): {"a": 61000.0, "b": 61001.0}, ("c", "ztf", "Ia"): {"a": 0.9}}
    store.index.add(places)
    assert store.index.names() == [("c", "ztf", "Ia"), ("t", "ztf")]
    assert store.index.count(("t", "ztf"), 70000.0, 61000.5) == 1
    assert sorted(store.index.scan(("t", "ztf"), 0, count=9)[1]) == ["ztf:a", "ztf:b"]
    assert store.index.summaries(["ztf:a"]) == [None]
    store.index.forget(["ztf:a", "ztf:b"])
    assert store.index.count(("t", "ztf"), 70000.0, 0.0) == 0


def test_keys_of_all_nodes_are_walked_through(store: RedisStore) -> None:
    store.save([write(key) for key in KEYS])
    walked = [key for keys in store.keys(Survey.ZTF) for key in keys]
    assert sorted(set(walked)) == sorted(KEYS)


def move_slot(cluster: EmbeddedRedisCluster, slot: int, source: Node, target: Node) -> None:
    """Tell all masters that a slot, which must be empty, is another's now."""
    for node in (target, source, *cluster.masters):
        node.ask("CLUSTER SETSLOT", slot, "NODE", target.ask("CLUSTER MYID"))


def test_objects_whose_slot_moves_are_found_on_either_node(
    store: RedisStore, cluster: EmbeddedRedisCluster
) -> None:
    store.save([write(key) for key in KEYS])  # the map of slots is read, and will be wrong
    source, target = cluster.masters[0], cluster.masters[1]
    here = next(key for key in KEYS if slot_of(key) < 16384 // 3)
    slot, before = slot_of(here), store.load([here])[0]
    try:
        target.ask("CLUSTER SETSLOT", slot, "IMPORTING", source.ask("CLUSTER MYID"))
        source.ask("CLUSTER SETSLOT", slot, "MIGRATING", target.ask("CLUSTER MYID"))
        assert store.load([here]) == [before]  # not moved yet
        source.ask("MIGRATE", target.address, target.ports[0], f"nj:{{{here}}}", 0, 5000)
        assert store.load([*KEYS[:5], here])[-1] == before  # moved: the old node asks to ask the new one
        assert store.save([write(here, before, step=7)]) == [True]
        move_slot(cluster, slot, source, target)
        loaded = store.load([here, *KEYS[:5]])[0]  # the old node says for good where it is
        assert loaded is not None
        assert decode_state(loaded).hidden_step == 7
        assert store.save([write(here, loaded, step=8)]) == [True]
        assert target.ask("EXISTS", f"nj:{{{here}}}") == 1
    finally:
        target.ask("DEL", f"nj:{{{here}}}")
        move_slot(cluster, slot, target, source)


def test_a_master_that_dies_is_replaced_and_takes_nothing_with_it() -> None:
    with EmbeddedRedisCluster() as cluster:
        store = connect(cluster.url, replicas=1)
        writes = [write(key) for key in KEYS]
        assert store.save(writes) == [True] * len(KEYS)
        cluster.masters[0].kill()
        with pytest.raises(StoreUnavailableError):
            store.load(KEYS)
        wait_until(lambda: bool(tried(store)), "the replica", timeout_s=30)
        assert store.load(KEYS) == [one.blob for one in writes]
        # Nobody copies the slots of the replica that took over: that is not enough any more.
        with pytest.raises(StoreUnavailableError, match="0 of 1 replicas"):
            store.save([write(one.key, one.blob) for one in writes])
        cluster.masters[0].start()
        cluster.wait_until_whole()
        again = [write(key, blob, step=2) for key, blob in zip(KEYS, store.load(KEYS), strict=True)]
        assert store.save(again) == [True] * len(KEYS)
        store.close()


def tried(store: RedisStore) -> list[bytes | None]:
    try:
        return store.load(KEYS)
    except StoreUnavailableError:
        return []


def test_replicas_of_a_single_server_are_waited_for_too(redis_url: str) -> None:
    store = connect(redis_url, replicas=1)
    with pytest.raises(StoreUnavailableError, match="0 of 1 replicas"):
        store.save([write(KEYS[0])])
    store.close()


def test_no_node_is_said_with_the_addresses() -> None:
    with pytest.raises(
        StoreUnavailableError, match=r"Redis at 127\.0\.0\.1:1,127\.0\.0\.1:2 cannot be reached"
    ):
        connect("redis+cluster://:secret@127.0.0.1:1,127.0.0.1:2").ping()


def test_a_store_that_could_not_connect_does_so_later() -> None:
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


def test_what_contradicts_the_url_is_a_matter_of_settings(
    cluster: EmbeddedRedisCluster, own_redis: EmbeddedRedis
) -> None:
    single = connect(own_redis.url.replace("redis://", "redis+cluster://"))
    with pytest.raises(SettingsError, match="is not a cluster"):
        single.ping()
    plain = connect(f"redis://{cluster.masters[0].place}/0")
    with pytest.raises(SettingsError, match="is a cluster"):
        plain.load(KEYS)
    plain.close()


def test_a_refused_password_is_a_matter_of_settings() -> None:
    with EmbeddedRedisCluster(n_masters=1, replicas=0) as cluster:
        phrase = "open sesame"
        with Redis(port=cluster.nodes[0].ports[0]) as client:
            client.config_set("requirepass", phrase)
        with pytest.raises(SettingsError, match="NIGHTJAR_REDIS_PASSWORD"):
            connect(cluster.url).ping()
        accepted = connect(cluster.url, password=phrase)
        accepted.ping()
        accepted.close()


def test_urls_name_any_number_of_nodes() -> None:
    assert read_url("redis+cluster://u:p%40@a:1,b,[::1]:3/0?socket_keepalive=1") == (
        "redis://u:p%40@a:1/0?socket_keepalive=1",
        [("a", 1), ("b", 6379), ("::1", 3)],
    )
    assert read_url("rediss+cluster://[::1]:7") == ("rediss://[::1]:7/0", [("::1", 7)])


@pytest.mark.parametrize("url", ["redis+cluster://", "redis+cluster://a:port", "redis+cluster://a:1/3"])
def test_an_unusable_url_is_a_matter_of_settings(url: str) -> None:
    with pytest.raises(SettingsError, match="NIGHTJAR_REDIS_URL"):
        connect(url)
