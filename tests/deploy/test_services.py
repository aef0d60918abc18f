"""Every service of docker-compose.yml runs as the file says: replay in, classifications out, clean stop."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from service.embedded.broker import ApacheKafka, EmbeddedBroker, find_kafka
from service.embedded.processes import ChildProcess
from service.errors import InputError
from service.tools.packets import shipped_packets
from tests.conftest import _from_environment
from tests.deploy.composition import services
from tests.deploy.promql import asked
from tests.deploy.queries import OWN, panels, rules
from tests.deploy.running import PASSWORD, Deployment, kafka_properties
from tests.support.kafka import Record, group_lag, read_topic, wait_until

VARIABLES = {"DEMO_RATE": "0"}
WORKERS = ("-1", "-2")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Run Kafka with the properties of the file where there is one, else the embedded broker."""
    try:
        home = find_kafka(_from_environment("NIGHTJAR_KAFKA_HOME", "../shared/kafka"))
        broker: ApacheKafka | EmbeddedBroker = ApacheKafka(home, kafka_properties(services()["kafka"]))
    except InputError:
        broker = EmbeddedBroker()
    with broker:
        yield Deployment(tmp_path_factory.mktemp("deployment"), broker.bootstrap_servers, VARIABLES)


@pytest.fixture(scope="module")
def redis(deployment: Deployment) -> Iterator[ChildProcess]:
    assert not deployment.is_healthy("redis")
    child = deployment.child("redis")
    child.start()
    wait_until(lambda: deployment.is_healthy("redis"), "Redis is healthy", timeout_s=30)
    yield child
    assert child.stop(deployment.grace("redis")) == 0


@pytest.fixture(scope="module")
def topics(deployment: Deployment) -> str:
    """Run the one-shot service twice: `up` does so each time."""
    wait_until(lambda: deployment.is_healthy("kafka"), "Kafka is healthy", timeout_s=30)
    first, second = deployment.run("topics"), deployment.run("topics")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    return first.stderr + second.stderr


@pytest.fixture(scope="module")
def running(deployment: Deployment, redis: ChildProcess, topics: str) -> Iterator[dict[str, ChildProcess]]:
    """Run two workers and the API until the tests are through; then each must end in order."""
    assert redis.running
    assert topics
    children = {f"worker{instance}": deployment.child("worker", instance) for instance in WORKERS}
    children |= {name: deployment.child(name) for name in ("filter", "api")}
    with ExitStack() as stack:
        for child in children.values():
            stack.callback(child.kill)
            child.start()
        for label, child in children.items():
            wait_until_healthy(deployment, label, child)
        yield children


def wait_until_healthy(deployment: Deployment, label: str, child: ChildProcess) -> None:
    wait_until(lambda: deployment.is_healthy(*of(label)) or not child.running, label, timeout_s=120)
    assert child.running, child.output()


def of(label: str) -> tuple[str, str]:
    """Name and instance of a child."""
    name, dash, number = label.partition("-")
    return name, dash + number


@pytest.fixture(scope="module")
def results(deployment: Deployment, running: dict[str, ChildProcess]) -> list[Record]:
    """Run the profile `demo` and wait until the workers have committed all of it."""
    assert all(child.running for child in running.values())
    done = deployment.run("replayer")
    assert done.returncode == 0, done.stderr
    address = deployment.bootstrap_servers
    wait_until(
        lambda: all(group_lag(address, "nightjar", topic) == 0 for topic in ("alerts.ztf", "alerts.lsst")),
        "all of it is committed",
    )
    return read_topic(address, "nightjar.classifications")


def test_topics_are_made_once(topics: str) -> None:
    for name in ("alerts.ztf", "alerts.lsst", "nightjar.classifications"):
        assert f"created {name}: 16 partitions" in topics
        assert f"unchanged {name}: 16 partitions" in topics


def test_every_alert_of_the_replay_has_its_one_result(deployment: Deployment, results: list[Record]) -> None:
    sources = [record.headers["source"] for record in results]
    assert len(sources) == len(set(sources)) == len(shipped_packets().packets)
    assert not read_topic(deployment.bootstrap_servers, "nightjar.rejected")
    surveys = {json.loads(record.value)["survey"] for record in results}
    assert surveys == {"ztf", "lsst"}


def test_api_serves_what_the_workers_stored(deployment: Deployment, results: list[Record]) -> None:
    record = json.loads(results[-1].value)
    url = f"http://127.0.0.1:{deployment.api_port}/v1/objects/{record['survey']}:{record['object_id']}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert json.load(answer)["object_id"] == record["object_id"]


def test_redis_is_as_the_file_says(deployment: Deployment, redis: ChildProcess) -> None:
    assert redis.running
    with Redis(port=deployment.redis_port, password=PASSWORD) as client:
        config = client.config_get("*")
        assert config["maxmemory"] == str(2 * 2**30)
        assert config["maxmemory-policy"] == "noeviction"
        assert config["appendonly"] == "yes"
        assert config["save"] == ""


def test_redis_password_is_neither_argument_nor_environment(redis: ChildProcess) -> None:
    for name in ("cmdline", "environ"):
        assert PASSWORD.encode() not in Path(f"/proc/{redis.pid}/{name}").read_bytes()


def test_queries_find_their_metrics_in_the_running_service(
    deployment: Deployment, results: list[Record]
) -> None:
    assert results
    ports = [deployment.metrics_port("worker-1"), deployment.api_port]
    names: set[str] = set()
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            for family in text_string_to_metric_families(answer.read().decode()):
                suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
                names |= {family.name + suffix for suffix in suffixes.get(family.type, [""])}
    expressions = [panel.expression(target) for panel in panels() for target in panel.targets]
    expressions += [rule.expression for rule in rules()]
    recorded = {rule.name for rule in rules() if not rule.alert}
    wanted = {selector.metric for expression in expressions for selector in asked(expression)}
    assert wanted - recorded - OWN.keys() <= names


def test_everything_ends_in_order_when_told_to(
    deployment: Deployment, running: dict[str, ChildProcess], results: list[Record]
) -> None:
    assert results
    for label, child in running.items():
        assert child.stop(deployment.grace(of(label)[0])) == 0, child.output()
        assert not deployment.is_healthy(*of(label))


def test_redis_brings_its_objects_back(deployment: Deployment, redis: ChildProcess) -> None:
    with Redis(port=deployment.redis_port, password=PASSWORD) as client:
        before = client.dbsize()
        assert before > 40
        assert redis.stop(deployment.grace("redis")) == 0
        redis.start()
        wait_until(lambda: deployment.is_healthy("redis"), "Redis is back", timeout_s=30)
        assert client.dbsize() == before
