"""A shadow model answers every alert of its survey aside, and nobody who does not ask notices."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from service.core.alerts import Survey, object_key
from service.core.models.bundle import load_bundle
from service.core.ports.messages import OutgoingMessage
from service.core.state.shadow_history import read_histories
from service.errors import SettingsError
from service.settings import Settings
from service.wiring.models import load_shadow_bundles
from service.wiring.stores import object_store
from service.wiring.worker import batch_processor
from service.worker.batch import BatchProcessor
from tests.support.bundles import write_random_bundle
from tests.worker.batches import STREAM, another_database, read, results
from tests.worker.conftest import ProcessorFactory

SHADOW_TOPIC = "shadow"


class StoppedClock:
    """Says always the same, so that whole messages and stored values can be compared."""

    def now_ms(self) -> int:
        return 1_750_000_000_000

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody else is here, yet it waits {seconds} s")


@pytest.fixture(scope="module")
def shadow(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write another model for ZTF."""
    return str(write_random_bundle(tmp_path_factory.mktemp("shadow"), seed=7, name="ztf-next", version="2"))


def aside(messages: list[OutgoingMessage]) -> list[OutgoingMessage]:
    return [message for message in messages if message.topic == SHADOW_TOPIC]


def stopped(make: ProcessorFactory, **values: Any) -> BatchProcessor:
    made = make(**values)
    made._clock = StoppedClock()
    return made


def stored(redis_url: str) -> dict[bytes, bytes]:
    with Redis.from_url(redis_url) as client:
        return {key: client.get(key) or b"" for key in client.scan_iter("nj:{*}")}


def test_everything_else_is_the_same_to_the_byte_with_and_without_a_shadow(
    make_processor: ProcessorFactory, redis_url: str, shadow: str
) -> None:
    names = {"output_topic": "out", "rejected_topic": "rejected", "desc_topic": "desc"}
    plain = stopped(make_processor, **names)
    other = another_database(redis_url)
    shadowed = stopped(
        make_processor, redis_url=other, ztf_shadow_model=shadow, shadow_topic=SHADOW_TOPIC, **names
    )
    for begin in range(0, len(STREAM), 30):
        batch = STREAM[begin : begin + 30]
        alone, beside = plain.process(batch), shadowed.process(batch)
        assert [one for one in beside.outgoing if one.topic != SHADOW_TOPIC] == alone.outgoing
        assert (beside.consumed, beside.outcomes, beside.top_classes) == (
            alone.consumed,
            alone.outcomes,
            alone.top_classes,
        )
        assert len(aside(beside.outgoing)) == sum(message.topic == "ztf" for message in batch)
    assert stored(other) == stored(redis_url)


def test_shadow_says_what_it_would_say_if_it_were_at_work(
    make_processor: ProcessorFactory, redis_url: str, shadow: str
) -> None:
    batch = make_processor(ztf_shadow_model=shadow, shadow_topic=SHADOW_TOPIC).process(STREAM)
    at_work = make_processor(redis_url=another_database(redis_url), ztf_model=shadow).process(STREAM)

    expected = results([[one for one in at_work.outgoing if source(one).startswith(b"ztf:")]])
    assert results([aside(batch.outgoing)]) == expected
    names = {
        (record["classifier"]["name"], record["classifier"]["version"])
        for record in map(read, aside(batch.outgoing))
    }
    assert names == {("ztf-next", "2")}


def source(message: OutgoingMessage) -> bytes:
    return dict(message.headers)["source"]


def test_repeated_alert_is_answered_by_the_shadow_too_and_the_same(
    make_processor: ProcessorFactory, shadow: str
) -> None:
    made = make_processor(ztf_shadow_model=shadow, shadow_topic=SHADOW_TOPIC)
    own = [message for message in STREAM if message.topic == "ztf"]

    first, again = made.process(own), made.process(own)

    assert results([aside(again.outgoing)]) == results([aside(first.outgoing)])
    assert len(aside(first.outgoing)) == len(own)


def test_answers_of_the_shadow_are_kept_beside_the_objects(
    make_processor: ProcessorFactory, pipeline_settings: Callable[..., Settings], shadow: str
) -> None:
    made = make_processor(ztf_shadow_model=shadow, shadow_topic=SHADOW_TOPIC)
    published = [read(message) for message in aside(made.process(STREAM).outgoing)]

    objects = object_store(pipeline_settings())
    digest = load_bundle(shadow).digest
    names = sorted({record["object_id"] for record in published})
    histories = read_histories(objects.for_model(digest), [object_key(Survey.ZTF, name) for name in names])
    kept = {(name, one.alert_id) for name, history in zip(names, histories, strict=True) for one in history}
    assert kept == {(record["object_id"], record["alert_id"]) for record in published}
    assert objects.models()[digest].name == "ztf-next"
    objects.close()


def test_shadow_abstains_by_the_policy_of_the_model_at_work(
    make_processor: ProcessorFactory, shadow: str
) -> None:
    made = make_processor(ztf_shadow_model=shadow, shadow_topic=SHADOW_TOPIC, min_real_bogus=1.0)

    records = [read(message) for message in aside(made.process(STREAM[:40]).outgoing)]

    assert {record["reason"] for record in records} == {"low_real_bogus"}


def test_shadow_of_lsst_answers_elasticc_too(
    tmp_path: Path, settings_factory: Callable[..., Settings]
) -> None:
    path = str(write_random_bundle(tmp_path, survey=Survey.LSST, name="lsst-next"))
    assert load_shadow_bundles(settings_factory(lsst_shadow_model=path)).keys() == {
        Survey.LSST,
        Survey.ELASTICC,
    }
    assert load_shadow_bundles(settings_factory()) == {}


def test_shadow_without_a_topic_is_refused(settings_factory: Callable[..., Settings], shadow: str) -> None:
    settings = settings_factory(ztf_shadow_model=shadow, shadow_topic="", ztf_topics=("ztf",))
    with pytest.raises(SettingsError, match="NIGHTJAR_SHADOW_TOPIC"):
        batch_processor(settings, object_store(settings))


def test_service_does_not_read_what_its_shadow_writes(settings_factory: Callable[..., Settings]) -> None:
    settings = settings_factory(ztf_topics=("^nightjar[.]s",))
    with pytest.raises(SettingsError, match=r"nightjar\.shadow"):
        batch_processor(settings, object_store(settings))
