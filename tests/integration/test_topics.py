"""Topics appear and disappear while a worker runs: nights of ZTF, versions of LSST, each with its model."""

import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from service.core.alerts import Survey
from service.embedded.broker import Broker, create_topics
from service.embedded.processes import ChildProcess, free_port
from service.settings import Settings
from tests.conftest import SettingsFactory
from tests.support.kafka import produce, read_topic, wait_until
from tests.support.metrics import read_metrics
from tests.support.service import record_of, worker_process
from tests.support.streams import simulated_packets

PARTITIONS = 2
PACKETS = {
    survey: [value for owner, value in simulated_packets() if owner is survey][:60]
    for survey in (Survey.ZTF, Survey.LSST)
}


class Names:
    """Topics as the surveys name them, with a unique suffix."""

    def __init__(self) -> None:
        self.suffix = uuid.uuid4().hex[:8]
        self.ztf_pattern = f"^ztf_[0-9]{{8}}_programid1_{self.suffix}$"
        self.lsst_pattern = rf"^lsst-alerts-v[0-9.]+-{self.suffix}$"

    def night(self, date: str) -> str:
        return f"ztf_{date}_programid1_{self.suffix}"

    def version(self, version: str) -> str:
        return f"lsst-alerts-v{version}-{self.suffix}"


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def settings(
    broker: Broker, redis_url: str, settings_factory: SettingsFactory, models: dict[str, str], names: Names
) -> Settings:
    """Return settings for both surveys, and for a night whose topic no longer exists."""
    return settings_factory(
        broker,
        redis_url,
        ztf_topics=(names.ztf_pattern, names.night("gone")),
        lsst_topics=(names.lsst_pattern,),
        metrics_port=free_port(),
        ztf_min_real_bogus=0.0,
        lsst_min_real_bogus=0.75,
        **models,
    )


@pytest.fixture
def worker(settings: Settings, broker: Broker, names: Names, tmp_path: Path) -> Iterator[ChildProcess]:
    """Run a worker that has records the topics of the first night and the first version."""
    create_topics(
        broker.bootstrap_servers,
        dict.fromkeys([names.night("20260101"), names.version("10.0")], PARTITIONS),
    )
    started = worker_process(settings, tmp_path)
    started.start()
    try:
        wait_until(lambda: joined(started), "the worker to join", timeout_s=120)
        yield started
    finally:
        started.kill()


def joined(worker: ChildProcess) -> bool:
    assert worker.running, worker.output()
    return "partitions assigned" in worker.output()


def results(settings: Settings, broker: Broker) -> list[dict[str, object]]:
    return [record_of(record) for record in read_topic(broker.bootstrap_servers, settings.output_topic)]


def send_and_wait(settings: Settings, broker: Broker, topic: str, values: list[bytes], total: int) -> None:
    """Send alerts to a topic and wait until there are `total` results."""
    produce(broker.bootstrap_servers, topic, values, partition=lambda index: index % PARTITIONS)
    wait_until(lambda: len(results(settings, broker)) >= total, f"the alerts of {topic}", timeout_s=90)


def test_new_nights_and_versions_are_found_and_expired_topics_ignored(
    settings: Settings, worker: ChildProcess, broker: Broker, names: Names
) -> None:
    server, ztf, lsst = broker.bootstrap_servers, PACKETS[Survey.ZTF], PACKETS[Survey.LSST]
    send_and_wait(settings, broker, names.night("20260101"), ztf[:20], 20)
    send_and_wait(settings, broker, names.version("10.0"), lsst[:20], 40)

    # The next night begins; the last one is deleted soon after, and an empty one was created by mistake.
    create_topics(server, {names.night("20260102"): PARTITIONS, names.night("20260103"): PARTITIONS})
    send_and_wait(settings, broker, names.night("20260102"), ztf[20:40], 60)
    if broker.hides_aborted:  # the embedded broker stops answering readers of a deleted topic
        admin = AdminClient({"bootstrap.servers": server})
        admin.delete_topics([names.night("20260101")])[names.night("20260101")].result(30)

    # LSST changes its schema's version, and with it the topic.
    create_topics(server, {names.version("11"): PARTITIONS})
    send_and_wait(settings, broker, names.version("11"), lsst[20:40], 80)
    send_and_wait(settings, broker, names.night("20260102"), ztf[40:], 100)

    assert_each_survey_has_its_model_and_settings(settings, broker)
    assert_metrics_tell_topics_apart(settings, names)
    assert worker.running
    assert "Traceback" not in worker.output()
    assert worker.stop() == 0


def assert_each_survey_has_its_model_and_settings(settings: Settings, broker: Broker) -> None:
    records = results(settings, broker)
    assert Counter(str(record["survey"]) for record in records) == {"ztf": 60, "lsst": 40}
    models: dict[str, set[str]] = {"ztf": set(), "lsst": set()}
    unreal = Counter(str(record["survey"]) for record in records if record["reason"] == "low_real_bogus")
    for record in records:
        if record["status"] == "classified":
            classifier = record["classifier"]
            assert isinstance(classifier, dict)
            models[str(record["survey"])].add(str(classifier["name"]))
    assert [len(names) for names in models.values()] == [1, 1]
    assert models["ztf"] != models["lsst"]
    assert unreal["lsst"] > 5
    assert unreal["ztf"] == 0


def assert_metrics_tell_topics_apart(settings: Settings, names: Names) -> None:
    by_topic: Counter[tuple[str, str]] = Counter()
    for labels, value in read_metrics(settings.metrics_port)["nightjar_alerts_total"]:
        by_topic[labels["survey"], labels["topic"].removesuffix(names.suffix)] += int(value)
    assert by_topic == {
        ("ztf", "ztf_20260101_programid1_"): 20,
        ("ztf", "ztf_20260102_programid1_"): 40,
        ("lsst", "lsst-alerts-v10.0-"): 20,
        ("lsst", "lsst-alerts-v11-"): 20,
    }
