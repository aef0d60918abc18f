"""``nightjar replay`` sends files byte for byte, in order and at the requested rate."""

import time
from pathlib import Path

import pytest

from service.core.alerts import Survey
from service.embedded.broker import Broker, EmbeddedBroker
from service.errors import BrokerUnavailableError
from service.kafka.topic_writer import TopicWriter
from service.tools.packets import Packet
from service.tools.sender import Sender
from tests.conftest import TopicFactory
from tests.support.command import nightjar
from tests.support.kafka import read_topic


def test_messages_are_the_files_bytes_without_keys(
    shared: Path, broker: Broker, unique_topic: TopicFactory
) -> None:
    directory = shared / "alerts/ztf/3.3/sequence-ZTF21abiuvdk"
    topic = unique_topic(broker, partitions=1)

    done = nightjar("replay", str(directory), "--topic", topic, "--brokers", broker.bootstrap_servers)

    assert done.returncode == 0, done.stderr
    files = sorted(directory.glob("*.avro"))
    assert f"sent {len(files)} packets to {topic}" in done.stderr
    records = read_topic(broker.bootstrap_servers, topic)
    assert [record.value for record in records] == [path.read_bytes() for path in files]
    assert {record.key for record in records} == {None}


def test_topic_is_made_where_it_does_not_exist(shared: Path, broker: Broker) -> None:
    directory = shared / "alerts/lsst/10.0/wire"
    done = nightjar(
        *("replay", str(directory), "--topic", f"made-{time.time_ns()}", "--partitions", "3"),
        NIGHTJAR_BOOTSTRAP_SERVERS=broker.bootstrap_servers,
    )
    assert done.returncode == 0, done.stderr
    assert "with 3 partitions" in done.stderr


def test_mixed_surveys_must_be_chosen_from(shared: Path) -> None:
    done = nightjar("replay", str(shared / "alerts"), "--topic", "t")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("choose with --survey")


def test_only_the_chosen_survey_is_sent(
    shared: Path, embedded_broker: Broker, unique_topic: TopicFactory
) -> None:
    topic = unique_topic(embedded_broker, partitions=2)
    done = nightjar(
        *("replay", str(shared / "alerts"), "--topic", topic, "--survey", "lsst"),
        *("--brokers", embedded_broker.bootstrap_servers),
    )
    assert done.returncode == 0, done.stderr
    sent = {record.value for record in read_topic(embedded_broker.bootstrap_servers, topic)}
    assert sent == {path.read_bytes() for path in (shared / "alerts/lsst").rglob("*.avro")}


def test_absent_broker_is_one_line_and_a_temporary_failure(shared: Path) -> None:
    with EmbeddedBroker() as broker:
        address = broker.bootstrap_servers
    done = nightjar("replay", str(shared / "alerts/lsst/10.0/wire"), "--topic", "t", "--brokers", address)
    assert done.returncode == 75
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"nightjar: no answer from Kafka at {address}")


def test_rate_is_kept(embedded_broker: Broker, unique_topic: TopicFactory) -> None:
    topic = unique_topic(embedded_broker)
    packets = [Packet(str(n), Survey.ZTF, 1, lambda n=n: b"%d" % n) for n in range(20)]  # type: ignore[misc]
    writer = TopicWriter({"bootstrap.servers": embedded_broker.bootstrap_servers})

    started = time.monotonic()
    sender = Sender(packets, {Survey.ZTF: topic}, writer, rate_hz=40.0)
    while not sender.done:
        sender.step()
        time.sleep(0.001)
    elapsed_s = time.monotonic() - started
    writer.flush()

    assert 19 / 40 <= elapsed_s < 10  # the first goes at once, the others 25 ms apart
    values = [record.value for record in read_topic(embedded_broker.bootstrap_servers, topic)]
    assert values == [b"%d" % n for n in range(20)]


def test_undeliverable_message_is_reported() -> None:
    writer = TopicWriter({"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 300})
    writer.write("t", b"value", 0)
    with pytest.raises(BrokerUnavailableError, match=r"cannot send to t: .*timed out|MSG_TIMED_OUT"):
        writer.flush()
