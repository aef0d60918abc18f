"""What a worker says of itself: alive, waiting, stalled, and everything in the report."""

import json
import time
import urllib.error
import urllib.request
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service.embedded.processes import free_port
from service.errors import (
    BrokerUnavailableError,
    RegistryUnavailableError,
    SettingsError,
    StoreUnavailableError,
    TransientError,
)
from service.worker.health import WorkerStatus, serve
from service.worker.metrics import ModelLabels, WorkerMetrics

STALL = timedelta(seconds=2)
LONGER_S = 2.1


@pytest.fixture
def metrics() -> WorkerMetrics:
    return WorkerMetrics(stall_timeout=STALL)


def ask(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_worker_that_starts_is_alive_and_not_ready(metrics: WorkerMetrics) -> None:
    port = free_port()
    metrics.serve(port, "127.0.0.1")
    time.sleep(LONGER_S)  # than a working loop may be silent
    assert ask(port, "/healthz")[0] == 200
    status, report = ask(port, "/readyz")
    assert (status, report["status"]) == (503, "starting")
    metrics.status.set_ready()
    assert ask(port, "/readyz")[0] == 200


def test_loop_that_stands_still_is_seen(metrics: WorkerMetrics) -> None:
    port = free_port()
    metrics.serve(port, "127.0.0.1")
    metrics.status.set_ready()
    assert ask(port, "/healthz")[0] == 200
    time.sleep(LONGER_S)
    status, report = ask(port, "/healthz")
    assert (status, report["status"]) == (503, "stalled")
    assert report["silent_s"] >= LONGER_S
    metrics.status.heartbeat()
    assert ask(port, "/healthz")[0] == 200


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (BrokerUnavailableError("no answer from Kafka"), "broker"),
        (StoreUnavailableError("Redis is loading"), "store"),
        (RegistryUnavailableError("no answer"), "schema_registry"),
    ],
)
def test_waiting_is_told_and_no_reason_for_a_restart(error: TransientError, part: str) -> None:
    pulse = WorkerStatus()
    pulse.set_ready()
    pulse.set_waiting(error)
    assert pulse.report()[part] == str(error)
    assert pulse.status == "waiting"
    server = serve(CollectorRegistry(), pulse, "127.0.0.1", 0)
    try:
        port = server.server_port
        assert ask(port, "/healthz")[0] == 200
        assert ask(port, "/readyz")[0] == 503
        pulse.clear_waiting()
        status, report = ask(port, "/readyz")
        assert (status, report["broker"], report["store"]) == (200, "ok", "ok")
    finally:
        server.shutdown()
        server.server_close()


def test_report_tells_lag_and_models(metrics: WorkerMetrics) -> None:
    metrics.set_models(
        [ModelLabels("ztf", "nightjar-ztf", "0.2.0"), ModelLabels("lsst", "nightjar-lsst", "1")]
    )
    metrics.set_lag({("ztf_20261121", 0): 5, ("ztf_20261121", 1): 7, ("lsst", 3): 0})
    report = metrics.status.report()
    assert report["lag_messages"] == {"ztf_20261121": 12, "lsst": 0}
    assert report["partitions"] == 3
    assert {"survey": "ztf", "model": "nightjar-ztf", "version": "0.2.0"} in report["models"]


def test_metrics_are_at_their_old_place(metrics: WorkerMetrics) -> None:
    port = free_port()
    metrics.serve(port, "127.0.0.1")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert b"nightjar_batch_seconds" in answer.read()


def test_a_path_that_does_not_exist_answers_404(metrics: WorkerMetrics) -> None:
    port = free_port()
    metrics.serve(port, "127.0.0.1")
    for path in ("/", "/health"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10)


def test_of_what_else_is_away_a_waiting_worker_knows_nothing() -> None:
    pulse = WorkerStatus()
    pulse.set_waiting(BrokerUnavailableError("no answer from Kafka"))
    assert (pulse.report()["broker"], pulse.report()["store"]) == ("no answer from Kafka", "unknown")


def test_port_that_is_taken_names_its_setting(metrics: WorkerMetrics) -> None:
    port = free_port()
    metrics.serve(port, "127.0.0.1")
    with pytest.raises(SettingsError, match="NIGHTJAR_METRICS_PORT"):
        WorkerMetrics().serve(port, "127.0.0.1")


def test_an_address_of_the_other_family_will_do() -> None:
    server = serve(CollectorRegistry(), WorkerStatus(), "::1", 0)
    try:
        assert ask(server.server_port, "/healthz", "[::1]")[0] == 200
    finally:
        server.shutdown()
        server.server_close()
