"""What tests of every layer share: real servers, made once, and settings that point at them."""

import os
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from redis import Redis

from service.embedded import processes
from service.embedded.broker import ApacheKafka, Broker, EmbeddedBroker, create_topics, find_kafka
from service.embedded.redis import EmbeddedRedis
from service.errors import InputError
from service.settings import Settings

ROOT = Path(__file__).parent.parent

# Speed is measured, never tested: other tests keep the machine busy, some code compiles at its first call.
hypothesis.settings.register_profile(
    "unhurried",
    parent=hypothesis.settings(),
    deadline=None,
    suppress_health_check=[*hypothesis.settings().suppress_health_check, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("unhurried")

# A broker of a test lives for minutes at most: its Java compiles quickly rather than thoroughly, and collects
# garbage in one thread.
os.environ.setdefault(
    "KAFKA_JVM_PERFORMANCE_OPTS", "-server -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Djava.awt.headless=true"
)

# Of tests that run side by side, none takes a port whose server another has stopped for a while.
processes.PORTS = processes.PORTS[
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) :: int(
        os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    )
]

SettingsFactory = Callable[..., Settings]
TopicFactory = Callable[..., str]


def _from_environment(variable: str, default: str) -> Path:
    """Read a path setting; a relative one counts from the repository, wherever pytest runs."""
    return (ROOT / os.environ.get(variable, default)).resolve()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Give the directory of public test material (``NIGHTJAR_SHARED``), or skip."""
    path = _from_environment("NIGHTJAR_SHARED", "../shared")
    if not (path / "alerts").is_dir():
        pytest.skip(f"no test material at {path}: set NIGHTJAR_SHARED")
    return path


@pytest.fixture(scope="session")
def kafka_home() -> Path:
    """Give the Apache Kafka installation (``NIGHTJAR_KAFKA_HOME``), or skip."""
    try:
        return find_kafka(_from_environment("NIGHTJAR_KAFKA_HOME", "../shared/kafka"))
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def long_form() -> bool:
    """Tell whether the long forms were asked for."""
    return os.environ.get("NIGHTJAR_LONG_TESTS", "") not in {"", "0"}


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[Broker]:
    """Run one embedded broker for the whole session."""
    with EmbeddedBroker() as server:
        yield server


@pytest.fixture(scope="session")
def apache_kafka(kafka_home: Path) -> Iterator[Broker]:
    """Run one Apache Kafka for the whole session."""
    with ApacheKafka(kafka_home) as server:
        yield server


@pytest.fixture(params=["embedded", "kafka"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Run the test on each broker there is; shared by tests, so use `unique_topic` and do not stop it."""
    fixture = {"embedded": "embedded_broker", "kafka": "apache_kafka"}[request.param]
    server: Broker = request.getfixturevalue(fixture)
    return server


@pytest.fixture(params=["embedded", "kafka"])
def own_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Run the test on each kind of broker, one that it may kill and restart."""
    server: Broker = (
        EmbeddedBroker()
        if request.param == "embedded"
        else ApacheKafka(request.getfixturevalue("kafka_home"))
    )
    with server:
        yield server


@pytest.fixture(scope="session")
def rough_embedded_broker() -> Iterator[Broker]:
    """Run one embedded broker for all tests that handle it roughly."""
    with EmbeddedBroker() as server:
        yield server


@pytest.fixture(scope="session")
def rough_apache_kafka(kafka_home: Path) -> Iterator[Broker]:
    """Run one Apache Kafka for all tests that handle it roughly."""
    with ApacheKafka(kafka_home) as server:
        yield server


@pytest.fixture(params=["embedded", "kafka"])
def rough_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Run the test on each broker there is, one that it may pause, stop and kill.

    Starting one takes its time, so all rough tests share it; use `unique_topic`, since it may forget.
    """
    fixture = {"embedded": "rough_embedded_broker", "kafka": "rough_apache_kafka"}[request.param]
    server: Broker = request.getfixturevalue(fixture)
    yield server
    if server.running:
        server.resume()
    else:
        server.start()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """Run one Redis for the whole session."""
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """Give the URL of an empty Redis; shared by tests, so do not stop it."""
    client = Redis.from_url(redis_server.url)
    client.flushall()
    client.close()
    return redis_server.url


@pytest.fixture
def own_redis() -> Iterator[EmbeddedRedis]:
    """Run a Redis that the test may kill and restart; its data outlives that."""
    with EmbeddedRedis(append_only=True) as server:
        yield server


@pytest.fixture
def unique_topic() -> TopicFactory:
    """Make a topic no other test uses: ``unique_topic(broker, "ztf", partitions=4)`` gives its name."""

    def make(broker: Broker, name: str = "topic", *, partitions: int = 1) -> str:
        topic = f"{name}-{uuid.uuid4().hex[:12]}"
        create_topics(broker.bootstrap_servers, {topic: partitions})
        return topic

    return make


@pytest.fixture
def settings_factory() -> SettingsFactory:
    """Make settings of a service that no other test shares.

    ``settings_factory(broker, redis_url, ztf_topics=(topic,))``: a consumer group, output and rejected
    topics of its own; brief waits; any free API port. Without a broker or a Redis the addresses point at
    nothing.
    """

    def make(broker: Broker | None = None, redis_url: str | None = None, **values: Any) -> Settings:
        unique = uuid.uuid4().hex[:12]
        nowhere = "127.0.0.1:1"  # a port on which nothing can listen without being root
        defaults: dict[str, Any] = {
            "bootstrap_servers": broker.bootstrap_servers if broker else nowhere,
            "redis_url": redis_url or f"redis://{nowhere}/0",
            "group_id": f"group-{unique}",
            "worker_id": "test",
            "output_topic": f"output-{unique}",
            "rejected_topic": f"rejected-{unique}",
            "session_timeout": timedelta(seconds=6),
            "transaction_timeout": timedelta(seconds=10),
            "api_port": 0,
            "shared": _from_environment("NIGHTJAR_SHARED", "../shared"),
            "kafka_home": _from_environment("NIGHTJAR_KAFKA_HOME", "../shared/kafka"),
        }
        settings = Settings(**(defaults | values))
        if broker is not None:
            create_topics(broker.bootstrap_servers, {settings.output_topic: 4, settings.rejected_topic: 1})
        return settings

    return make
