"""``nightjar topics`` against real brokers: made once, brought in line afterwards, patient at first."""

import re
import subprocess
import uuid

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]

from service.embedded.broker import Broker, EmbeddedBroker
from service.embedded.processes import free_port
from service.settings import Settings
from tests.conftest import TopicFactory
from tests.support.command import command_line, environment, nightjar
from tests.support.kafka import wait_until

DAY_MS = 24 * 3600 * 1000


def names() -> dict[str, str]:
    unique = uuid.uuid4().hex[:10]
    return {
        "NIGHTJAR_ZTF_TOPICS": f"ztf-{unique},^ztf_.*",
        "NIGHTJAR_LSST_TOPICS": f"lsst-{unique}",
        "NIGHTJAR_OUTPUT_TOPIC": f"out-{unique}",
        "NIGHTJAR_REJECTED_TOPIC": f"rejected-{unique}",
    }


def config(broker: Broker, topic: str) -> dict[str, str]:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    entries = admin.describe_configs([resource])[resource].result(30)
    return {name: entry.value for name, entry in entries.items()}


def partitions(broker: Broker) -> dict[str, int]:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    return {name: len(topic.partitions) for name, topic in admin.list_topics(timeout=30).topics.items()}


def run(broker: Broker, *arguments: str, **variables: str) -> str:
    variables["NIGHTJAR_BOOTSTRAP_SERVERS"] = broker.bootstrap_servers
    done = nightjar("topics", *arguments, timeout_s=60, **variables)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_topics_are_made_with_partitions_retention_and_room_for_the_largest_message(broker: Broker) -> None:
    variables = names() | {"NIGHTJAR_MAX_MESSAGE_BYTES": str(2**23)}
    run(
        broker,
        "--partitions=5",
        "--rejected-partitions=2",
        "--source-retention=PT36H",
        "--rejected-retention=P90D",
        **variables,
    )
    made = partitions(broker)
    ztf, pattern = variables["NIGHTJAR_ZTF_TOPICS"].split(",")
    assert [made[ztf], made[variables["NIGHTJAR_LSST_TOPICS"]]] == [5, 5]
    assert made[variables["NIGHTJAR_OUTPUT_TOPIC"]] == 5
    assert made[variables["NIGHTJAR_REJECTED_TOPIC"]] == 2
    assert pattern not in made
    assert int(config(broker, ztf)["retention.ms"]) == 1.5 * DAY_MS
    dead_letters = config(broker, variables["NIGHTJAR_REJECTED_TOPIC"])
    assert int(dead_letters["retention.ms"]) == 90 * DAY_MS
    assert int(dead_letters["max.message.bytes"]) > 2**23


def test_second_run_changes_only_what_differs(broker: Broker) -> None:
    variables = names()
    topic = variables["NIGHTJAR_LSST_TOPICS"]
    assert f"created {topic}: 3 partitions\n" in run(broker, "--partitions=3", **variables)

    assert f"unchanged {topic}: 3 partitions\n" in run(broker, "--partitions=3", **variables)

    changed = run(broker, "--partitions=4", "--source-retention=P2D", **variables)
    assert (
        f"changed {topic}: retention.ms {7 * DAY_MS} -> {2 * DAY_MS}, "
        "3 partitions, kept; 4 requested\n" in changed
    )
    assert changed.splitlines()[-1].startswith(
        "The number of partitions of an existing topic is not changed: "
    )
    assert f"unchanged {variables['NIGHTJAR_OUTPUT_TOPIC']}" in changed
    wait_until(lambda: int(config(broker, topic)["retention.ms"]) == 2 * DAY_MS, "the change")
    assert partitions(broker)[topic] == 3


def test_topic_made_by_others_gets_the_settings(broker: Broker, unique_topic: TopicFactory) -> None:
    topic = unique_topic(broker, partitions=2)
    variables = names() | {"NIGHTJAR_ZTF_TOPICS": topic}
    done = run(broker, "--source-retention=P3D", **variables)
    assert re.search(rf"changed {topic}: retention.ms \S+ -> {3 * DAY_MS}, .*, 2 partitions, kept", done)
    wait_until(lambda: config(broker, topic).get("retention.ms") == str(3 * DAY_MS), "it")


def test_command_waits_for_a_broker_that_is_still_starting() -> None:
    broker = EmbeddedBroker()
    broker.ports = [free_port()]
    variables = names() | {"NIGHTJAR_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    with subprocess.Popen(
        command_line("topics"), env=environment(**variables), stderr=subprocess.PIPE, text=True
    ) as early:
        assert early.poll() is None
        with broker:
            _, errors = early.communicate(timeout=60)
            assert early.returncode == 0, errors
            assert variables["NIGHTJAR_OUTPUT_TOPIC"] in partitions(broker)


def test_broker_that_never_comes_is_a_transient_failure() -> None:
    done = nightjar("topics", "--wait=0.1", NIGHTJAR_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert done.returncode == 75
    assert done.stderr.startswith("nightjar: no answer from Kafka at 127.0.0.1:1")


def test_waiting_is_said_once_and_at_once() -> None:
    variables = {"NIGHTJAR_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    with subprocess.Popen(
        command_line("topics", "--wait=8"), env=environment(**variables), stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == "waiting for Kafka at 127.0.0.1:1, at most 8 s\n"
        assert waiting.poll() is None
        (rest,) = waiting.stderr.read().splitlines()
    assert rest.startswith("nightjar: no answer from Kafka")
    assert waiting.returncode == 75


def test_more_copies_than_brokers_is_said_in_one_line(apache_kafka: Broker) -> None:
    variables = names() | {"NIGHTJAR_BOOTSTRAP_SERVERS": apache_kafka.bootstrap_servers}
    done = nightjar("topics", "--replication=3", timeout_s=60, **variables)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("nightjar: Kafka refuses to create topic ")


@pytest.mark.parametrize("command", ["topics", "audit"])
def test_kafka_options_that_are_none_are_said_in_one_line(command: str) -> None:
    done = nightjar(command, NIGHTJAR_KAFKA_OPTIONS="foo=bar", NIGHTJAR_ZTF_TOPICS="ztf")
    assert done.returncode == 2
    assert done.stderr == 'nightjar: Kafka options: No such configuration property: "foo" (_INVALID_ARG)\n'


@pytest.mark.parametrize("text", ["week", "-5", "0", "P0D"])
def test_unusable_duration_names_its_option(text: str) -> None:
    done = nightjar("topics", f"--output-retention={text}")
    assert done.returncode == 2
    assert f"nightjar: --output-retention: {text} is not a duration" in done.stderr


def test_default_topics_need_no_settings(embedded_broker: Broker) -> None:
    run(embedded_broker)
    defaults = Settings()
    assert {defaults.output_topic, defaults.rejected_topic} <= set(partitions(embedded_broker))
