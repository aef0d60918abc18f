"""``nightjar demo`` runs the whole service, accounts for every alert, and leaves nothing behind."""

import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from service.embedded.broker import Broker
from service.embedded.processes import free_port
from tests.support.command import command_line, environment, nightjar
from tests.support.kafka import wait_until

ANY_PORT = ("--port", "0")


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the last line of output, parsed."""
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert result.pop("seconds") > 0
    return result


@contextmanager
def running_demo(*arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Run a demo in the background; its messages can be read line by line."""
    with subprocess.Popen(
        command_line("demo", *ANY_PORT, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    ) as process:
        assert process.stderr is not None
        try:
            yield process, process.stderr
        finally:
            process.kill()


def wait_for_results(messages: IO[str]) -> None:
    for line in messages:
        if "alerts classified" in line and " 0 alerts classified" not in line:
            return
    pytest.fail("the demo ended without a result")


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return list(psutil.Process(process.pid).children(recursive=True))


def none_is_left(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


@pytest.mark.parametrize("broker_kind", ["embedded", "kafka"])
def test_every_real_alert_is_answered_once_and_none_is_rejected(
    shared: Path, tmp_path: Path, broker_kind: str, request: pytest.FixtureRequest
) -> None:
    variables = {}
    if broker_kind == "kafka":
        variables["NIGHTJAR_KAFKA_HOME"] = str(request.getfixturevalue("kafka_home"))
    shutil.copytree(shared / "alerts", tmp_path / "alerts", ignore=shutil.ignore_patterns("synthetic"))

    done = nightjar(
        *("demo", "--alerts", str(tmp_path / "alerts"), "--once", "--broker", broker_kind, *ANY_PORT),
        timeout_s=300,
        **variables,
    )

    assert done.returncode == 0, done.stderr
    counts = summary(done)
    abstained = counts.pop("abstained")
    assert counts.pop("classified") + sum(abstained.values()) == 358
    assert abstained["solar_system"] == 17
    assert counts == {"consumed": 358, "rejected": 0, "objects": 297}


def test_shipped_stream_needs_nothing_but_the_package(tmp_path: Path) -> None:
    done = nightjar("demo", "--once", *ANY_PORT, timeout_s=300, NIGHTJAR_SHARED=str(tmp_path))
    assert done.returncode == 0, done.stderr
    counts = summary(done)
    assert counts["rejected"] == 0
    assert counts["classified"] > 0.9 * counts["consumed"]
    assert counts["consumed"] > 500


def test_damaged_packets_are_counted_as_rejected_and_other_files_left_out(
    shared: Path, tmp_path: Path
) -> None:
    good = next((shared / "alerts/lsst/10.0/wire").glob("*.avro"))
    shutil.copy(good, tmp_path)
    (tmp_path / "cut.avro").write_bytes(good.read_bytes()[:300])
    (tmp_path / "empty.avro").write_bytes(b"")
    (tmp_path / "unknown.avro").write_bytes(b"\x00\x7f\xff\xff\xff" + bytes(50))
    (tmp_path / "README.md").write_text("not a packet")

    done = nightjar("demo", "--alerts", str(tmp_path), "--once", *ANY_PORT, timeout_s=300)

    assert done.returncode == 0, done.stderr
    assert "skipped 1 files that are not packets" in done.stderr
    assert summary(done) == {"consumed": 4, "classified": 1, "abstained": {}, "rejected": 3, "objects": 1}


def test_two_runs_on_one_running_broker_do_not_meet(broker: Broker, shared: Path) -> None:
    alerts = str(shared / "alerts/elasticc/0.9/ocf")
    for _ in range(2):
        done = nightjar(
            *("demo", "--alerts", alerts, "--once", "--broker", broker.bootstrap_servers, *ANY_PORT),
            timeout_s=300,
            NIGHTJAR_OUTPUT_FORMAT="avro",
        )
        assert done.returncode == 0, done.stderr
        assert summary(done)["consumed"] == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_stops_everything_and_ends_with_0(number: signal.Signals) -> None:
    with running_demo() as (process, messages):
        wait_for_results(messages)
        started = descendants(process)
        assert len(started) == 5  # broker, Redis, two workers, API
        process.send_signal(number)
        assert process.wait(60) == 0
        assert none_is_left(started)
        assert messages.read().splitlines()[-1].endswith("all stopped")


def test_interrupted_run_of_once_says_that_it_is_not_complete() -> None:
    with running_demo("--once", "--rate", "5") as (process, messages):
        wait_for_results(messages)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert json.loads(output.splitlines()[-1])["classified"] > 0


def test_killed_demo_leaves_no_process() -> None:
    with running_demo() as (process, messages):
        wait_for_results(messages)
        started = descendants(process)
        process.kill()
        process.wait(10)
        wait_until(lambda: none_is_left(started), "its children end")


def test_demo_whose_worker_dies_says_so_and_stops_the_rest() -> None:
    with running_demo("--workers", "1") as (process, messages):
        wait_for_results(messages)
        started = descendants(process)
        (worker,) = [child for child in started if "worker" in child.cmdline()]
        worker.kill()
        assert process.wait(60) == 1
        assert none_is_left(started)
        assert "nightjar: worker 1 ended with exit code -9" in messages.read()


def test_service_that_cannot_start_is_named_with_its_reason() -> None:
    done = nightjar("demo", "--once", *ANY_PORT, NIGHTJAR_ZTF_MODEL="/no/such/model")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "ended with exit code" in done.stderr
    assert "/no/such/model" in done.stderr


def test_taken_port_is_one_line_that_says_what_to_do() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        done = nightjar("demo", "--once", "--port", str(port))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"nightjar: port {port} is taken: choose another with --port, 0 for any free one"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--broker", "somewhere"), "--broker must be embedded, kafka or HOST:PORT"),
        (("--broker", "kafka"), "set NIGHTJAR_KAFKA_HOME"),
        (("--alerts", "/no/such/directory"), "no such file or directory: /no/such/directory"),
    ],
)
def test_unusable_option_is_one_line(arguments: tuple[str, str], words: str) -> None:
    done = nightjar("demo", *arguments, NIGHTJAR_KAFKA_HOME="/no/kafka")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert words in line
