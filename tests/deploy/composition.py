"""Reading docker-compose.yml as Docker Compose does, as far as our file goes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = [
    "COMPOSE_FILE",
    "ENV_EXAMPLE",
    "ROOT",
    "Service",
    "read_variables",
    "services",
    "variables",
    "whole",
]

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
ENV_EXAMPLE = ROOT / ".env.example"

# $$ is a dollar; ${NAME}, ${NAME-default} (where unset), ${NAME:-default} (where unset or empty).
REFERENCE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<rule>:?-)(?P<default>[^{}]*))?\})")

# Seconds in the durations that the file uses.
DURATION = re.compile(r"(\d+)(ms|s|m|h)")
UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the file with its variables filled in."""

    name: str
    fields: Mapping[str, Any]

    @property
    def command(self) -> list[str]:
        return [str(part) for part in self.fields.get("command", [])]

    @property
    def environment(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.fields.get("environment", {}).items()}

    @property
    def profiles(self) -> list[str]:
        return list(self.fields.get("profiles", []))

    @property
    def ours(self) -> bool:
        return "build" in self.fields

    @property
    def one_shot(self) -> bool:
        return str(self.fields["restart"]) == "no"

    @property
    def health_check(self) -> list[str]:
        return [str(part) for part in self.fields.get("healthcheck", {}).get("test", [])]

    def seconds(self, text: str) -> float:
        return sum(int(number) * UNITS_S[unit] for number, unit in DURATION.findall(text))


def raw() -> dict[str, Any]:
    """The file with its anchors resolved and its variables as they stand."""
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
    return loaded


def fill_in(value: Any, environment: Mapping[str, str]) -> Any:
    """Replace the references in every string."""
    if isinstance(value, dict):
        return {key: fill_in(inner, environment) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill_in(inner, environment) for inner in value]
    if not isinstance(value, str):
        return value
    rest = REFERENCE.sub("", value)
    assert "$" not in rest, f"a reference that this reader does not know: {value}"
    return REFERENCE.sub(lambda match: _resolve(match, environment), value)


def _resolve(match: re.Match[str], environment: Mapping[str, str]) -> str:
    if match["dollar"]:
        return "$"
    found = environment.get(match["name"])
    if found is None or (not found and match["rule"] == ":-"):
        return match["default"] or ""
    return found


def whole(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file as Compose sees it where `environment` is all that is set."""
    filled: dict[str, Any] = fill_in(raw(), environment or {})
    return filled


def services(environment: Mapping[str, str] | None = None) -> dict[str, Service]:
    return {name: Service(name, fields) for name, fields in whole(environment)["services"].items()}


def variables() -> dict[str, str]:
    """Every variable the file refers to, with its default."""
    found: dict[str, str] = {}
    for match in REFERENCE.finditer(COMPOSE_FILE.read_text()):
        if match["name"]:
            found.setdefault(match["name"], match["default"] or "")
    return found


def read_variables(text: str, *, commented: bool = False) -> dict[str, str]:
    """Variables of an env file; with `commented`, those that stand behind a ``#`` too."""
    pattern = re.compile(r"^(?:# )?(\w+)=(.*)$" if commented else r"^(\w+)=(.*)$")
    matches = map(pattern.match, text.splitlines())
    return {match[1]: match[2] for match in matches if match}
