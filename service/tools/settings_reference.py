"""The settings as text: names, values and the documentation's table."""

from datetime import timedelta
from enum import Enum
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import Url

from service.logs import hide_secrets
from service.settings import PREFIX, Settings

__all__ = ["markdown", "shown_value", "variable"]

HEADER = """\
# Settings

Every setting is an environment variable, read once at the start of `nightjar worker`, `nightjar api` and the
other commands. Durations are seconds or ISO 8601 (`PT0.05S`, `P400D`); lists are comma-separated; an empty
value means none. `nightjar settings` prints the values in force. This file is written by `make docs`.

| variable | default | meaning |
|---|---|---|
"""


def variable(name: str) -> str:
    """Return the environment variable of a setting.

    Parameters
    ----------
    name
        Field of `Settings`.
    """
    return PREFIX + name.upper()


def markdown() -> str:
    """Return docs/settings.md: one row per setting, in the order of the class."""
    rows = (
        f"| `{variable(name)}` | {_default(field)} | {field.description}{_limits(field)} |\n"
        for name, field in Settings.model_fields.items()
    )
    return HEADER + "".join(rows)


def shown_value(name: str, value: Any) -> str:
    """Return the value of a setting as text, without secrets.

    Parameters
    ----------
    name
        Field of `Settings`.
    value
        Its value.
    """
    shown = hide_secrets(None, "", {name: value if value is None else _text(value)})[name]
    return "" if shown is None else str(shown)


def _default(field: FieldInfo) -> str:
    text = _text(field.default)
    return f"`{text}`" if text else ""


def _limits(field: FieldInfo) -> str:
    """Return which values are allowed, where the type alone does not tell."""
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


def _text(value: Any) -> str:
    """Return a value as it would be written in the environment."""
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
            return ",".join(map(_text, value))
        case Enum():
            return str(value.value)
        case Url():
            return str(value)
    return str(value)
