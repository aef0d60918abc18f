"""The real command in a real process."""

import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from service.core.alerts import Survey
from service.redis.store import RedisStore
from tests.support.bundles import write_random_bundle
from tests.support.command import command_line, environment, nightjar
from tests.support.objects import object_state, put

NO_REDIS = "redis://127.0.0.1:1/0"
STOP_TIMEOUT_S = 30


class Started(NamedTuple):
    """``nightjar api``, its address, and what it has logged before it gave that."""

    process: subprocess.Popen[str]
    url: str
    logged: list[str]


Start = Callable[[str], Started]


@pytest.fixture(scope="module")
def model_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    directory = tmp_path_factory.mktemp("bundles")
    return {
        "NIGHTJAR_ZTF_MODEL": str(write_random_bundle(directory / "ztf")),
        "NIGHTJAR_LSST_MODEL": str(write_random_bundle(directory / "lsst", survey=Survey.LSST)),
    }


@pytest.fixture
def start(model_settings: dict[str, str]) -> Iterator[Start]:
    """Start ``nightjar api`` and wait until it listens."""
    running: list[subprocess.Popen[str]] = []

    def start(redis_url: str) -> Started:
        variables = {"NIGHTJAR_REDIS_URL": redis_url, "NIGHTJAR_API_PORT": "0", "NIGHTJAR_LOG_JSON": "true"}
        process = subprocess.Popen(
            command_line("api"),
            env=environment(**variables, **model_settings),
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stderr is not None
        logged: list[str] = []
        for line in process.stderr:
            entry = json.loads(line)
            if entry["event"] == "listening":
                return Started(process, entry["url"], logged)
            logged.append(entry["event"])
        raise AssertionError(f"ended with {process.wait()} before it listened")

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_the_command_serves_what_is_stored(start: Start, store: RedisStore, redis_url: str) -> None:
    put(store, "ztf:ZTF21abiuvdk", object_state())
    url = start(redis_url).url
    assert httpx.get(f"{url}/readyz", timeout=30).status_code == 200
    response = httpx.get(f"{url}/v1/objects/ZTF21abiuvdk/lightcurve", timeout=30)
    assert response.json()["n_observations"] == 4


def test_the_command_compiles_before_it_takes_requests(start: Start) -> None:
    assert "compiled" in start(NO_REDIS).logged


def test_a_small_answer_does_not_wait_for_the_client_to_acknowledge_its_head(start: Start) -> None:
    url = start(NO_REDIS).url
    with httpx.Client(base_url=url, timeout=30) as client:
        seconds = [client.get("/healthz").elapsed.total_seconds() for _ in range(40)]
    # Delayed acknowledgement alone takes 0.04 s, each time once a connection has found its pace.
    assert min(seconds[20:]) < 0.03


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_the_command_starts_without_redis_and_ends_cleanly_when_told(
    start: Start, number: signal.Signals
) -> None:
    process, url, _ = start(NO_REDIS)
    assert httpx.get(f"{url}/healthz", timeout=30).status_code == 200
    assert httpx.get(f"{url}/readyz", timeout=30).status_code == 503
    process.send_signal(number)
    _, log = process.communicate(timeout=STOP_TIMEOUT_S)
    assert process.returncode == 0
    assert json.loads(log.splitlines()[-1])["event"] == "stopped"
    assert "Traceback" not in log


def test_a_port_in_use_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = nightjar("api", NIGHTJAR_API_PORT=str(port), NIGHTJAR_REDIS_URL=NO_REDIS)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(
        f"nightjar: cannot listen on 127.0.0.1:{port}: Address already"
    )
    assert "NIGHTJAR_API_PORT" in result.stderr


def test_a_model_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    result = nightjar(
        "api", NIGHTJAR_API_PORT="0", NIGHTJAR_REDIS_URL=NO_REDIS, NIGHTJAR_ZTF_MODEL=str(tmp_path / "none")
    )
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("nightjar: model ")


def test_kafka_options_that_are_none_are_said_in_one_line_at_the_start() -> None:
    result = nightjar(
        "api", NIGHTJAR_API_PORT="0", NIGHTJAR_REDIS_URL=NO_REDIS, NIGHTJAR_KAFKA_OPTIONS="foo=bar"
    )
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        'nightjar: Kafka options: No such configuration property: "foo" (_INVALID_ARG)'
    ]


def test_a_core_that_is_not_there_is_said_in_one_line() -> None:
    result = nightjar("api", NIGHTJAR_API_CPU_AFFINITY="100000", NIGHTJAR_REDIS_URL=NO_REDIS)

    assert result.returncode != 0
    assert "NIGHTJAR_API_CPU_AFFINITY" in result.stderr
    assert "Traceback" not in result.stderr
