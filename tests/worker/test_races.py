"""Two workers on one object: the loser recomputes, nothing is lost, and nobody waits for ever."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from redis import Redis

from service.core.compare_and_set import MAX_ATTEMPTS
from service.core.ports.store import StateWrite
from service.core.state.layout import COUNTER_OFFSET
from service.errors import StoreUnavailableError
from service.redis.store import RedisStore
from service.settings import Settings
from service.wiring.worker import batch_processor
from service.worker.batch import BatchProcessor
from tests.support.service import light_curves, stored_states
from tests.worker.batches import STREAM, another_database, object_with_alerts, results
from tests.worker.conftest import ProcessorFactory

SettingsMaker = Callable[..., Settings]


class Racing(RedisStore):
    """A store in which somebody else is quicker, some number of times."""

    rivals: Sequence[Callable[[], Any]] = ()

    def save(self, writes: Sequence[StateWrite]) -> list[bool]:
        if self.rivals:
            self.rivals[0]()
            self.rivals = self.rivals[1:]
        return super().save(writes)


def racing(settings: Settings, rivals: Sequence[Callable[[], Any]]) -> BatchProcessor:
    racer = Racing.connect(
        str(settings.redis_url), timeout=settings.redis_timeout, expiry=settings.object_ttl
    )
    made = batch_processor(settings, racer)
    made.prepare()
    racer.rivals = rivals
    return made


def test_loser_of_a_race_recomputes_and_nothing_is_lost(
    pipeline_settings: SettingsMaker, make_processor: ProcessorFactory, redis_url: str
) -> None:
    own = object_with_alerts(4)
    winner, settings = make_processor(), pipeline_settings()
    rivals = [lambda: winner.process(own[1:2]), lambda: winner.process(own[3:4])]

    loser = racing(settings, rivals)
    batch = loser.process([own[0], own[2]])

    assert len(results([batch.outgoing])) == 2
    make_processor(redis_url=another_database(redis_url)).process(own[:4])
    assert light_curves(redis_url) == light_curves(another_database(redis_url))


def test_loser_repeats_the_result_of_a_winner_that_had_the_same_alert(
    pipeline_settings: SettingsMaker, make_processor: ProcessorFactory
) -> None:
    winner, won = make_processor(), []

    loser = racing(pipeline_settings(), [lambda: won.append(winner.process(STREAM[:10]))])
    batch = loser.process(STREAM[:10])

    assert results([batch.outgoing]) == results([won[0].outgoing])


def test_races_lost_without_end_are_an_error_that_can_be_tried_again(
    pipeline_settings: SettingsMaker, redis_url: str
) -> None:
    settings = pipeline_settings()
    own = object_with_alerts(2)
    racing(settings, []).process(own[:1])
    (name,) = stored_states(redis_url)
    client = Redis.from_url(redis_url)

    def interfere() -> None:
        client.setrange(f"nj:{{{name}}}", COUNTER_OFFSET, uuid.uuid4().bytes[:8])

    loser = racing(settings, [interfere] * MAX_ATTEMPTS)
    with pytest.raises(StoreUnavailableError, match="changed by other writers"):
        loser.process(own[1:2])
    client.close()
