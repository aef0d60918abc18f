"""What the front page says is true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.cli import SUBCOMMANDS
from service.core.records import encode_json
from service.embedded.broker import Broker
from tests.commands.test_results import record
from tests.conftest import TopicFactory
from tests.support.kafka import produce

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_subscriber_of_the_front_page_prints_confident_classifications(
    broker: Broker, unique_topic: TopicFactory
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    topic = unique_topic(broker)
    sure = record(object_id="sure")
    sure["classifications"][0]["probability"] = 0.9
    produce(broker.bootstrap_servers, topic, encode_json([record(object_id="unsure"), sure]))
    code = code.replace("127.0.0.1:9092", broker.bootstrap_servers).replace("nightjar.classifications", topic)

    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "sure SN Ia 0.9\n"
        finally:
            process.kill()


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text())
    assert targets
    for target in targets:
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


def test_every_subcommand_is_introduced() -> None:
    text = README + (ROOT / "docs/quickstart.md").read_text()
    assert {subcommand.name for subcommand in SUBCOMMANDS} <= set(re.findall(r"nightjar ([a-z]+)", text))


def test_make_targets_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
