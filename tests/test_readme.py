"""The README is true: its examples run, its links lead somewhere, its commands exist."""

import os
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

import httpx
import pytest

from service.cli.app import SUBCOMMANDS
from service.core.alerts import Survey
from service.core.records.encoding import encode_json
from service.embedded.broker import Broker
from service.redis.store import RedisStore
from tests.api.conftest import app, classifiers, client, store
from tests.api.test_search import MODELS
from tests.cli.test_results import record
from tests.conftest import TopicFactory
from tests.support.command import command_line, environment
from tests.support.kafka import produce
from tests.support.objects import classification, object_state, put

__all__ = ["app", "classifiers", "client", "store"]

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def sure_and_unsure() -> list[bytes]:
    sure = record(object_id="sure")
    sure["classifications"][0] |= {"class_name": "Ia", "probability": 0.9}
    return encode_json([record(object_id="unsure"), sure])


def example(language: str, beginning: str) -> str:
    """Return the code block of the README that begins so."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(block for block in blocks if block.startswith(beginning))


def example_for(broker: Broker, topic: str, language: str, beginning: str) -> str:
    """Return a code block of the README, with another broker and topic."""
    code = example(language, beginning)
    return code.replace("127.0.0.1:9092", broker.bootstrap_servers).replace("nightjar.classifications", topic)


@contextmanager
def running(command: list[str], **variables: str) -> Iterator[Iterator[str]]:
    """Run a command; yields an iterator over the lines that it prints."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment(**variables)
    ) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            process.kill()


def test_python_example_prints_confident_classifications(broker: Broker, unique_topic: TopicFactory) -> None:
    topic = unique_topic(broker)
    produce(broker.bootstrap_servers, topic, sure_and_unsure())
    code = example_for(broker, topic, "python", "import json")
    with running([sys.executable, "-c", code]) as lines:
        assert next(lines) == "sure Ia 0.9\n"


def test_kcat_example_prints_every_record(apache_kafka: Broker, unique_topic: TopicFactory) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("no kcat: apt-get install kcat")
    topic = unique_topic(apache_kafka)
    records = sure_and_unsure()
    produce(apache_kafka.bootstrap_servers, topic, records, keys=[b"unsure", b"sure"])
    with running(shlex.split(example_for(apache_kafka, topic, "sh", "kcat"))) as lines:
        assert [next(lines) for _ in records] == [
            f"{key} {value.decode()}\n" for key, value in zip(("unsure", "sure"), records, strict=True)
        ]


def test_listen_example_prints_confident_classifications(broker: Broker, unique_topic: TopicFactory) -> None:
    topic = unique_topic(broker)
    program, *arguments = shlex.split(example_for(broker, topic, "sh", "nightjar listen"))
    assert program == "nightjar"
    printed: list[str] = []
    with running(command_line(*arguments), NIGHTJAR_OUTPUT_TOPIC=topic) as lines:
        reader = threading.Thread(target=lambda: printed.append(next(lines)), daemon=True)
        reader.start()
        deadline = time.monotonic() + 60
        # It prints only records that arrive after its start, the time of which is not known here.
        while reader.is_alive() and time.monotonic() < deadline:
            produce(broker.bootstrap_servers, topic, sure_and_unsure())
            reader.join(0.5)
    assert "ztf      sure                 Ia 0.90" in printed[0]


def test_client_example_prints_probable_supernovae(
    client: httpx.Client, store: RedisStore, tmp_path: Path
) -> None:
    model = MODELS[Survey.ZTF]
    store.register_model(model)
    history = [classification(1, model.digest, [0.7, 0.2, 0.1], day=2)]
    put(store, "ztf:ZTF21abiuvdk", object_state(history))
    # The distribution nightjar-client holds the same files under this name.
    (tmp_path / "nightjar_client").symlink_to(ROOT / "service" / "client")
    code = example("python", "from nightjar_client").replace("http://127.0.0.1:8000", str(client.base_url))
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    with running([sys.executable, "-c", code], PYTHONPATH=path) as lines:
        id_, probability = next(lines).split()
    assert id_ == "ztf:ZTF21abiuvdk"
    assert float(probability) == pytest.approx(0.7)


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
