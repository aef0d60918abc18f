"""Workers on several hosts with a Redis Cluster: a master dies, a host is cut off, nothing is lost."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.embedded.broker import Broker
from tests.conftest import ROOT
from tests.faults.proof import SHORT_TIMEOUTS, assert_exactly_once, assert_same_light_curves, lsst
from tests.integration.conftest import DeploymentFactory
from tests.support.crowd import crowd
from tests.support.redis_cluster import EmbeddedRedisCluster

PACKETS = lsst(crowd(60))


def test_failover_of_a_cluster_master_loses_nothing(
    fault_broker: Broker, redis_url: str, deploy: DeploymentFactory
) -> None:
    with EmbeddedRedisCluster() as cluster:
        deployment = deploy(fault_broker, cluster.url, batch_size=10, redis_wait_replicas=1, **SHORT_TIMEOUTS)
        for number in range(2):
            deployment.start_worker(f"worker-{number}")
        deployment.send(PACKETS, lambda index: index % 4)
        deployment.wait_until_committed(len(PACKETS) // 3)
        cluster.fail_over(cluster.masters[0])
        cluster.masters[0].start()  # as a replica of the promoted one
        deployment.wait_until_done(timeout_s=180)

        assert_exactly_once(deployment)
        deployment.settings = deployment.settings.model_copy(update={"redis_wait_replicas": 0})
        assert_same_light_curves(deployment, redis_url, PACKETS)
        for worker in deployment.workers:
            assert worker.running
            assert "Traceback" not in worker.output()


def test_network_partition_and_failover_leave_the_audit_clean(kafka_home: Path, long_form: bool) -> None:
    if not long_form:
        pytest.skip("set NIGHTJAR_LONG_TESTS=1 for four workers on two hosts")
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("ip")):
        pytest.skip("hosts are network namespaces: this needs root and the ip program")
    command = ["unshare", "--net", "--mount", sys.executable, "-m", "tests.faults.two_hosts", "300"]
    environment = os.environ | {"NIGHTJAR_KAFKA_HOME": str(kafka_home)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=580
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(done.stdout)
    assert report["audit"]["missing"] == report["audit"]["unexplained"] == 0
    assert report["audit"]["consumed"] == report["alerts"] > 2000
    assert report["workers_running"]["host-a-0"]
    assert report["workers_running"]["host-a-1"]
