"""Imports point one way, and the core stays pure: read from every module's source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What each layer may import of the service; modules directly below service/ are layers of their own.
EVERYWHERE = {"errors"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "core": {"core"},
    "decoding": {"core", "decoding"},
    "settings": set(),
    "logs": set(),
    "health": {"core"},
    "metrics": {"core", "health"},
    "pipeline": {"core", "decoding", "pipeline", "settings", "logs", "metrics"},
    "adapters": {"core", "decoding", "adapters", "settings", "logs", "metrics"},
    "api": {"core", "decoding", "api", "settings", "logs", "metrics"},
    "client": {"core", "api", "adapters", "client"},
    "embedded": {"core", "adapters", "embedded"},
    "wiring": {"core", "decoding", "pipeline", "adapters", "api", "settings", "logs", "metrics"},
    "commands": {
        "core",
        "decoding",
        "pipeline",
        "adapters",
        "api",
        "settings",
        "logs",
        "metrics",
        "embedded",
        "wiring",
        "commands",
    },
    "cli": {"commands"},
    "__main__": {"cli"},
}
ALLOWED_TO_TRAINING = {"core", "decoding", "errors"}

# Clients of the outside world, and where each may be used.
CLIENTS: dict[str, set[str]] = {
    "confluent_kafka": {"adapters", "embedded"},
    "redis": {"adapters", "embedded"},
    "httpx": {"adapters", "client"},
    "fastapi": {"api"},
    "starlette": {"api"},
    "uvicorn": {"api", "commands"},
    "typer": {"cli", "commands"},
    "rich": {"cli", "commands"},
    "opentelemetry": {"adapters"},
    "torch": set(),
}

# No I/O, no clock, no logging, no randomness: a result depends on its input alone.
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


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Full names of every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield f"{node.module}.{node.names[0].name}" if node.module == "service" else node.module or ""


def layer(path: Path) -> str:
    return path.relative_to(ROOT / "service").parts[0].removesuffix(".py")


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


SERVICE = [path for path in modules("service") if path != ROOT / "service" / "__init__.py"]


@pytest.mark.parametrize("path", SERVICE, ids=identify)
def test_service_imports_point_one_way(path: Path) -> None:
    allowed = ALLOWED[layer(path)] | EVERYWHERE
    imported = {name.split(".")[1] for name in imports(path) if name.startswith("service.")}
    assert imported <= allowed, f"{identify(path)} imports {sorted(imported - allowed)}"


@pytest.mark.parametrize("path", SERVICE, ids=identify)
def test_clients_of_the_outside_world_stay_in_their_layers(path: Path) -> None:
    outside = {name.split(".")[0] for name in imports(path)}
    assert "training" not in outside
    misplaced = {name for name in outside & CLIENTS.keys() if layer(path) not in CLIENTS[name]}
    assert not misplaced, f"{identify(path)} imports {sorted(misplaced)}"


@pytest.mark.parametrize("path", modules("service/core"), ids=identify)
def test_core_has_no_clock_and_no_input_or_output(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & IMPURE


@pytest.mark.parametrize("path", modules("training"), ids=identify)
def test_training_uses_only_core_and_decoding(path: Path) -> None:
    imported = {name.split(".")[1] for name in imports(path) if name.startswith("service.")}
    assert imported <= ALLOWED_TO_TRAINING


def test_layers_are_found_at_all() -> None:
    assert {"core", "embedded", "errors", "cli"} <= {layer(path) for path in SERVICE}
    assert list(imports(ROOT / "service" / "cli.py"))
