"""The commands of the quickstart work on a running demo."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from service.core.alerts import Survey
from tests.cli.test_demo import running_demo, wait_for_results
from tests.conftest import ROOT
from tests.support.command import environment
from tests.support.streams import simulated_packets

ADDRESSES = re.compile(r"page and API\s+(\S+)\s+Kafka\s+(\S+)\s+Redis\s+(\S+)")
TOKEN = "demo"  # noqa: S105  as the page has it


def block(beginning: str) -> str:
    """Return the block of shell commands on the page that begins so."""
    text = (ROOT / "docs/quickstart.md").read_text(encoding="utf-8")
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return next(code for code in blocks if code.startswith(beginning))


def addresses(messages: IO[str]) -> tuple[str, str, str]:
    """Return the addresses of a demo's API, broker and Redis."""
    for line in messages:
        if found := ADDRESSES.search(line):
            return found[1], found[2], found[3]
    pytest.fail("the demo ended without saying where it is")


def with_our_command(**variables: str) -> dict[str, str]:
    """Return an environment with our command on its path, as an activated one has."""
    return environment(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables)


@contextmanager
def shell(code: str, log: Path) -> Iterator[IO[str]]:
    """Run commands and yield their output; then kill them and their background processes."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            ["bash", "-euc", code],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=with_our_command(PYTHONUNBUFFERED="1"),
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.timeout(180)
def test_filter_of_ones_own_gets_a_topic_with_what_fits(tmp_path: Path) -> None:
    with running_demo(NIGHTJAR_API_ADMIN_TOKEN=TOKEN) as (_, messages):
        url, kafka, redis = addresses(messages)
        wait_for_results(messages)
        code = block("export NIGHTJAR_BOOTSTRAP_SERVERS").replace("redis://HOST:PORT/0", redis)
        code = code.replace("HOST:PORT", kafka).replace("http://127.0.0.1:8000", url)
        with shell(code, tmp_path / "errors") as printed:
            results = (line for line in printed if " Ia " in line)
            found = [next(results, "") for _ in range(3)]
    for line in found:
        assert (told := re.search(r" Ia (\d\.\d\d)", line)), (tmp_path / "errors").read_text()
        assert float(told[1]) >= 0.5


@pytest.mark.timeout(180)
def test_more_alerts_are_sent_and_all_have_their_results(tmp_path: Path) -> None:
    (tmp_path / "packets").mkdir()
    ours = [packet for survey, packet in simulated_packets() if survey is Survey.ZTF][:5]
    for number, packet in enumerate(ours):
        (tmp_path / "packets" / f"{number}.avro").write_bytes(packet)
    with running_demo("--rate", "0") as (_, messages):
        _, kafka, _ = addresses(messages)
        assert any("every alert has its result" in line for line in messages)
        done = subprocess.run(
            ["bash", "-euc", block("export NIGHTJAR_ZTF_TOPICS").replace("DIR", str(tmp_path / "packets"))],
            env=with_our_command(NIGHTJAR_BOOTSTRAP_SERVERS=kafka, COLUMNS="200"),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "demo.ztf" in done.stdout
