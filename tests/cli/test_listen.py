"""``nightjar listen`` prints what was committed, filtered, and ends cleanly."""

import json
import signal
import subprocess
import uuid

import pytest
from confluent_kafka import Producer

from service.core.records.encoding import encode_json
from service.embedded.broker import Broker, create_topics
from tests.cli.test_results import ABSTAINED, record
from tests.conftest import TopicFactory
from tests.support.command import command_line, environment, nightjar
from tests.support.kafka import produce


@pytest.fixture
def topic(broker: Broker, unique_topic: TopicFactory) -> str:
    name = unique_topic(broker, partitions=1)
    records = [record(object_id="a"), record(object_id="b", survey="lsst"), ABSTAINED]
    produce(broker.bootstrap_servers, name, encode_json(records))
    return name


def listen(broker: Broker, topic: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return nightjar(
        *("listen", "--from-beginning", "--topic", topic, "--brokers", broker.bootstrap_servers),
        *arguments,
    )


def test_one_line_per_record_for_people(broker: Broker, topic: str) -> None:
    done = listen(broker, topic, "--limit", "3")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert "Ia 0.70" in lines[0]
    assert "abstained: star" in lines[2]


def test_json_lines_are_whole_records(broker: Broker, topic: str) -> None:
    done = listen(broker, topic, "--limit", "3", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        record(object_id="a"),
        record(object_id="b", survey="lsst"),
        ABSTAINED,
    ]


def test_filters_choose_what_is_printed(broker: Broker, topic: str) -> None:
    (line,) = listen(broker, topic, "--limit", "1", "--survey", "lsst", "--class", "Ia").stdout.splitlines()
    assert " b " in line
    (line,) = listen(broker, topic, "--limit", "1", "--object", "lsst:b").stdout.splitlines()
    assert " b " in line
    (line,) = listen(broker, topic, "--limit", "1", "--status", "abstained").stdout.splitlines()
    assert "ZTF21abiuvdk" in line


def test_uncommitted_records_are_not_printed(apache_kafka: Broker, unique_topic: TopicFactory) -> None:
    topic = unique_topic(apache_kafka)
    producer = Producer({"bootstrap.servers": apache_kafka.bootstrap_servers, "transactional.id": topic})
    producer.init_transactions(30)
    for object_id, commit in (("aborted", False), ("committed", True)):
        producer.begin_transaction()
        producer.produce(topic, encode_json([record(object_id=object_id)])[0])
        producer.flush(10)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)

    done = listen(apache_kafka, topic, "--limit", "1", "--json")
    assert json.loads(done.stdout)["object_id"] == "committed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_ends_it_quietly(broker: Broker, topic: str, number: signal.Signals) -> None:
    arguments = ("listen", "--from-beginning", "--topic", topic, "--brokers", broker.bootstrap_servers)
    with subprocess.Popen(
        command_line(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for _ in range(3):
            assert process.stdout.readline()
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


def test_reader_that_goes_away_ends_it(broker: Broker, topic: str) -> None:
    arguments = ("listen", "--from-beginning", "--topic", topic, "--brokers", broker.bootstrap_servers)
    command = " ".join([*command_line(*arguments), "--json", "--limit", "3", "| head -n 1"])
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=environment(), check=False, timeout=60
    )
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_missing_topic_is_one_line(broker: Broker) -> None:
    done = listen(broker, "no-such-topic")
    assert done.returncode == 75
    (line,) = done.stderr.splitlines()
    assert "topic no-such-topic does not exist" in line


def test_topic_that_is_not_there_yet_is_waited_for_where_that_is_wanted(
    broker: Broker,
) -> None:
    name = f"later-{uuid.uuid4().hex[:8]}"
    arguments = ("--from-beginning", "--wait", "--limit", "1", "--topic", name)
    listening = subprocess.Popen(
        command_line("listen", *arguments, "--brokers", broker.bootstrap_servers),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert listening.stderr is not None
    assert listening.stderr.readline() == f"waiting: topic {name} does not exist\n"

    create_topics(broker.bootstrap_servers, {name: 1})
    produce(broker.bootstrap_servers, name, encode_json([record(object_id="a")]))

    output, errors = listening.communicate(timeout=60)
    assert (listening.returncode, errors) == (0, "")
    assert "Ia 0.70" in output


def test_topic_of_something_else_is_one_line(broker: Broker, unique_topic: TopicFactory) -> None:
    topic = unique_topic(broker)
    produce(broker.bootstrap_servers, topic, [b"Obj\x01"])
    done = listen(broker, topic)
    assert done.returncode == 2
    assert "check NIGHTJAR_OUTPUT_TOPIC" in done.stderr


def test_a_class_that_does_not_exist_is_refused_with_those_there_are(broker: Broker, topic: str) -> None:
    done = listen(broker, topic, "--class", "Foo")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("nightjar: unknown class 'Foo'; known classes: ")
    assert "Ib/c" in line


def test_where_it_begins_is_said_unless_that_is_the_beginning(broker: Broker, topic: str) -> None:
    listening = subprocess.Popen(
        command_line("listen", "--topic", topic, "--brokers", broker.bootstrap_servers),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert listening.stderr is not None
    assert listening.stderr.readline().startswith("listening from now on; --from-beginning")
    listening.terminate()
    listening.communicate(timeout=60)
    assert listening.returncode == 0


def test_status_that_does_not_exist_is_refused() -> None:
    assert nightjar("listen", "--status", "maybe").returncode == 2
