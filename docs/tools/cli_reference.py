"""Write docs/cli.md from the commands themselves: ``python docs/tools/cli_reference.py > docs/cli.md``."""

import sys
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import typer

from service.cli.app import SUBCOMMANDS

__all__ = ["markdown"]

_TYPE_NAMES = {str: "TEXT", int: "INTEGER", float: "NUMBER", bool: "", Path: "PATH", datetime: "TIME"}

HEADER = """\
# Commands

The output of `--help`, in one place. This file is written by `make docs`.

`nightjar` runs and inspects the service; `nightjar-train` makes the models, and needs the extra `training`.
Settings are environment variables: [Settings](settings.md). Exit codes are listed in the
[Quickstart](quickstart.md#4-exit-codes).
"""


def markdown() -> str:
    """Return the page."""
    from training.cli import app as training_app

    parts = [HEADER, "\n## nightjar\n"]
    for subcommand in SUBCOMMANDS:
        parts += _command(f"nightjar {subcommand.name}", subcommand.load())
    parts.append("\n## nightjar-train\n")
    for name, command in typer.main.get_command(training_app).commands.items():  # type: ignore[attr-defined]
        parts += _command(f"nightjar-train {name}", command)
    return "".join(parts)


def _command(name: str, command: Any) -> Iterator[str]:
    """Yield the sections of a command, or of each of its subcommands."""
    if hasattr(command, "commands"):
        for child, subcommand in command.commands.items():
            yield from _command(f"{name} {child}", subcommand)
        return
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [
        param for param in command.params if param.param_type_name == "option" and param.name != "help"
    ]
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *map(_metavar, arguments)])
    yield f"\n### {name}\n\n```\n{usage}\n```\n\n{_text(command.help)}\n"
    rows = [(f"`{_metavar(param)}`", param) for param in arguments]
    rows += [(_names(param), param) for param in options]
    if rows:
        yield "\n| | default | meaning |\n|---|---|---|\n"
    for names, param in rows:
        yield f"| {names} | {_default(param)} | {_cell(param.help)} |\n"


def _names(param: Any) -> str:
    names = ", ".join(f"`{name}`" for name in [*param.opts, *param.secondary_opts])
    return names if param.is_flag else f"{names} `{_metavar(param)}`".replace("|", "\\|")


def _metavar(param: Any) -> str:
    if param.metavar:
        return str(param.metavar)
    annotation = param.type_descriptor.annotation
    kind = next(iter(get_args(annotation)), annotation)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(item.value) for item in kind)
    name = param.name.upper() if param.param_type_name == "argument" else _TYPE_NAMES[kind]
    return f"{name}{'...' if param.nargs == -1 else ''}"


def _default(param: Any) -> str:
    value = param.default() if callable(param.default) else param.default
    if param.required:
        return "required"
    if value is None or value is False or value in ("", (), []) or "UNSET" in repr(value).upper():
        return ""
    values = value if isinstance(value, list | tuple) else [value]
    return ", ".join(f"`{item.value if isinstance(item, Enum) else item}`" for item in values)


def _text(text: str | None) -> str:
    return "\n".join(line.strip() for line in (text or "").split("\f")[0].strip().splitlines())


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.stdout.write(markdown())
