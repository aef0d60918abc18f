"""The search index is rebuilt from the stored objects."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis

from service.core.alerts import Survey
from service.core.models.info import ModelInfo
from service.core.state.object_state import decode_state
from service.redis.index import summary_key
from service.redis.store import RedisStore
from service.tools.reindex import Reindexer
from tests.support.command import nightjar
from tests.support.objects import classification, object_state, put, put_all

MODEL = ModelInfo(7, Survey.ZTF, "some-model", "2.1", 1, ((2222, "Ia"), (2224, "II")))
KEYS = [f"ztf:ZTF21aaaaa{a}{b}" for a in "abc" for b in "abcdefg"]


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisStore]:
    store = RedisStore.connect(redis_url, timeout=timedelta(seconds=5), expiry=timedelta(days=1))
    store.register_model(MODEL)
    put_all(store, {key: object_state([classification(1, 7, [0.75, 0.25], day=4)]) for key in KEYS})
    yield store
    store.close()


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


def index_of(redis: Redis) -> dict[bytes, Any]:
    return {key: redis.zrange(key, 0, -1, withscores=True) for key in sorted(redis.scan_iter("nj:i:*"))}


def test_a_lost_index_is_made_anew(store: RedisStore, redis: Redis, redis_url: str) -> None:
    before, summaries = index_of(redis), store.index.summaries(KEYS)
    redis.delete("nj:i", *before, *map(summary_key, KEYS))
    states = store.load(KEYS)
    result = nightjar("reindex", "--json", NIGHTJAR_REDIS_URL=redis_url)
    assert result.returncode == 0, result.stderr
    expected = {"indexed": 21, "summaries_written": 21, "unreadable": 0, "entries_removed": 0}
    assert json.loads(result.stdout) == expected
    assert index_of(redis) == before
    assert len(before) == 4
    assert store.index.summaries(KEYS) == summaries
    for old, new in zip(states, store.load(KEYS), strict=True):
        assert old is not None
        assert new is not None
        assert decode_state(new).counter == decode_state(old).counter + 1
        assert new[16:] == old[16:]


def test_what_should_not_be_there_is_removed_and_the_rest_left_alone(store: RedisStore, redis: Redis) -> None:
    before, states = index_of(redis), store.load(KEYS)
    redis.zadd("nj:i:t:ztf", {"ZTF21gone": 1.0})
    redis.zadd("nj:i:p:ztf", {"ZTF21gone": 1.0})
    store.index.add({("c", "ztf", "TDE"): {"ZTF21aaaaaaa": 0.9}})
    counts = Reindexer(store).run()
    assert counts == {"indexed": 21, "summaries_written": 0, "unreadable": 0, "entries_removed": 3}
    assert index_of(redis) == before
    assert store.load(KEYS) == states
    assert Reindexer(store).run()["entries_removed"] == 0


def test_an_object_that_cannot_be_read_is_counted_and_passed_over(store: RedisStore, redis: Redis) -> None:
    redis.set(f"nj:{{{KEYS[0]}}}", b"nonsense")
    counts = Reindexer(store).run()
    assert (counts["indexed"], counts["unreadable"]) == (20, 1)
    put(store, KEYS[0], object_state())
    assert Reindexer(store).run()["unreadable"] == 0
