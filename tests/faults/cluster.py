"""Three Apache Kafka brokers that keep every record on each of them."""

from pathlib import Path

from service.embedded.broker import ApacheKafka
from service.embedded.processes import LOOPBACK

__all__ = ["Cluster"]

REPLICATED = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # By default a silent broker is removed after 9 s.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}


class Cluster(ApacheKafka):
    """The first broker, which is also the controller, and two that join it.

    Parameters
    ----------
    kafka_home
        As for `ApacheKafka`.
    """

    def __init__(self, kafka_home: Path) -> None:
        super().__init__(kafka_home, REPLICATED)
        self.followers = [Follower(self, number) for number in (2, 3)]

    def start(self) -> None:
        """Start all three, the controller first."""
        super().start()
        for follower in self.followers:
            follower.start()

    def close(self) -> None:
        """Stop all three and delete their data."""
        for follower in self.followers:
            follower.close()
        super().close()


class Follower(ApacheKafka):
    """A broker that joins a cluster.

    Parameters
    ----------
    first
        The cluster's first broker, already started.
    number
        Its node id in the cluster.
    """

    def __init__(self, first: ApacheKafka, number: int) -> None:
        super().__init__(first.kafka_home, REPLICATED | {"node.id": str(number), "process.roles": "broker"})
        self.cluster_id = first.cluster_id
        self._first = first

    def _all_properties(self) -> dict[str, str]:
        return super()._all_properties() | {
            "listeners": f"PLAINTEXT://{self.bootstrap_servers}",
            "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{self._first.ports[1]}",
        }

    def _role(self) -> str:
        return "--no-initial-controllers"
