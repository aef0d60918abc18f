"""Workers of the commit before and of this one, at the same time and one after the other."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pyarrow.parquet as pq

from service.core.alerts import Survey
from service.embedded.broker import Broker
from service.embedded.processes import ChildProcess, free_port
from service.settings import Settings
from tests.compatibility.earlier import EarlierCode
from tests.compatibility.stored import assert_same_answer, read_exactly
from tests.conftest import ROOT, TopicFactory
from tests.integration.conftest import DeploymentFactory
from tests.integration.deployment import Deployment, undisturbed_light_curves
from tests.support.api_process import ApiProcess
from tests.support.command import nightjar
from tests.support.kafka import Record, read_topic, wait_until
from tests.support.metrics import read_metrics
from tests.support.service import light_curves, settings_as_environment
from tests.support.streams import simulated_packets

ALERTS = simulated_packets()[:240]
FEWER = ALERTS[:120]
ASSIGNED = "partitions assigned"


def test_the_earlier_programs_run_the_earlier_code(earlier: EarlierCode) -> None:
    assert earlier.location() == earlier.directory
    assert earlier.directory != ROOT


def test_workers_of_both_commits_share_a_group_and_a_store(
    broker: Broker, redis_url: str, deploy: DeploymentFactory, earlier: EarlierCode, tmp_path: Path
) -> None:
    # Small batches in turn on both workers' partitions: most objects are in both workers' hands at once.
    deployment = deploy(broker, redis_url, batch_size=10, desc_topic="")
    old_port = free_port()
    old = earlier.worker(deployment.settings.model_copy(update={"metrics_port": old_port}), tmp_path)
    old.start()
    deployment.workers.append(old)
    # The earlier code compiles its kernels first: no cache on disk has them.
    deployment.wait_until_logged(old, ASSIGNED, timeout_s=300)
    new = deployment.start_worker("current")
    # The newcomer takes half of the partitions from the other, which gets a new assignment.
    wait_until(lambda: old.output().count(ASSIGNED) >= 2, "the group to share the partitions")
    deployment.send(ALERTS, partition=lambda index: index * 7 % 4)
    deployment.wait_until_done(timeout_s=300.0)

    assert len(deployment.answers()) == len(ALERTS)
    assert deployment.dead_letters() == []
    assert len(objects_of_both(deployment, consumed(old_port))) > 10
    assert_audits_are_clean(deployment.settings, earlier)
    assert_stopped(old, new)
    alone = another_database(redis_url)
    assert light_curves(redis_url) == undisturbed_light_curves(deployment.settings, alone, ALERTS)
    assert_served(deployment, tmp_path)


def consumed(metrics_port: int) -> set[tuple[str, int]]:
    """Return the partitions from which a worker of the commit before has taken alerts."""
    samples = read_metrics(metrics_port)["nightjar_consumed_total"]
    return {(labels["topic"], int(labels["partition"])) for labels, count in samples if count}


def objects_of_both(deployment: Deployment, by_old: set[tuple[str, int]]) -> set[str]:
    """Return the objects of which both workers processed alerts."""
    objects: dict[bool, set[str]] = {True: set(), False: set()}
    for record in deployment.results():
        topic, partition, _offset = record.headers["source"].decode().rsplit(":", 2)
        objects[(topic, int(partition)) in by_old].add(json.loads(record.value)["object_id"])
    return objects[True] & objects[False]


def assert_audits_are_clean(settings: Settings, earlier: EarlierCode) -> None:
    done = nightjar("audit", "--json", timeout_s=60, **settings_as_environment(settings))
    assert done.returncode == 0, done.stderr + done.stdout
    totals = json.loads(done.stdout)["totals"]
    assert totals["classified"] + totals["abstained"] == len(ALERTS)
    before = earlier.run(settings, "audit", "--json")
    assert before.returncode == 0, before.stderr + before.stdout


def assert_stopped(*workers: ChildProcess) -> None:
    """Check that workers end as they should and had nothing to complain of."""
    for worker in workers:
        assert worker.stop() == 0, worker.output()
        assert "warning" not in worker.output().lower(), worker.output()


def assert_served(deployment: Deployment, tmp_path: Path) -> None:
    """Check that the API has every result of every object, whichever worker made it."""
    published: dict[str, set[int]] = {}
    for record in deployment.results():
        answer = json.loads(record.value)
        published.setdefault(f"{answer['survey']}:{answer['object_id']}", set()).add(answer["alert_id"])
    api = ApiProcess(deployment.settings, tmp_path, "api")
    api.start()
    try:
        api.wait_until_ready()
        for key, alerts in published.items():
            answer = httpx.get(f"{api.url}/v1/objects/{key}/classifications", timeout=30)
            assert answer.status_code == 200, answer.text
            assert {result["alert_id"] for result in answer.json()["epochs"]} == alerts
    finally:
        api.process.stop()


def test_records_of_both_commits_differ_in_nothing_but_times(
    embedded_broker: Broker,
    redis_url: str,
    deploy: DeploymentFactory,
    unique_topic: TopicFactory,
    earlier: EarlierCode,
    tmp_path: Path,
) -> None:
    # The result of an alert depends on those before it: one partition keeps their order.
    before, after = [
        deploy(embedded_broker, url, partitions=1, desc_topic=unique_topic(embedded_broker, "desc"))
        for url in (another_database(redis_url), redis_url)
    ]
    old = earlier.worker(before.settings, tmp_path)
    old.start()
    before.workers.append(old)
    new = after.start_worker("current")
    for deployment in (before, after):
        deployment.send([*FEWER, (Survey.ZTF, b"no alert")])
    for deployment in (before, after):
        deployment.wait_until_done(timeout_s=300.0)
    assert_stopped(old, new)

    assert len(after.results()) == len(FEWER)
    assert_same_messages(before.results(), after.results())
    assert_same_messages(before.dead_letters(), after.dead_letters(), value=bytes.__len__)
    after_by_source = by_source(after.results())
    for source, record in by_source(before.results()).items():
        assert_same_answer(
            read_exactly(record.value), read_exactly(after_by_source[source].value), but=is_time
        )
    old_desc, new_desc = (
        read_topic(deployment.servers, deployment.settings.desc_topic) for deployment in (before, after)
    )
    assert old_desc
    assert_same_messages(old_desc, new_desc)
    assert [desc_answer(record, earlier) for record in old_desc] == [
        desc_answer(record, earlier) for record in new_desc
    ]


def test_code_of_the_commit_before_takes_over_what_this_one_stored(
    embedded_broker: Broker, redis_url: str, deploy: DeploymentFactory, earlier: EarlierCode, tmp_path: Path
) -> None:
    undisturbed = deploy(embedded_broker, another_database(redis_url), partitions=1, desc_topic="")
    alone = earlier.worker(undisturbed.settings, tmp_path, "alone")
    alone.start()
    undisturbed.workers.append(alone)
    undisturbed.send(FEWER)
    deployment, half = deploy(embedded_broker, redis_url, partitions=1, desc_topic=""), len(FEWER) // 2
    deployment.send(FEWER[:half])
    new = deployment.start_worker("current")
    deployment.wait_until_done(timeout_s=300.0)
    assert_stopped(new)
    old = earlier.worker(deployment.settings, tmp_path)
    old.start()
    deployment.workers.append(old)
    # Alerts with a result of this code come once more: that result, its time included, counts.
    deployment.send([*FEWER[half:], *FEWER[:half]])
    deployment.wait_until_done(timeout_s=300.0)
    undisturbed.wait_until_done(timeout_s=300.0)
    assert_stopped(old, alone)

    expected, published = by_alert(undisturbed.results()), by_alert(deployment.results())
    assert published.keys() == expected.keys()
    assert sum(map(len, published.values())) == len(FEWER) + half
    for alert, [first, *repeated] in published.items():
        assert_same_answer(expected[alert][0], first, but=is_time)
        for again in repeated:
            assert_same_answer(first, again, but={"alert_published", "ingested"}.__contains__)
    assert exported(earlier, deployment.settings, tmp_path / "export") == published.keys()


def another_database(redis_url: str) -> str:
    return redis_url.removesuffix("/0") + "/1"


def is_time(name: str) -> bool:
    return name in {"alert_published", "ingested", "classified"}


def source_of(record: Record) -> tuple[str, ...]:
    """Return the survey of a record's alert and where it lies in its topic, whose name plays no part."""
    topic, partition, offset = record.headers["source"].decode().rsplit(":", 2)
    return topic.partition("-")[0], partition, offset


def by_source(records: list[Record]) -> dict[tuple[str, ...], Record]:
    return {source_of(record): record for record in records}


def assert_same_messages(
    before: list[Record], after: list[Record], value: Callable[[bytes], Any] = bool
) -> None:
    """Check what goes around the values of messages: keys, partitions, headers."""

    def envelope(record: Record) -> tuple[Any, ...]:
        # Positions and versions differ; the message of a dead letter is for people, its class for programs.
        changing = {"source", "service_version", "error_message"}
        headers = [(name, b"" if name in changing else text) for name, text in record.headers.items()]
        return source_of(record), record.key or b"", record.partition, headers, value(record.value)

    assert sorted(map(envelope, before)) == sorted(map(envelope, after))


def desc_answer(record: Record, earlier: EarlierCode) -> dict[str, Any]:
    """Return a record of DESC's topic as the commit before reads it, without times and version."""
    path = earlier.directory / "service/core/record_schemas/elasticc_broker_classification.avsc"
    stream = BytesIO(record.value)
    answer: Any = fastavro.schemaless_reader(stream, json.loads(path.read_text()), None)
    assert not stream.read()
    changing = {"elasticcPublishTimestamp", "brokerIngestTimestamp", "brokerVersion"}
    return {name: value for name, value in answer.items() if name not in changing}


def by_alert(records: list[Record]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Return the results of each alert, in the order in which they came."""
    results: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for record in records:
        answer = read_exactly(record.value)
        results.setdefault((answer["object_id"], answer["alert_id"]), []).append(answer)
    return results


def exported(earlier: EarlierCode, settings: Settings, directory: Path) -> set[tuple[str, int]]:
    """Export the store with the code of the commit before and return the alerts whose results it exported."""
    done = earlier.run(settings, "export", str(directory))
    assert done.returncode == 0, done.stderr
    assert "cannot be read" not in done.stderr
    rows = [row for path in directory.glob("objects/*/*.parquet") for row in pq.read_table(path).to_pylist()]
    return {(row["object_id"], result["alert_id"]) for row in rows for result in row["classifications"]}
