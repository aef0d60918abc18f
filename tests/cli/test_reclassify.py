"""``nightjar reclassify`` runs any model over stored light curves and changes no existing results."""

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis import Redis

from service.core.alerts import Survey
from service.core.classification import Classification
from service.core.classifier import ObjectClassifier
from service.core.models.bundle import load_bundle
from service.core.models.info import ModelInfo
from service.core.state.shadow_history import read_histories
from service.embedded.broker import Broker, create_topics
from service.redis.store import RedisStore
from service.settings import Settings
from service.tools.reclassify.results import TopicResults
from service.tools.reclassify.runner import OBJECTS_PER_BATCH, Reclassifier
from service.wiring.stores import object_store
from service.wiring.tools import connected_sink, kafka_clients
from service.wiring.worker import batch_processor
from tests.conftest import SettingsFactory
from tests.support.bundles import write_random_bundle
from tests.support.command import nightjar
from tests.support.crowd import crowd
from tests.support.kafka import read_topic
from tests.support.models import model_settings
from tests.support.service import settings_as_environment, stored_states
from tests.support.streams import TOPICS, source_messages
from tests.worker.batches import STREAM, read

Reclassify = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Write the deployed models, and ``next``, another one for ZTF."""
    directory = tmp_path_factory.mktemp("bundles")
    other = write_random_bundle(directory / "next", seed=7, name="ztf-next", version="2")
    return model_settings(directory) | {"next": str(other)}


@pytest.fixture
def settings(
    redis_url: str, settings_factory: SettingsFactory, bundles: dict[str, str], request: pytest.FixtureRequest
) -> Settings:
    """Return settings of a service that has classified a stream; with a broker if the test uses one."""
    broker = request.getfixturevalue("broker") if "broker" in request.fixturenames else None
    topics = {f"{survey.value}_topics": (topic,) for survey, topic in TOPICS.items()}
    models = {name: path for name, path in bundles.items() if name != "next"}
    made = settings_factory(broker, redis_url, **(topics | models))
    work = batch_processor(made, object_store(made))
    work.prepare()
    work.process(STREAM)
    return made


@pytest.fixture
def reclassify(settings: Settings, bundles: dict[str, str]) -> Reclassify:
    """Return a function that runs the command and returns its counts."""

    def call(*arguments: str) -> dict[str, Any]:
        done = run(settings, "--model", bundles["next"], "--json", *arguments)
        assert done.returncode == 0, done.stderr
        counts: dict[str, Any] = orjson.loads(done.stdout)
        return counts

    return call


def run(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return nightjar("reclassify", *arguments, timeout_s=120, **settings_as_environment(settings))


def everything(redis_url: str) -> dict[bytes, bytes]:
    """Return the stored objects and summaries."""
    with Redis.from_url(redis_url) as client:
        return {key: client.get(key) or b"" for key in client.scan_iter("nj:{*}")}


def aside(settings: Settings, bundle: str) -> dict[str, list[Classification]]:
    """Return the shadow results of a model, by object."""
    stored = RedisStore.connect(
        str(settings.redis_url), timeout=timedelta(seconds=5), expiry=timedelta(days=1)
    )
    keys = sorted(stored_states(str(settings.redis_url)))
    found = read_histories(stored.for_model(load_bundle(bundle).digest), keys)
    stored.close()
    return {key: list(history) for key, history in zip(keys, found, strict=True) if len(history)}


def expected(bundles: dict[str, str], make: SettingsFactory, redis_url: str) -> dict[tuple[str, int], Any]:
    """Return what the other model publishes for each alert where it is deployed itself."""
    topics = {f"{survey.value}_topics": (topic,) for survey, topic in TOPICS.items()}
    at_work = make(
        None, redis_url.removesuffix("/0") + "/1", ztf_model=bundles["next"], lsst_model="", **topics
    )
    work = batch_processor(at_work, object_store(at_work))
    work.prepare()
    records = [read(message) for message in work.process(STREAM).outgoing]
    return {
        (f"ztf:{record['object_id']}", record["alert_id"]): record
        for record in records
        if record["survey"] == "ztf"
    }


def latest_alerts(redis_url: str) -> dict[str, int]:
    """Return the latest alert of each ZTF object."""
    states = {key: one for key, one in stored_states(redis_url).items() if key.startswith("ztf:")}
    return {key: max(one.history, key=lambda item: item.mjd_tai).alert_id for key, one in states.items()}


def test_latest_alert_of_each_object_is_classified_as_the_model_would_have_at_work(
    settings: Settings,
    reclassify: Reclassify,
    bundles: dict[str, str],
    settings_factory: SettingsFactory,
    redis_url: str,
) -> None:
    before = everything(redis_url)

    counts = reclassify()

    assert everything(redis_url) == before
    latest, answers = latest_alerts(redis_url), aside(settings, bundles["next"])
    would_say = expected(bundles, settings_factory, redis_url)
    assert {key: one.alert_id for key, (one,) in answers.items()} == latest
    for key, (one,) in answers.items():
        record = would_say[key, one.alert_id]
        assert one.reason.label == (record["reason"] or "classified")
        assert one.probability.tolist() == pytest.approx(
            [entry["probability"] for entry in record["classifications"]], abs=1e-6
        )
    n = len(latest)
    assert counts["objects"] == {"read": n}
    assert sum(counts["alerts"].values()) == n
    assert counts["alerts"]["there already"] == 0


def test_second_run_finds_everything_there(reclassify: Reclassify, redis_url: str) -> None:
    reclassify()
    counts = reclassify()

    assert counts["alerts"] == {"there already": len(latest_alerts(redis_url))}
    with_all = reclassify("--all-epochs")
    n_alerts = sum(message.topic == "ztf" for message in STREAM)
    assert with_all["alerts"]["there already"] == len(latest_alerts(redis_url))
    assert sum(with_all["alerts"].values()) == n_alerts


def test_objects_can_be_named_and_what_is_unknown_is_counted(
    reclassify: Reclassify, redis_url: str, tmp_path: Path
) -> None:
    first, second, *_ = sorted(latest_alerts(redis_url))
    listed = tmp_path / "ids"
    listed.write_text(f"{second}\nZTF18zzzzzzz\n")

    counts = reclassify(
        "--objects", first.removeprefix("ztf:"), "--objects", f"@{listed}", "--objects", first
    )

    assert counts["objects"] == {"read": 2, "unknown": 1}


def test_objects_without_a_recent_alert_are_passed_over(reclassify: Reclassify, redis_url: str) -> None:
    counts = reclassify("--since", "P1D")

    assert counts["objects"] == {"before --since": len(latest_alerts(redis_url))}


def test_results_in_a_topic_come_once_however_often_it_is_called(
    broker: Broker, settings: Settings, reclassify: Reclassify, bundles: dict[str, str], redis_url: str
) -> None:
    topic = f"{settings.group_id}-again"
    before = everything(redis_url)
    n_latest, n_alerts = len(latest_alerts(redis_url)), sum(message.topic == "ztf" for message in STREAM)

    reclassify("--topic", topic)
    again = reclassify("--topic", topic, "--all-epochs")

    assert again["alerts"]["there already"] == n_latest
    records = read_topic(broker.bootstrap_servers, topic)
    assert len({record.headers["alert"] for record in records}) == len(records) == n_alerts
    values = [orjson.loads(record.value) for record in records]
    assert {value["classifier"]["name"] for value in values if value["classifier"]} == {"ztf-next"}
    digest = f"{load_bundle(bundles['next']).digest:016x}".encode()
    assert {record.headers["model"] for record in records} == {digest}
    assert {of_the_alert(value) for value in values} == {of_the_alert(one) for one in at_work(settings)}
    assert everything(redis_url) == before


def of_the_alert(record: dict[str, Any]) -> tuple[Any, ...]:
    """Return the fields of a record that do not depend on the model."""
    return tuple(record[name] for name in ("survey", "object_id", "alert_id", "mjd_tai", "band"))


def at_work(settings: Settings) -> list[dict[str, Any]]:
    """Return the ZTF records of the service when it processes its stream again."""
    work = batch_processor(settings, object_store(settings))
    work.prepare()
    return [one for one in map(read, work.process(STREAM).outgoing) if one["survey"] == "ztf"]


def test_run_that_was_interrupted_goes_on_where_it_stopped(
    broker: Broker, settings: Settings, bundles: dict[str, str]
) -> None:
    objects, topic = object_store(settings), f"{settings.group_id}-interrupted"
    work = batch_processor(settings, objects)
    packets = [(Survey.LSST, value) for value in crowd(260, 1)]
    work.process(source_messages(packets))
    n_objects = sum(key.startswith("lsst:") for key in stored_states(str(settings.redis_url)))
    bundle = load_bundle(bundles["lsst_model"])
    create_topics(settings.bootstrap_servers, {topic: 2})
    clients = kafka_clients(settings)
    sink = connected_sink(settings, clients, f"reclassify-{topic}")
    place = TopicResults(topic, clients, sink, ModelInfo.of(bundle), settings.output_format, force=False)
    begun = Reclassifier(objects, ObjectClassifier(bundle), place).run(
        (key for keys in objects.keys(Survey.LSST) for key in keys), 0
    )
    assert next(begun) == OBJECTS_PER_BATCH
    sink.begin()  # and no end of it
    objects.close()

    done = run(settings, "--model", bundles["lsst_model"], "--topic", topic, "--json")

    assert done.returncode == 0, done.stderr
    counts = orjson.loads(done.stdout)
    assert counts["alerts"]["there already"] == OBJECTS_PER_BATCH
    assert sum(counts["alerts"].values()) == n_objects
    alerts = [record.headers["alert"] for record in read_topic(broker.bootstrap_servers, topic)]
    assert len(set(alerts)) == len(alerts) == n_objects


def test_results_are_written_once_more_where_that_is_asked_for(
    broker: Broker, settings: Settings, reclassify: Reclassify, redis_url: str
) -> None:
    topic = f"{settings.group_id}-twice"
    reclassify("--topic", topic)
    reclassify("--topic", topic, "--force")

    assert len(read_topic(broker.bootstrap_servers, topic)) == 2 * len(latest_alerts(redis_url))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--objects", "nonsense"), "nonsense"),
        (("--objects", "lsst:123"), "is not"),
        (("--objects", "@/nowhere"), "/nowhere"),
        (("--topic", "ztf"), "service's own"),
        (("--since", "yesterday"), "--since"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    settings: Settings, bundles: dict[str, str], arguments: tuple[str, ...], complaint: str
) -> None:
    done = run(settings, "--model", bundles["next"], *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
