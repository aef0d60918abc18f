"""``nightjar audit`` finds what is missing, duplicated or unexplained, and nothing otherwise."""

import json
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from service.core.records.encoding import encode_avro, encode_json
from service.embedded.broker import Broker
from service.settings import Settings
from service.tools.audit.auditor import COUNTED
from tests.cli.test_results import ABSTAINED, record
from tests.conftest import SettingsFactory, TopicFactory
from tests.support.command import nightjar
from tests.support.kafka import produce
from tests.support.service import settings_as_environment
from tests.support.streams import container_of, simulated_packets

CLASSIFIED = encode_json([record()])[0]
NOT_CLASSIFIED = encode_json([ABSTAINED])[0]


@dataclass(slots=True)
class Service:
    """Topics of a service whose worker is this test: it writes what a worker would, or mistakes."""

    settings: Settings
    source: str
    _producers: list[Producer] = field(default_factory=list)

    def begin(self) -> Producer:
        producer = Producer(
            {
                "bootstrap.servers": self.settings.bootstrap_servers,
                "transactional.id": f"{self.source}-{len(self._producers)}",
                "compression.type": "lz4",
            }
        )
        producer.init_transactions(30)
        producer.begin_transaction()
        self._producers.append(producer)
        return producer

    def answer(
        self,
        producer: Producer,
        offsets: Iterable[int],
        value: bytes = CLASSIFIED,
        *,
        topic: str = "",
        headers: Sequence[tuple[str, bytes]] = (),
        source: str = "",
    ) -> None:
        for offset in offsets:
            place = ("source", f"{source or self.source}:0:{offset}".encode())
            producer.produce(topic or self.settings.output_topic, value, headers=[place, *headers])
        producer.flush(10)

    def commit(self, producer: Producer, position: int) -> None:
        consumer = Consumer(
            {"bootstrap.servers": self.settings.bootstrap_servers, "group.id": self.settings.group_id}
        )
        offsets = [TopicPartition(self.source, 0, position)]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
        producer.commit_transaction(30)
        consumer.close()

    def audit(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        done = self.run("--json", *arguments)
        assert not done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return nightjar("audit", *arguments, timeout_s=60, **settings_as_environment(self.settings))


@pytest.fixture
def service(broker: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory) -> Service:
    """Return a service with 12 alerts in its only source partition."""
    source = unique_topic(broker, "ztf")
    made = Service(settings_factory(broker, ztf_topics=(source,)), source)
    produce(broker.bootstrap_servers, source, [b"alert"] * 12)
    return made


def test_everything_answered_once_is_clean(service: Service) -> None:
    producer = service.begin()
    service.answer(producer, range(6))
    service.answer(producer, [6], NOT_CLASSIFIED)
    service.answer(producer, [7], encode_avro([record()])[0])
    service.answer(producer, [8, 9], b"bytes", topic=service.settings.rejected_topic)
    service.commit(producer, 10)

    code, found = service.audit()

    assert code == 0
    assert found["clean"] is True
    (partition,) = found["partitions"]
    outcomes = {name: partition[name] for name in ("consumed", "classified", "abstained", "rejected")}
    assert outcomes == {"consumed": 10, "classified": 7, "abstained": 1, "rejected": 2}
    assert (partition["topic"], partition["partition"], partition["waiting"]) == (service.source, 0, 2)
    assert found["examples"] == {"missing": [], "duplicated": [], "unexplained": []}


def test_each_kind_of_mistake_is_counted_placed_and_fails(service: Service, broker: Broker) -> None:
    producer = service.begin()
    service.answer(producer, [0, 1, 1, 3, 4, 5, 99])
    service.answer(producer, [4], b"bytes", topic=service.settings.rejected_topic)
    service.answer(producer, [0], source="elsewhere")
    service.answer(producer, [5], b"no classification")
    producer.produce(service.settings.output_topic, CLASSIFIED)
    service.commit(producer, 6)

    code, found = service.audit()

    # On the embedded broker a repetition may be the record of an aborted transaction, and is dropped.
    duplicated = (1, 4) if broker.hides_aborted else (4,)
    assert code == 1
    assert found["clean"] is False
    assert {name: found["totals"][name] for name in found["examples"]} == {
        "missing": 1,
        "duplicated": len(duplicated),
        "unexplained": 4,
    }
    assert found["examples"]["missing"] == [f"{service.source}:0:2"]
    assert found["examples"]["duplicated"] == [f"{service.source}:0:{offset}" for offset in duplicated]
    kinds = sorted(example.partition(", ")[2] for example in found["examples"]["unexplained"])
    assert kinds == ["", "", "which is not a classification", "which names no alert"]


def test_aborted_and_open_transactions_do_not_count(service: Service, broker: Broker) -> None:
    aborted, committed, left_open = service.begin(), service.begin(), service.begin()
    service.answer(aborted, range(5))
    service.answer(committed, range(5))
    aborted.abort_transaction(30)
    service.commit(committed, 5)
    service.answer(left_open, range(5, 8))

    done = service.run("--json", "--wait", "4")

    if broker.hides_aborted:  # the reader of committed records is held back by the open transaction
        assert done.returncode == 75
        assert "a transaction is open there" in done.stderr
    else:
        assert json.loads(done.stdout)["totals"]["consumed"] == 5
    service.commit(left_open, 8)
    code, found = service.audit()
    assert (code, found["totals"]["consumed"]) == (0, 8)


def test_container_of_several_alerts_has_a_result_for_each(
    service: Service, broker: Broker, unique_topic: TopicFactory
) -> None:
    packets = [value for survey, value in simulated_packets() if survey == "ztf"][:3]
    source = unique_topic(broker, "several")
    produce(broker.bootstrap_servers, source, [container_of(packets), packets[0], container_of(packets)])
    several = Service(service.settings.model_copy(update={"ztf_topics": (f"^{source[:-4]}.*",)}), source)
    producer = several.begin()
    for number in range(3):
        several.answer(producer, [0], headers=[("record", b"%d" % number)])
    several.answer(producer, [1])
    for number in (0, 2):
        several.answer(producer, [2], headers=[("record", b"%d" % number)])
    several.commit(producer, 3)

    code, found = several.audit()

    assert code == 1
    assert (found["totals"]["consumed"], found["totals"]["classified"]) == (7, 6)
    assert found["examples"]["missing"] == [f"{source}:0:2, record 1"]


def test_alerts_before_a_time_are_left_out(
    apache_kafka: Broker, settings_factory: SettingsFactory, unique_topic: TopicFactory
) -> None:
    source = unique_topic(apache_kafka, "ztf")
    service = Service(settings_factory(apache_kafka, ztf_topics=(source,)), source)
    produce(apache_kafka.bootstrap_servers, source, [b"alert"] * 3)
    between = datetime.now(UTC)
    time.sleep(0.1)
    produce(apache_kafka.bootstrap_servers, source, [b"alert"] * 3)
    producer = service.begin()
    service.answer(producer, [0, 3, 4, 5])
    service.commit(producer, 6)

    assert service.audit()[1]["totals"]["missing"] == 2
    code, found = service.audit("--since", between.isoformat())
    assert code == 0
    assert (found["totals"]["consumed"], found["totals"]["expired"]) == (3, 1)
    assert service.audit("--since", "2100-01-01T00:00")[1]["totals"]["consumed"] == 0


def test_table_is_for_people_and_ends_with_the_verdict(service: Service) -> None:
    producer = service.begin()
    service.answer(producer, [0])
    service.answer(producer, [0], b"bytes", topic=service.settings.rejected_topic)
    service.commit(producer, 2)

    done = service.run()

    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert f"missing: {service.source}:0:1" in lines
    assert f"duplicated: {service.source}:0:0" in lines
    assert lines[-1].startswith("not clean: 1 missing, 1 duplicated, 0 unexplained; 2 alerts consumed")


@pytest.mark.parametrize("columns", ["80", "200"])
def test_every_count_has_its_whole_name_however_narrow_the_terminal(service: Service, columns: str) -> None:
    producer = service.begin()
    service.answer(producer, [0])
    service.commit(producer, 1)

    done = nightjar("audit", timeout_s=60, **settings_as_environment(service.settings), COLUMNS=columns)

    assert done.returncode == 0
    assert all(name in done.stdout for name in (service.source, *COUNTED))
    if columns == "80":
        assert f"{service.source}:0\n  consumed 1, classified 1, abstained 0, rejected 0\n" in done.stdout


def test_repetitions_are_dropped_on_the_embedded_broker_alone_and_this_is_noted(
    service: Service, broker: Broker
) -> None:
    producer = service.begin()
    service.answer(producer, [0, 0])
    service.commit(producer, 1)

    code, found = service.audit()

    dropped = int(not broker.hides_aborted)
    assert (code, found["totals"]["duplicated"]) == (1 - dropped, 1 - dropped)
    assert sum("dropped by their source header" in note for note in found["notes"]) == dropped


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "--since: yesterday is not a time"),
        (["--wait", "never"], "--wait: never is not"),
    ],
)
def test_times_that_are_none_are_refused(arguments: list[str], message: str) -> None:
    done = nightjar("audit", *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_absent_topics_are_one_line(embedded_broker: Broker) -> None:
    done = nightjar(
        "audit", NIGHTJAR_BOOTSTRAP_SERVERS=embedded_broker.bootstrap_servers, NIGHTJAR_ZTF_TOPICS="absent"
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "nightjar: no source topic exists: check NIGHTJAR_*_TOPICS and the brokers"
    )
