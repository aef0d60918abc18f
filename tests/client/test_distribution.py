"""The client is its own distribution: built as a wheel, installed alone, and used against a running API."""

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from service.core.alerts import Survey
from service.redis.store import RedisStore
from service.wiring.stores import object_store
from tests.api.test_stream import IA, Topic
from tests.client.test_stream import api, topic
from tests.conftest import ROOT
from tests.integration.conftest import models
from tests.support.api_process import ApiProcess
from tests.support.kafka import wait_until
from tests.support.objects import object_state, put

__all__ = ["api", "models", "topic"]

CLIENT = ROOT / "service" / "client"
PROJECT = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
KEY = f"{Survey.ZTF.value}:ZTF21abiuvdk"

SCRIPT = """
import json, sys
from nightjar_client import Nightjar

url, key = sys.argv[1:]
with Nightjar(url) as sky:
    print(json.dumps([sky.object(key).id, [found.id for found in sky.objects()]]), flush=True)
    for extra in (lambda: sky.lightcurve(key).table(), lambda: next(Nightjar.subscribe())):
        try:
            extra()
        except ImportError as error:
            print(json.dumps(error.name.partition(".")[0]), flush=True)
    print(json.dumps(next(sky.stream()).model_dump(mode="json")), flush=True)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, from a copy: building leaves files behind."""
    directory = tmp_path_factory.mktemp("wheel")
    shutil.copytree(CLIENT, directory / "client", ignore=shutil.ignore_patterns("__pycache__"))
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--no-index", "--wheel-dir", str(directory), str(directory / "client")),
    )
    [built] = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with the client and what it says it needs, all of which is here already."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    python = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", str(python))
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel))
    [packages] = environment.glob("lib/*/site-packages")
    for name in required(PROJECT["dependencies"]):
        copy_distribution(name, packages)
    run(*pip, "check")
    return python


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def required(requirements: list[str]) -> set[str]:
    """Names of everything that some requirements need, without extras."""
    names: set[str] = set()
    pending = [Requirement(text) for text in requirements]
    while pending:
        requirement = pending.pop()
        is_needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if is_needed and requirement.name not in names:
            names.add(requirement.name)
            pending += map(Requirement, distribution(requirement.name).requires or ())
    return names


def copy_distribution(name: str, target: Path) -> None:
    for file in distribution(name).files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            path = target / file
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(str(file.locate())), path)


def test_the_version_is_that_of_the_service() -> None:
    service = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert PROJECT["version"] == service["version"]
    assert PROJECT["requires-python"] == service["requires-python"]


def test_the_client_needs_httpx_and_pydantic_only() -> None:
    assert {Requirement(text).name for text in PROJECT["dependencies"]} == {"httpx", "pydantic"}


def test_the_wheel_holds_every_module_and_nothing_else_of_the_service(wheel: Path) -> None:
    listing = subprocess.run(
        [sys.executable, "-m", "zipfile", "--list", str(wheel)], capture_output=True, text=True, check=True
    )
    held = {line.split()[0] for line in listing.stdout.splitlines()[1:] if "dist-info" not in line}
    sources = {path.relative_to(CLIENT).as_posix() for path in CLIENT.rglob("*.py")}
    data = {"py.typed", "schemas/classification.avsc"}
    assert held == {f"nightjar_client/{name}" for name in sources | data}


@pytest.fixture
def stored(topic: Topic) -> Iterator[RedisStore]:
    store = object_store(topic.settings)
    put(store, KEY, object_state())
    yield store
    store.close()


@pytest.mark.usefixtures("stored")
def test_the_installed_client_reads_objects_searches_and_streams(
    python: Path, api: ApiProcess, topic: Topic, tmp_path: Path
) -> None:
    # -I: neither the directory nor PYTHONPATH, which name the service's own sources.
    command = [str(python), "-I", "-c", SCRIPT, api.url, KEY]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until(lambda: api.metric("nightjar_api_stream_clients") > 0, "the client")
            topic.send(["ZTF21aaaaaab"], [IA])
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    found, *missing, streamed, modules = [json.loads(line) for line in output.splitlines()]
    assert found == [KEY, [KEY]]
    assert missing == ["astropy", "confluent_kafka"]
    assert streamed["id"] == "ztf:ZTF21aaaaaab"
    assert streamed["top_class"] == "Ia"
    assert not {"service", "numpy", "numba", "fastapi", "confluent_kafka", "astropy"} & set(modules)


def test_importing_the_client_imports_neither_a_server_nor_numba() -> None:
    heavy = "numpy numba fastapi starlette confluent_kafka fastavro astropy orjson redis"
    check = f"import sys, service.client; print(*sorted(set('{heavy}'.split()) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


def test_no_module_of_the_client_imports_the_service() -> None:
    for path in CLIENT.rglob("*.py"):
        text = path.read_text()
        assert "import service" not in text.replace(">>> from service.client import", ""), path
        assert "from service" not in text.replace(">>> from service.client import", ""), path
