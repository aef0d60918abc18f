"""``nightjar settings``: what can be set, what is set, and the table of the documentation."""

import sys
from datetime import timedelta
from enum import Enum
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import Url
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from service.logs import hide_secrets
from service.settings import PREFIX, Settings, read_settings

__all__ = ["markdown", "settings"]

HEADER = """\
# Settings

Every setting is an environment variable, read once at the start of `nightjar worker`, `nightjar api` and the
other commands. Durations are seconds or ISO 8601 (`PT0.05S`, `P400D`); lists are comma-separated; an empty
value means none. `nightjar settings` prints the values in force. This file is written by `make docs`.

| variable | default | meaning |
|---|---|---|
"""


def settings(
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Write the table of docs/settings.md instead.")
    ] = False,
) -> None:
    """Print every setting: its variable, its value in this environment, what it means."""
    if as_markdown:
        sys.stdout.write(markdown())
        return
    values = read_settings()
    console = Console(highlight=False, markup=False)
    for name, field in Settings.model_fields.items():
        value = getattr(values, name)
        style = "" if value == field.default else "bold"
        # A table of three columns leaves a word a line to the meaning where the terminal is narrow.
        console.print(Text(f"{variable(name)}={_shown(name, value)}", style), soft_wrap=True)
        console.print(Padding(field.description or "", (0, 0, 0, 4)))


def variable(name: str) -> str:
    """Give the environment variable of a field."""
    return PREFIX + name.upper()


def markdown() -> str:
    """Write the documentation's page: one row per setting, in the order of the class."""
    rows = (
        f"| `{variable(name)}` | {_default(field)} | {field.description}{_limits(field)} |\n"
        for name, field in Settings.model_fields.items()
    )
    return HEADER + "".join(rows)


def _shown(name: str, value: Any) -> str:
    hidden = hide_secrets(None, "", {name: value if value is None else text(value)})[name]
    return "" if hidden is None else str(hidden)


def _default(field: FieldInfo) -> str:
    shown = text(field.default)
    return f"`{shown}`" if shown else ""


def _limits(field: FieldInfo) -> str:
    """Say what values are allowed, where the type alone does not."""
    if isinstance(field.annotation, type) and issubclass(field.annotation, Enum):
        return f" ({', '.join(f'`{item.value}`' for item in field.annotation)})"
    limits = {
        kind: getattr(item, kind)
        for item in field.metadata
        for kind in ("ge", "le")
        if isinstance(getattr(item, kind, None), int | float)
    }
    match limits:
        case {"ge": low, "le": high}:
            return f" ({low} to {high})"
        case {"ge": low}:
            return f" (at least {low})"
    return ""


def text(value: Any) -> str:
    """Write a value as it would stand in the environment."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case timedelta():
            whole_days = value == timedelta(days=value.days) and value.days > 0
            return f"P{value.days}D" if whole_days else f"{value.total_seconds():g}"
        case SecretStr():
            return "***" if value.get_secret_value() else ""
        case tuple():
            return ",".join(map(text, value))
        case Enum():
            return str(value.value)
        case Url():
            return str(value)
    return str(value)
