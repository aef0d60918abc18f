"""Four workers on two hosts with a Redis Cluster, and faults; run as a program by the tests.

``unshare --net --mount python -m tests.faults.two_hosts [NUMBER_OF_OBJECTS]``, as root. In its
network namespace Kafka and Redis listen on a hub's address; each host is another namespace with a link to the
hub. A master of the cluster is killed, then a link is taken down, then up again. Prints one line of JSON: the
audit's totals and how long each phase took.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from service.core.alerts import Survey
from service.embedded.broker import ApacheKafka, create_topics, find_kafka
from service.embedded.processes import ChildProcess
from service.embedded.redis import EmbeddedRedis
from service.errors import FatalError
from service.settings import Settings
from tests.conftest import ROOT
from tests.faults.proof import SHORT_TIMEOUTS, assert_exactly_once, assert_same_light_curves, audit, lsst
from tests.integration.deployment import Deployment
from tests.support.crowd import crowd
from tests.support.models import model_settings
from tests.support.redis_cluster import EmbeddedRedisCluster
from tests.support.service import worker_process

# Private addresses: packets never leave the namespaces.
HUB = "10.213.0.1"
HOSTS = {"host-a": "10.213.1", "host-b": "10.213.2"}
PARTITIONS = 8
TIMEOUT_S = 240.0
# Alerts sent before any fault, after the failover, while a host is cut off, and when it is back.
PARTS = (0.0, 0.4, 0.7, 0.95, 1.0)

SHORT_INTERVALS = {
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}


class HubKafka(ApacheKafka):
    """Apache Kafka that hosts reach at the hub's address."""

    @property
    def bootstrap_servers(self) -> str:
        return f"{HUB}:{self.ports[0]}"

    def _all_properties(self) -> dict[str, str]:
        listeners = f"PLAINTEXT://0.0.0.0:{self.ports[0]},CONTROLLER://127.0.0.1:{self.ports[1]}"
        return super()._all_properties() | {"listeners": listeners}


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def create_network() -> None:
    """Create the hub's address and the hosts, each with a link."""
    Path("/run/netns").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run/netns"], check=True)
    ip("link", "set", "lo", "up")
    ip("address", "add", f"{HUB}/32", "dev", "lo")
    for name, network in HOSTS.items():
        inside = ["netns", "exec", name, "ip"]
        ip("netns", "add", name)
        ip("link", "add", f"to-{name}", "type", "veth", "peer", "name", "hub", "netns", name)
        ip("address", "add", f"{network}.1/24", "dev", f"to-{name}")
        ip("link", "set", f"to-{name}", "up")
        ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "address", "add", f"{network}.2/24", "dev", "hub")
        ip(*inside, "link", "set", "hub", "up")
        ip(*inside, "route", "add", "default", "via", f"{network}.1")


@contextmanager
def cut_off(name: str) -> Iterator[None]:
    """Take a host's link down: packets are lost without an error."""
    ip("link", "set", f"to-{name}", "down")
    try:
        yield
    finally:
        ip("link", "set", f"to-{name}", "up")


def start_workers(deployment: Deployment) -> None:
    """Start two workers on each host."""
    for host in HOSTS:
        for number in range(2):
            plain = worker_process(deployment.settings, deployment.directory, f"{host}-{number}")
            command = ["ip", "netns", "exec", host, *plain.command]
            worker = ChildProcess(plain.name, command, plain.log_path, plain.environment)
            worker.start()
            deployment.workers.append(worker)


def wait_for(deployment: Deployment, part: float) -> float:
    """Wait until a part of the alerts sent is committed; return the seconds it took."""
    started_s = time.monotonic()
    deployment.wait_until_committed(int(part * deployment.sent.total()), timeout_s=TIMEOUT_S)
    return round(time.monotonic() - started_s, 1)


def disturb(deployment: Deployment, cluster: EmbeddedRedisCluster, packets: Any) -> dict[str, float]:
    """Send all alerts while one fault follows the other; return the seconds of each phase."""
    parts = [packets[int(low * len(packets)) : int(high * len(packets))] for low, high in pairwise(PARTS)]

    def send(part: int) -> None:
        deployment.send(parts[part], lambda index: index % PARTITIONS)

    send(0)
    times = {"start_s": wait_for(deployment, 0.5)}
    failed_s = time.monotonic()
    cluster.fail_over(cluster.masters[0])
    times["failover_s"] = round(time.monotonic() - failed_s, 1)
    send(1)
    # It restarts as a replica, as an operator would ensure; until then its slots have no copy, and workers
    # that require one wait.
    cluster.masters[0].start()
    times["recovered_s"] = wait_for(deployment, 0.7)
    with cut_off("host-b"):
        send(2)
        times["one_host_s"] = wait_for(deployment, 1.0)
    send(3)
    return times | {"rest_s": wait_for(deployment, 1.0)}


def main(n_objects: int) -> dict[str, Any]:
    """Run everything; return the report."""
    create_network()
    kafka_home = find_kafka((ROOT / os.environ.get("NIGHTJAR_KAFKA_HOME", "../shared/kafka")).resolve())
    packets = lsst(crowd(n_objects))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(HubKafka(kafka_home, SHORT_INTERVALS))
        cluster = stack.enter_context(EmbeddedRedisCluster(addresses=[HUB]))
        alone = stack.enter_context(EmbeddedRedis())
        topics = {survey: survey.value for survey in Survey}
        create_topics(broker.bootstrap_servers, dict.fromkeys(topics.values(), PARTITIONS))
        models = model_settings(directory)
        settings = Settings(
            bootstrap_servers=broker.bootstrap_servers,
            redis_url=cluster.url,
            redis_wait_replicas=1,
            ztf_topics=("ztf",),
            lsst_topics=("lsst",),
            elasticc_topics=("elasticc",),
            batch_size=10,
            session_timeout=SHORT_TIMEOUTS["session_timeout"],
            transaction_timeout=SHORT_TIMEOUTS["transaction_timeout"],
            ztf_model=models["ztf_model"],
            lsst_model=models["lsst_model"],
        )
        create_topics(broker.bootstrap_servers, {settings.output_topic: 4, settings.rejected_topic: 1})
        deployment = Deployment(broker, settings, topics, directory, PARTITIONS)
        stack.callback(deployment.close)
        start_workers(deployment)
        times = disturb(deployment, cluster, packets)
        assert_exactly_once(deployment)
        # The server of the undisturbed run has no replica.
        deployment.settings = settings.model_copy(update={"redis_wait_replicas": 0})
        assert_same_light_curves(deployment, alone.url, packets)
        _code, found = audit(deployment)
        running = {worker.name: worker.running for worker in deployment.workers}
        log = "".join(worker.output() for worker in deployment.workers)
    assert "Traceback" not in log, log
    return {"alerts": len(packets), "audit": found["totals"], "workers_running": running, **times}


if __name__ == "__main__":
    try:
        report = main(int(sys.argv[1]) if len(sys.argv) > 1 else 120)
    except FatalError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(report) + "\n")
