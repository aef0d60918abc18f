"""What the front page says is true."""

import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.cli.app import SUBCOMMANDS
from service.core.records.encoding import encode_json
from service.embedded.broker import Broker
from tests.cli.test_results import record
from tests.conftest import TopicFactory
from tests.support.command import command_line, environment
from tests.support.kafka import produce

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def sure_and_unsure() -> list[bytes]:
    sure = record(object_id="sure")
    sure["classifications"][0] |= {"class_name": "Ia", "probability": 0.9}
    return encode_json([record(object_id="unsure"), sure])


def shown(language: str, beginning: str, broker: Broker, topic: str) -> str:
    """Take a block of the front page, for another broker and topic."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    code: str = next(block for block in blocks if block.startswith(beginning))
    return code.replace("127.0.0.1:9092", broker.bootstrap_servers).replace("nightjar.classifications", topic)


@contextmanager
def running(command: list[str], **variables: str) -> Iterator[Iterator[str]]:
    """Run a command; gives the lines that it prints."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment(**variables)
    ) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            process.kill()


def test_python_of_the_front_page_prints_confident_classifications(
    broker: Broker, unique_topic: TopicFactory
) -> None:
    topic = unique_topic(broker)
    produce(broker.bootstrap_servers, topic, sure_and_unsure())
    code = shown("python", "import json", broker, topic)
    with running([sys.executable, "-c", code]) as lines:
        assert next(lines) == "sure Ia 0.9\n"


def test_kcat_of_the_front_page_prints_every_record(apache_kafka: Broker, unique_topic: TopicFactory) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("no kcat: apt-get install kcat")
    topic = unique_topic(apache_kafka)
    records = sure_and_unsure()
    produce(apache_kafka.bootstrap_servers, topic, records, keys=[b"unsure", b"sure"])
    with running(shlex.split(shown("sh", "kcat", apache_kafka, topic))) as lines:
        assert [next(lines) for _ in records] == [
            f"{key} {value.decode()}\n" for key, value in zip(("unsure", "sure"), records, strict=True)
        ]


def test_our_command_of_the_front_page_prints_confident_classifications(
    broker: Broker, unique_topic: TopicFactory
) -> None:
    topic = unique_topic(broker)
    program, *arguments = shlex.split(shown("sh", "nightjar listen", broker, topic))
    assert program == "nightjar"
    found: list[str] = []
    with running(command_line(*arguments), NIGHTJAR_OUTPUT_TOPIC=topic) as lines:
        reader = threading.Thread(target=lambda: found.append(next(lines)), daemon=True)
        reader.start()
        deadline = time.monotonic() + 60
        # It prints what comes after its start, the moment of which nobody tells.
        while reader.is_alive() and time.monotonic() < deadline:
            produce(broker.bootstrap_servers, topic, sure_and_unsure())
            reader.join(0.5)
    assert "ztf      sure                 Ia 0.90" in found[0]


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text())
    assert targets
    for target in targets:
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


def test_every_subcommand_is_introduced() -> None:
    text = README + (ROOT / "docs/quickstart.md").read_text()
    assert {subcommand.name for subcommand in SUBCOMMANDS} <= set(re.findall(r"nightjar ([a-z-]+)", text))


def test_make_targets_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
