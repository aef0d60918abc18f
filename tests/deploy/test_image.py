"""The images: what their Dockerfiles say, and, where asked for, what their build really makes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.composition import ROOT, services
from tests.deploy.dockerfile import Build, Instruction, allowed_by_dockerignore, instructions

DOCKER = ROOT / "docker"
DOCKERFILES = [DOCKER / "Dockerfile", DOCKER / "Dockerfile.training"]
MEGABYTE = 10**6

# Building takes minutes and downloads what the image consists of.
BUILDING = pytest.mark.skipif(
    not os.environ.get("NIGHTJAR_TEST_IMAGE"),
    reason="set NIGHTJAR_TEST_IMAGE=1 to build the image's contents",
)


def last_stage(dockerfile: Path) -> list[Instruction]:
    found = list(instructions(dockerfile))
    start = max(index for index, instruction in enumerate(found) if instruction.name == "FROM")
    return found[start:]


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.name)
def dockerfile(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_base_image_has_an_exact_version(dockerfile: Path) -> None:
    arguments = {i.arguments for i in instructions(dockerfile) if i.name == "ARG"}
    assert "PYTHON_IMAGE=python:3.11.16-slim-bookworm" in arguments
    bases = {i.arguments.split()[0] for i in instructions(dockerfile) if i.name == "FROM"}
    assert bases <= {"${PYTHON_IMAGE}", "builder"}


def test_final_stage_installs_nothing_and_runs_without_root(dockerfile: Path) -> None:
    stage = last_stage(dockerfile)
    users = [i.arguments for i in stage if i.name == "USER"]
    assert users == ["10001:10001"]
    last_user = max(index for index, i in enumerate(stage) if i.name == "USER")
    assert not [i for i in stage[last_user:] if i.name in {"RUN", "COPY", "ADD"}]
    commands = " ".join(i.arguments for i in stage if i.name == "RUN")
    assert not {"apt-get", "pip", "gcc", "curl"} & set(commands.split())


def test_installations_are_pinned_and_leave_no_cache(dockerfile: Path) -> None:
    text = " ".join(i.arguments for i in instructions(dockerfile) if i.name == "ENV")
    assert "PIP_NO_CACHE_DIR=1" in text
    for instruction in instructions(dockerfile):
        if instruction.name == "RUN" and " install " in instruction.arguments:
            assert "--constraint constraints.txt" in instruction.arguments or any(
                word in instruction.arguments for word in ("--no-deps", "install --directory")
            )


def test_everything_copied_exists_and_reaches_the_builder(dockerfile: Path) -> None:
    for instruction in instructions(dockerfile):
        if instruction.name == "COPY" and not instruction.copies_from_stage:
            for source in instruction.words[:-1]:
                assert (ROOT / source).exists()
                assert allowed_by_dockerignore(source), source


@pytest.mark.parametrize(
    "path", [".env", ".git/config", "docker/secrets/redis_password", "tests/conftest.py", "data/x.csv"]
)
def test_what_is_private_or_unneeded_stays_out(path: str) -> None:
    assert not allowed_by_dockerignore(path)
    assert allowed_by_dockerignore("service/models/ztf/bundle.json")
    assert not allowed_by_dockerignore("service/core/__pycache__/state.cpython-311.pyc")


def test_image_and_compose_file_agree() -> None:
    stage = {i.name: i.arguments for i in last_stage(DOCKER / "Dockerfile")}
    worker = services()["worker"]
    assert worker.fields["user"] == stage["USER"]
    assert stage["CMD"] == '["nightjar", "worker"]'
    assert worker.command == ["nightjar", "worker"]
    environment = dict(word.split("=", 1) for word in stage["ENV"].split())
    assert environment["NUMBA_CACHE_DIR"].startswith("/tmp/")  # noqa: S108  the container's tmpfs
    assert worker.fields["tmpfs"][0].startswith("/tmp:")  # noqa: S108
    copied = [i.words for i in last_stage(DOCKER / "Dockerfile") if i.name == "COPY"]
    assert worker.health_check[1] in {Path(target).name for *_, target in copied}


def test_linter_has_nothing_to_say(dockerfile: Path) -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("no hadolint on the path")
    done = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_entrypoint_lays_out_the_compiled_kernels_and_becomes_the_command(tmp_path: Path) -> None:
    baked, cache = tmp_path / "baked", tmp_path / "tmpfs" / "cache"
    (baked / "core_123").mkdir(parents=True)
    (baked / "core_123" / "kernel.nbi").write_bytes(b"compiled")
    environment = {"PATH": "/usr/bin:/bin", "JIT_CACHE": str(baked), "NUMBA_CACHE_DIR": str(cache)}
    command = [str(DOCKER / "entrypoint.sh"), "sh", "-c", 'echo "$$ $PPID"; exit 7']
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 7
    assert output.split() == [str(process.pid), str(os.getpid())]  # the same process: signals reach it
    assert (cache / "core_123" / "kernel.nbi").read_bytes() == b"compiled"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    build = Build(tmp_path_factory.mktemp("image"))
    build.run(DOCKER / "Dockerfile")
    return build


@BUILDING
@pytest.mark.timeout(3000)
def test_image_holds_the_service_and_little_else(built: Build) -> None:
    packages = next(built.here("/opt/nightjar/lib").glob("python3*")) / "site-packages"
    names = {path.name for path in packages.iterdir()}
    assert "service" in names
    assert not {"torch", "training", "tests", "pip", "pytest", "mypy"} & names
    for file in (ROOT / "service").rglob("*"):
        relative = file.relative_to(ROOT)
        if file.is_file() and allowed_by_dockerignore(str(relative)):
            assert (packages / relative).is_file(), relative
    size = sum(path.stat().st_size for path in built.here("/opt").rglob("*") if path.is_file())
    sys.stdout.write(f"/opt holds {size / MEGABYTE:.0f} MB\n")
    # The base image has some 125 MB; together they have to stay below 1.5 GB.
    assert size < 900 * MEGABYTE


@BUILDING
@pytest.mark.timeout(3000)
def test_nothing_is_compiled_that_the_image_could_have_brought(built: Build, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(built.here("/opt/nightjar-jit"), cache)
    before = {path.relative_to(cache) for path in cache.rglob("*")}
    assert before
    command = [str(built.here("/opt/nightjar/bin/nightjar")), "demo", "--once", "--workers=1", "--port=0"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert {path.relative_to(cache) for path in cache.rglob("*")} == before
