"""``nightjar replay --from-rejected`` sends each dead letter back, once, byte for byte."""

import subprocess
from collections.abc import Callable, Iterable

import pytest
from confluent_kafka import Producer

from service.embedded.broker import Broker
from service.settings import Settings
from tests.conftest import SettingsFactory, TopicFactory
from tests.support.command import nightjar
from tests.support.kafka import read_topic
from tests.support.service import settings_as_environment

Letter = tuple[str, str, bytes]  # error class, source, value

Resend = Callable[..., subprocess.CompletedProcess[str]]


def reject(settings: Settings, letters: Iterable[Letter]) -> None:
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers})
    for code, source, value in letters:
        headers: list[tuple[str, str | bytes | None]] = [
            ("error_class", code.encode()),
            ("source", source.encode()),
            ("service_version", b"0"),
        ]
        producer.produce(settings.rejected_topic, value, b"key", headers=headers)
    assert producer.flush(30) == 0


@pytest.fixture
def settings(broker: Broker, settings_factory: SettingsFactory) -> Settings:
    return settings_factory(broker)


@pytest.fixture
def resend(settings: Settings) -> Resend:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = settings_as_environment(settings)
        return nightjar("replay", "--from-rejected", *arguments, timeout_s=60, **environment)

    return call


def values(settings: Settings, topic: str) -> list[bytes]:
    return sorted(record.value for record in read_topic(settings.bootstrap_servers, topic))


def test_letters_go_back_where_they_came_from_once_however_often_it_is_called(
    broker: Broker, settings: Settings, unique_topic: TopicFactory, resend: Resend
) -> None:
    first, second = unique_topic(broker, "ztf", partitions=2), unique_topic(broker, "lsst")
    letters = [("malformed", f"{(first, second)[n % 2]}:0:{n}", b"%03d" % n) for n in range(120)]
    reject(settings, letters)

    done = resend()

    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "sent 120 dead letters"
    assert values(settings, first) == [b"%03d" % n for n in range(0, 120, 2)]
    assert values(settings, second) == [b"%03d" % n for n in range(1, 120, 2)]
    for record in read_topic(settings.bootstrap_servers, second):
        assert record.headers == {"replayed": f"{second}:0:{int(record.value)}".encode()}
        assert record.key == b"key"
    assert resend().stderr.splitlines() == ["sent 0 dead letters"]
    reject(settings, [("schema", f"{second}:0:200", b"new")])
    assert resend().stderr.splitlines()[-1] == "sent 1 dead letters"
    assert len(values(settings, second)) == 61
    assert resend("--force").stderr.splitlines()[-1] == "sent 121 dead letters"
    assert len(values(settings, first)) == 120


def test_classes_are_sent_apart_and_none_is_passed_over(
    broker: Broker, settings: Settings, unique_topic: TopicFactory, resend: Resend
) -> None:
    topic = unique_topic(broker)
    codes = ["unknown_schema", "malformed", "too_large"]
    reject(settings, [(codes[n % 3], f"{topic}:0:{n}", b"%d" % n) for n in range(9)])

    counted = resend("--dry-run", "--error-class", "unknown_schema", "--error-class", "malformed")
    assert counted.stderr.splitlines() == [
        f"3 malformed for {topic}",
        f"3 unknown_schema for {topic}",
        "6 dead letters to send",
    ]
    assert values(settings, topic) == []
    resend("--error-class", "unknown_schema")
    assert values(settings, topic) == [b"0", b"3", b"6"]
    resend("--error-class", "unknown_schema")
    resend("--error-class", "malformed")
    assert values(settings, topic) == [b"0", b"1", b"3", b"4", b"6", b"7"]
    resend()
    assert values(settings, topic) == [b"%d" % n for n in range(9)]


def test_another_topic_takes_letters_whose_own_is_gone(
    embedded_broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory
) -> None:
    settings, other = settings_factory(embedded_broker), unique_topic(embedded_broker)
    reject(settings, [("schema", "ztf_20250101:3:7", b"alert")])
    environment = settings_as_environment(settings)

    done = nightjar("replay", "--from-rejected", timeout_s=60, **environment)
    assert done.returncode == 2
    assert "topic ztf_20250101 does not exist: choose another one with --topic" in done.stderr
    done = nightjar("replay", "--from-rejected", "--topic", other, timeout_s=60, **environment)
    assert done.returncode == 0, done.stderr
    assert values(settings, other) == [b"alert"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from-rejected", "--demo"], "say what to send"),
        (["--demo"], "say where to send it: --topic"),
        (["--from-rejected", "--error-class", "bad_luck"], "bad_luck"),
        (["--demo", "--topic", "t", "--dry-run"], "--dry-run would have no effect: only --from-rejected"),
        (["--demo", "--topic", "t", "--force"], "--force would have no effect: only --from-rejected"),
        (["--demo", "--topic", "t", "--error-class", "schema"], "--error-class would have no effect"),
    ],
)
def test_contradictions_are_refused(arguments: list[str], message: str) -> None:
    done = nightjar("replay", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
