"""The index and the filters in Redis, on one server and on a cluster."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from redis import Redis

from service.core.alerts import Survey
from service.core.search.criteria import Criteria, IndexEntry, ScoreRange
from service.core.search.filters import FilterSpec
from service.errors import StoreUnavailableError
from service.redis.store import RedisStore
from tests.support.objects import classification, object_state, put_all
from tests.support.redis_cluster import EmbeddedRedisCluster

TIMES, PIXELS, IA = ("t", "ztf"), ("p", "ztf"), ("c", "ztf", "Ia")
EVERYTHING = (float("inf"), float("-inf"))


def connect(url: str) -> RedisStore:
    return RedisStore.connect(url, timeout=timedelta(seconds=5), expiry=timedelta(days=1))


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedRedisCluster]:
    with EmbeddedRedisCluster() as running:
        yield running


@pytest.fixture(params=["server", "cluster"])
def store(request: pytest.FixtureRequest) -> Iterator[RedisStore]:
    if request.param == "server":
        url: str = request.getfixturevalue("redis_url")
    else:
        cluster: EmbeddedRedisCluster = request.getfixturevalue("cluster")
        url = cluster.url
        for master in cluster.masters:
            master.ask("FLUSHALL")
    store = connect(url)
    yield store
    store.close()


def test_objects_are_ranked_by_score_then_by_name_backwards(store: RedisStore) -> None:
    store.index.add({TIMES: {"a": 1.0, "b": 3.0, "c": 3.0, "d": 2.5}, IA: {"a": 0.25}})
    best, rest, probable = store.index.ranked(
        [
            ScoreRange(TIMES, 3.0, 2.0, 0, 2),
            ScoreRange(TIMES, 2.5, *EVERYTHING[1:], 0, 9),
            ScoreRange(IA, *EVERYTHING, 0, 9),
        ]
    )
    assert best == [IndexEntry(3.0, "ztf:c"), IndexEntry(3.0, "ztf:b")]
    assert rest == [IndexEntry(2.5, "ztf:d"), IndexEntry(1.0, "ztf:a")]
    assert probable == [IndexEntry(0.25, "ztf:a")]
    assert store.index.count(TIMES, 3.0, 2.5) == 3
    assert store.index.names() == [IA, TIMES]


def test_objects_are_found_in_half_open_ranges(store: RedisStore) -> None:
    store.index.add({PIXELS: {"a": 10, "b": 19, "c": 20, "d": 2**52 + 1}})
    surveys, last = [Survey.ZTF, Survey.LSST], 2**52
    assert store.index.within(surveys, [(10, 20), (last, last + 2)], limit=9) == ["ztf:a", "ztf:b", "ztf:d"]
    assert store.index.within(surveys, [(0, 100)], limit=2) == ["ztf:a", "ztf:b"]


def test_index_is_scanned_and_entries_removed(store: RedisStore) -> None:
    names = {f"o{number}": float(number) for number in range(2000)}
    store.index.add({TIMES: names, PIXELS: names, IA: dict.fromkeys(names, 0.5)})
    scanned: list[str] = []
    cursor = -1
    while cursor:
        cursor, keys = store.index.scan(TIMES, max(cursor, 0), count=300)
        scanned += keys
    assert {key.removeprefix("ztf:") for key in scanned} == set(names)
    store.index.forget(["ztf:o1", "ztf:o2"])
    store.index.remove(IA, ["ztf:o1"])
    counts = {name: store.index.count(name, *EVERYTHING) for name in (TIMES, PIXELS, IA)}
    assert counts == {TIMES: 1998, PIXELS: 1998, IA: 1999}


def test_summary_is_written_with_its_object(store: RedisStore) -> None:
    keys = [f"ztf:ZTF21aaaaa{a}{b}" for a in "abc" for b in "abcde"]
    put_all(store, {key: object_state([classification(1, 7, [0.5, 0.5], day=4)]) for key in keys})
    assert all(store.index.summaries(keys))
    assert store.index.summaries(["ztf:ZTF21zzzzzzz"]) == [None]
    # Summaries do not count as objects; the index has a few keys as well.
    assert len(keys) <= store.usage().objects <= len(keys) + 8


def test_filters_are_stored_by_name(store: RedisStore) -> None:
    second, first = (FilterSpec(name, Criteria(class_name="Ia")) for name in ("b", "a"))
    assert store.filters.put(second)
    assert store.filters.put(first)
    assert not store.filters.put(first)
    assert store.filters.all() == [first, second]
    assert store.filters.remove("a")
    assert not store.filters.remove("a")
    assert store.filters.all() == [second]


def test_unreachable_server_is_reported_with_its_address() -> None:
    store = connect("redis://127.0.0.1:1/0")
    for call in (
        lambda: store.index.add({TIMES: {"a": 1.0}}),
        lambda: store.index.names(),
        lambda: store.index.summaries(["ztf:a"]),
        store.filters.all,
    ):
        with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:1"):
            call()


def test_key_of_another_type_is_an_error(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.set("nj:i:t:ztf", "text")
    with pytest.raises(StoreUnavailableError, match="rejects a command"):
        connect(redis_url).index.add({TIMES: {"a": 1.0}})
