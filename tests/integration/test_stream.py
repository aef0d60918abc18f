"""Every alert is answered once, and the answers are right."""

import uuid
from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest

from service.core.alerts import Survey
from service.core.records.encoding import RecordSchema, record_schema
from service.core.records.published import parse_record
from service.decoding.decoder import RawMessage
from service.embedded.broker import Broker
from service.embedded.processes import free_port
from service.settings import Settings
from service.wiring.decoding import decoder
from tests.integration.conftest import DeploymentFactory
from tests.integration.deployment import Deployment, undisturbed_light_curves
from tests.support.kafka import read_topic
from tests.support.metrics import read_metrics
from tests.support.service import light_curves, record_of, stored_observations, without_timestamps
from tests.support.streams import real_packets, simulated_packets

SIMULATED = simulated_packets()[:300]


def alert_ids(packets: Sequence[tuple[Survey, bytes]]) -> Counter[int]:
    """Decode packets in this process; return their alert ids."""
    batch = decoder(Settings()).decode([RawMessage(value, survey) for survey, value in packets])
    assert not batch.rejected
    return Counter(batch.alerts.alert_id.tolist())


def answered_ids(deployment: Deployment) -> Counter[int]:
    return Counter(record_of(record)["alert_id"] for record in deployment.results())


def answers_by_alert(deployment: Deployment) -> dict[int, set[bytes]]:
    """Return all answers to each alert, without timestamps."""
    answers: dict[int, set[bytes]] = {}
    for record in deployment.results():
        answers.setdefault(record_of(record)["alert_id"], set()).add(without_timestamps(record.value))
    return answers


def test_every_real_alert_is_answered_once_and_replay_repeats_the_answer(
    broker: Broker, redis_url: str, deploy: DeploymentFactory, shared: Path
) -> None:
    packets = real_packets(shared)
    expected = alert_ids(packets)
    deployment = deploy(broker, redis_url)
    deployment.send(packets, partition=lambda index: index % 4)
    worker = deployment.start_worker()
    deployment.wait_until_done()

    assert answered_ids(deployment) == expected
    assert deployment.dead_letters() == []
    assert {"classified", "abstained"} == set(deployment.statuses())
    assert_sequence_is_the_union_of_its_packets(redis_url, shared)
    before = light_curves(redis_url)

    deployment.send(packets[::-1], partition=lambda index: (index + 1) % 4)
    deployment.wait_until_done()

    assert answered_ids(deployment) == expected + expected
    assert all(len(answers) == 1 for answers in answers_by_alert(deployment).values())
    assert light_curves(redis_url) == before
    assert worker.stop() == 0


def assert_sequence_is_the_union_of_its_packets(redis_url: str, shared: Path) -> None:
    """Compare one object's measurements with those that fastavro reads, independently of our decoder."""
    measurements: set[tuple[str, int]] = set()
    paths = sorted((shared / "alerts/ztf/3.3/sequence-ZTF21abiuvdk").glob("*.avro"))
    assert len(paths) > 10
    for path in paths:
        records: list[Any] = list(fastavro.reader(BytesIO(path.read_bytes())))
        for record in records:
            for row in [record["candidate"], *(record["prv_candidates"] or [])]:
                is_limit = row.get("candid") is None
                measurements.add(("limit", row["pid"]) if is_limit else ("detection", row["candid"]))

    rows = stored_observations(redis_url)["ztf:ZTF21abiuvdk"]

    assert len(rows) == len(measurements)
    assert set(rows["source_id"].tolist()) == {number for _, number in measurements}


def test_every_simulated_alert_is_answered_once(
    broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    deployment = deploy(broker, redis_url, desc_topic="", metrics_port=free_port(), batch_size=50)
    deployment.send(SIMULATED, partition=lambda index: index % 4)
    worker = deployment.start_worker()
    deployment.wait_until_done()

    results = deployment.results()
    assert Counter(record_of(record)["alert_id"] for record in results) == alert_ids(SIMULATED)
    assert all(record.key == record_of(record)["object_id"].encode() for record in results)
    assert len(deployment.answers()) == len(SIMULATED)
    assert_metrics_agree(deployment)
    assert worker.stop() == 0


def assert_metrics_agree(deployment: Deployment) -> None:
    """Check that consumed is the sum of the outcomes of each partition, and in total what was sent."""
    metrics = read_metrics(deployment.settings.metrics_port)
    consumed: Counter[tuple[str, str]] = Counter()
    outcomes: Counter[tuple[str, str]] = Counter()
    for labels, value in metrics["nightjar_consumed_total"]:
        consumed[labels["topic"], labels["partition"]] += int(value)
    for labels, value in metrics["nightjar_alerts_total"]:
        outcomes[labels["topic"], labels["partition"]] += int(value)
    assert consumed == outcomes
    assert consumed.total() == deployment.sent.total()


def test_two_workers_build_the_same_light_curves_as_one(
    broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    # Small batches, alternating between both workers' partitions: both process most objects at once.
    deployment = deploy(broker, redis_url, batch_size=10)
    workers = [deployment.start_worker(name) for name in ("one", "two")]
    for worker in workers:
        deployment.wait_until_logged(worker, "ready")
    deployment.send(SIMULATED, partition=lambda index: index * 7 % 4)
    deployment.wait_until_done()

    assert answered_ids(deployment) == alert_ids(SIMULATED)
    assert len(deployment.answers()) == len(SIMULATED)
    assert all("partitions assigned" in worker.output() for worker in workers)
    assert [worker.stop() for worker in workers] == [0, 0]
    reference_url = redis_url.removesuffix("/0") + "/1"
    assert light_curves(redis_url) == undisturbed_light_curves(deployment.settings, reference_url, SIMULATED)


def test_avro_output_and_desc_topic_contain_the_same_alerts(
    embedded_broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    desc_topic = f"desc-{uuid.uuid4().hex}"
    deployment = deploy(embedded_broker, redis_url, output_format="avro", desc_topic=desc_topic)
    deployment.send(SIMULATED[:80], partition=lambda index: index % 4)
    deployment.start_worker()
    deployment.wait_until_done()

    records = [parse_record(record.value) for record in deployment.results()]
    assert Counter(record["alert_id"] for record in records) == alert_ids(SIMULATED[:80])
    schema = fastavro.parse_schema(record_schema(RecordSchema.ELASTICC))
    desc: list[Any] = [
        fastavro.schemaless_reader(BytesIO(record.value), schema, None)
        for record in read_topic(deployment.servers, desc_topic)
    ]
    lsst = {record["alert_id"]: record for record in records if record["survey"] == "lsst"}
    assert {answer["diaSourceId"] for answer in desc} == set(lsst)
    for answer in desc:
        total = sum(entry["probability"] for entry in answer["classifications"])
        assert total == pytest.approx(1, abs=1e-5)
