"""Imports point one way, adapters are built in one place, and the core stays pure: read from the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What each package of the service may import of the service, besides itself.
EVERYWHERE = {"errors"}
ADAPTERS = {"kafka", "redis", "archive", "tracing"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "backoff": set(),
    "core": set(),
    "decoding": {"core"},
    "settings": set(),
    "logs": set(),
    "worker": {"core", "decoding", "settings", "logs", "backoff"},
    "kafka": {"core", "settings", "backoff"},
    "redis": {"core", "backoff"},
    "archive": {"core"},
    "tracing": {"core"},
    "client": set(),
    "api": {"core", "decoding", "client", "settings", "logs", "backoff"},
    "embedded": {"core", "kafka", "backoff"},
    "wiring": {"core", "decoding", "worker", "settings", "logs", "backoff", *ADAPTERS},
    "tools": {"core", "decoding", "settings", "logs", "backoff", "wiring", "client", *ADAPTERS},
    "cli": {"core", "decoding", "api", "worker", "settings", "logs", "wiring", "tools", "client", "embedded"},
    "__main__": {"cli"},
}
ALLOWED_TO_TRAINING = {"core", "decoding", "errors"}
# The demo starts servers; no other tool does.
MAY_EMBED = {"cli/commands/demo.py", "tools/demo"}

# Clients of the outside world, and the packages that may use each.
CLIENTS: dict[str, set[str]] = {
    "confluent_kafka": {"kafka", "embedded", "client"},
    "redis": {"redis", "embedded"},
    "httpx": {"kafka", "client"},
    "fastapi": {"api"},
    "starlette": {"api"},
    "uvicorn": {"api", "cli"},
    "typer": {"cli"},
    "rich": {"cli", "tools"},
    "opentelemetry": {"tracing"},
    "torch": set(),
}

# Adapters are built in `service.wiring` and nowhere else, apart from their own package.
ADAPTER_CLASSES = {
    "KafkaResultFeed",
    "KafkaSink",
    "KafkaSource",
    "RangeReader",
    "RedisStore",
    "SchemaRegistry",
    "TopicAdmin",
    "TopicReader",
    "TopicWriter",
}

# No network, no clock, no logging, no randomness: a result depends on its input alone.
IMPURE = {
    "asyncio",
    "datetime",
    "logging",
    "os",
    "random",
    "socket",
    "structlog",
    "subprocess",
    "threading",
    "time",
    "urllib",
}
# The modules of the core that read files.
CORE_FILES = {"core/package_files.py", "core/models/files.py", "core/jit.py"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Full names of every module that a file imports, wherever in the file."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield f"{name}.{node.names[0].name}" if name == "service" else name


def layer(path: Path) -> str:
    return path.relative_to(ROOT / "service").parts[0].removesuffix(".py")


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


SERVICE = [path for path in modules("service") if path != ROOT / "service" / "__init__.py"]


@pytest.mark.parametrize("path", SERVICE, ids=identify)
def test_service_imports_point_one_way(path: Path) -> None:
    allowed = ALLOWED[layer(path)] | EVERYWHERE | {layer(path)}
    if any(identify(path).startswith(f"service/{place}") for place in MAY_EMBED):
        allowed |= {"embedded"}
    else:
        allowed -= {"embedded"} - {layer(path)}
    imported = {name.split(".")[1] for name in imports(path) if name.startswith("service.")}
    assert imported <= allowed, f"{identify(path)} imports {sorted(imported - allowed)}"


@pytest.mark.parametrize("path", SERVICE, ids=identify)
def test_clients_of_the_outside_world_stay_in_their_packages(path: Path) -> None:
    outside = {name.split(".")[0] for name in imports(path)}
    assert "training" not in outside
    misplaced = {name for name in outside & CLIENTS.keys() if layer(path) not in CLIENTS[name]}
    assert not misplaced, f"{identify(path)} imports {sorted(misplaced)}"


@pytest.mark.parametrize("path", SERVICE, ids=identify)
def test_adapters_are_built_in_wiring(path: Path) -> None:
    if layer(path) in {"wiring", "embedded", *ADAPTERS}:  # embedded servers are set up by their own
        return
    built = {
        name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for name in {getattr(node.func, "id", ""), getattr(getattr(node.func, "value", None), "id", "")}
        if name in ADAPTER_CLASSES
    }
    assert not built, f"{identify(path)} builds {sorted(built)}"


@pytest.mark.parametrize("path", modules("service/api"), ids=identify)
def test_api_takes_only_the_schemas_from_the_client(path: Path) -> None:
    of_client = {name for name in imports(path) if name.startswith("service.client")}
    assert all(name.startswith("service.client.schemas") for name in of_client)


@pytest.mark.parametrize("path", modules("service/core"), ids=identify)
def test_core_has_no_clock_and_no_input_or_output(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & IMPURE


@pytest.mark.parametrize("path", modules("service/core"), ids=identify)
def test_core_reads_files_only_through_the_modules_named_for_it(path: Path) -> None:
    reads = {name for name in imports(path) if "resources" in name}
    calls = {
        getattr(node.func, "id", getattr(node.func, "attr", ""))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    } & {"open", "read_text", "read_bytes", "write_text", "write_bytes"}
    if str(path.relative_to(ROOT / "service")) not in CORE_FILES:
        assert not reads | calls


@pytest.mark.parametrize("path", modules("training"), ids=identify)
def test_training_uses_only_core_and_decoding(path: Path) -> None:
    imported = {name.split(".")[1] for name in imports(path) if name.startswith("service.")}
    assert imported <= ALLOWED_TO_TRAINING


def test_client_loads_no_server_and_no_compiler() -> None:
    heavy = (
        "fastapi",
        "starlette",
        "numba",
        "numpy",
        "confluent_kafka",
        "redis",
        "service.core",
        "service.api",
    )
    program = f"import sys, service.client; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_layers_are_found_at_all() -> None:
    assert {"core", "embedded", "errors", "cli"} <= {layer(path) for path in SERVICE}
    assert list(imports(ROOT / "service" / "cli" / "app.py"))
    assert ALLOWED.keys() >= {layer(path) for path in SERVICE}
