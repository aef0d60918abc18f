"""The index follows the store: what expired there leaves it, what is there stays."""

import dataclasses
import time
from datetime import timedelta

import pytest
from redis import Redis

from service.core.alerts import Survey
from service.core.ports.store import StateWrite
from service.core.state.object_state import encode_state
from service.core.state.summary import index_entries, summarise
from service.redis.store import RedisStore
from service.worker.index_sweep import INTERVAL, IndexSweep
from tests.support.objects import classification, object_state

NAMES = ("Ia", "II")
STEP_MS = int(INTERVAL / timedelta(milliseconds=1))


def put(redis_url: str, keys: list[str], expiry: timedelta) -> RedisStore:
    """Store classified objects that are forgotten after some time."""
    store = RedisStore.connect(redis_url, timeout=timedelta(seconds=5), expiry=expiry)
    state = dataclasses.replace(object_state([classification(1, 7, [0.6, 0.4])]), counter=1)
    summaries = summarise([state] * len(keys))
    columns = zip(keys, summaries.stored(), strict=True)
    assert all(store.save([StateWrite(key, encode_state(state), None, summary) for key, summary in columns]))
    store.index.add(index_entries(keys, summaries, lambda _: NAMES))
    return store


def sizes(redis_url: str) -> set[int]:
    client = Redis.from_url(redis_url)
    found = {client.zcard(key) for key in client.scan_iter("nj:i:*")}
    client.close()
    return found


def test_what_expired_leaves_every_index_and_the_rest_stays(redis_url: str) -> None:
    put(redis_url, [f"ztf:old{number}" for number in range(2500)], timedelta(milliseconds=50)).close()
    store = put(redis_url, [f"ztf:new{number}" for number in range(40)], timedelta(days=1))
    time.sleep(0.1)
    assert sizes(redis_url) == {2540}
    sweep, gone = IndexSweep(store.index), 0
    for turn in range(1, 20):
        gone += sweep.step(turn * STEP_MS)
    assert gone == 2500
    assert sizes(redis_url) == {40}
    assert sorted(store.index.scan(("t", Survey.ZTF), 0, count=100)[1])[0] == "ztf:new0"
    store.close()


def test_it_takes_its_time(redis_url: str) -> None:
    store = put(redis_url, ["lsst:1"], timedelta(milliseconds=20))
    time.sleep(0.05)
    sweep = IndexSweep(store.index)
    assert sweep.step(STEP_MS) == 1
    store.index.add({("t", "lsst"): {"2": 1.0}})
    assert sweep.step(2 * STEP_MS - 1) == 0
    assert sweep.step(2 * STEP_MS) == 1
    store.close()


@pytest.mark.parametrize("turns", [1, 3])
def test_an_empty_store_is_no_trouble(redis_url: str, turns: int) -> None:
    store = RedisStore.connect(redis_url, timeout=timedelta(seconds=5), expiry=timedelta(days=1))
    sweep = IndexSweep(store.index)
    assert [sweep.step(turn * STEP_MS) for turn in range(1, turns + 1)] == [0] * turns
    store.close()
