"""What a worker writes into the index is what the stored objects say, replays and cuts included."""

from typing import Any

from redis import Redis

from service.settings import Settings
from service.tools.reindex import Reindexer
from service.wiring.stores import object_store
from tests.support.service import stored_states
from tests.worker.batches import STREAM, process
from tests.worker.conftest import ProcessorFactory


def index_of(redis_url: str) -> dict[bytes, Any]:
    with Redis.from_url(redis_url) as redis:
        return {key: redis.zrange(key, 0, -1, withscores=True) for key in sorted(redis.scan_iter("nj:i:*"))}


def summaries_of(redis_url: str) -> dict[bytes, Any]:
    with Redis.from_url(redis_url) as redis:
        return {key: redis.get(key) for key in sorted(redis.scan_iter("nj:s:*"))}


def test_the_index_says_what_the_objects_say(make_processor: ProcessorFactory, redis_url: str) -> None:
    process(make_processor(), STREAM, 23)
    states, written = stored_states(redis_url), index_of(redis_url)
    assert len(summaries_of(redis_url)) == len(states) > 20
    for kind in (b"nj:i:t:", b"nj:i:p:"):
        names = [name for key, rows in written.items() if key.startswith(kind) for name, _ in rows]
        assert len(names) == len(states)
    counts = Reindexer(object_store(Settings(redis_url=redis_url))).run()
    assert (counts["indexed"], counts["summaries_written"]) == (len(states), 0)
    # What is left over of classes that were probable once is all that there was too much.
    kept = {key: [row for row in rows if row in written[key]] for key, rows in index_of(redis_url).items()}
    assert kept == index_of(redis_url)


def test_a_replay_leaves_the_index_as_it_is_and_mends_what_it_lacks(
    make_processor: ProcessorFactory, redis_url: str
) -> None:
    made = make_processor()
    process(made, STREAM, 50)
    before = index_of(redis_url), summaries_of(redis_url)
    process(made, STREAM, 31)
    assert (index_of(redis_url), summaries_of(redis_url)) == before
    # As if a worker had been cut off between the objects and their index.
    with Redis.from_url(redis_url) as redis:
        redis.delete("nj:i", *before[0])
    process(make_processor(), STREAM, 50)
    Reindexer(object_store(Settings(redis_url=redis_url))).run()
    mended = index_of(redis_url)
    assert {key: rows for key, rows in mended.items() if not key.startswith(b"nj:i:c")} == {
        key: rows for key, rows in before[0].items() if not key.startswith(b"nj:i:c")
    }
    assert all(row in before[0][key] for key, rows in mended.items() for row in rows)
