import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from service.api.request_coalescing import MAX_BATCH, BatchLoader
from service.errors import SettingsError, StoreUnavailableError
from service.redis.store import RedisStore
from tests.support.objects import object_state, put

KEYS = [f"ztf:ZTF21aaaaaa{letter}" for letter in "abcdef"]
LOST = KEYS[2]


class WatchedStore(RedisStore):
    """A store that notes what it is asked for, waits for a sign, and does not answer for lost keys."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.asked: list[list[str]] = []
        self.gate = threading.Event()
        self.lost: set[str] = set()

    def load(self, keys: Sequence[str]) -> list[bytes | None]:
        self.asked.append(list(keys))
        self.gate.wait(10)
        if self.lost & set(keys):
            raise StoreUnavailableError("lost")
        return super().load(keys)


@pytest.fixture
def watched(redis_url: str) -> Iterator[WatchedStore]:
    store = WatchedStore.connect(redis_url, timeout=timedelta(seconds=5), expiry=timedelta(days=1))
    yield store
    store.close()


def answers(store: WatchedStore, wanted: Sequence[Sequence[str]]) -> list[Any]:
    """Ask for all at once, and let the store answer when all have asked."""

    async def ask() -> list[Any]:
        loads = BatchLoader(store)
        asking: list[Coroutine[Any, Any, Any]] = [loads.load(keys) for keys in wanted]
        gathered = asyncio.gather(*asking, return_exceptions=True)
        while not store.asked:
            await asyncio.sleep(0.01)
        store.gate.set()
        return await gathered

    return asyncio.run(ask())


def test_each_gets_its_own_objects_of_a_round_trip_with_others(
    store: RedisStore, watched: WatchedStore
) -> None:
    for key in KEYS[:4]:
        put(store, key, object_state())
    wanted = [[KEYS[5]], [KEYS[0]], [KEYS[4], KEYS[1]], [KEYS[0]], [KEYS[2], KEYS[3]]]
    one_by_one = [store.load(keys) for keys in wanted]

    assert answers(watched, wanted) == one_by_one
    assert len(watched.asked) == 1  # they came before the first was on its way


def test_what_comes_during_a_round_trip_goes_into_the_next(watched: WatchedStore) -> None:
    async def ask() -> None:
        loads = BatchLoader(watched)
        first = asyncio.ensure_future(loads.load([KEYS[0]]))
        while not watched.asked:
            await asyncio.sleep(0.01)
        others = [asyncio.ensure_future(loads.load([key])) for key in KEYS[1:]]
        await asyncio.sleep(0.05)
        watched.gate.set()
        await asyncio.gather(first, *others)

    asyncio.run(ask())

    assert watched.asked == [[KEYS[0]], KEYS[1:]]


def test_store_that_does_not_answer_for_one_answers_for_the_others(
    store: RedisStore, watched: WatchedStore
) -> None:
    put(store, KEYS[0], object_state())
    watched.lost = {LOST}

    found = answers(watched, [[key] for key in KEYS])

    assert found[0] == store.load([KEYS[0]])
    assert [type(one) for one in found] == [StoreUnavailableError if key == LOST else list for key in KEYS]


def test_reason_is_kept_where_one_asks_alone(redis_url: str) -> None:
    class Refused(WatchedStore):
        def load(self, keys: Sequence[str]) -> list[bytes | None]:
            self.asked.append(list(keys))
            raise SettingsError("wrong password")

    store = Refused.connect(redis_url, timeout=timedelta(seconds=5), expiry=timedelta(days=1))

    for wanted in ([[KEYS[0]]], [[KEYS[0]], [KEYS[1]]]):
        assert {type(one) for one in answers(store, wanted)} == {SettingsError}
    store.close()


def test_who_gave_up_takes_nothing_from_the_others(store: RedisStore, watched: WatchedStore) -> None:
    put(store, KEYS[1], object_state())

    async def ask() -> list[bytes | None]:
        loads = BatchLoader(watched)
        impatient = asyncio.ensure_future(loads.load([KEYS[0]]))
        patient = asyncio.ensure_future(loads.load([KEYS[1]]))
        while not watched.asked:
            await asyncio.sleep(0.01)
        impatient.cancel()
        await asyncio.sleep(0)
        watched.gate.set()
        return await patient

    assert asyncio.run(ask()) == store.load([KEYS[1]])


def test_round_trip_has_a_bound(watched: WatchedStore) -> None:
    found = answers(watched, [[KEYS[n % 6]] for n in range(2 * MAX_BATCH + 1)])

    assert len(found) == 2 * MAX_BATCH + 1
    assert [len(keys) for keys in watched.asked] == [MAX_BATCH, MAX_BATCH, 1]
