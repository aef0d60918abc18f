"""``nightjar settings``: print every setting and its value."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from service.settings import Settings, read_settings
from service.tools.settings_reference import markdown, shown_value, variable

__all__ = ["settings"]


def settings(
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Write the table of docs/settings.md instead.")
    ] = False,
) -> None:
    """Print every setting: its variable, its value in this environment and its meaning."""
    if as_markdown:
        sys.stdout.write(markdown())
        return
    values = read_settings()
    console = Console(highlight=False, markup=False)
    for name, field in Settings.model_fields.items():
        value = getattr(values, name)
        style = "" if value == field.default else "bold"
        # A table of three columns would leave one word per line for the meaning in a narrow terminal.
        console.print(Text(f"{variable(name)}={shown_value(name, value)}", style), soft_wrap=True)
        console.print(Padding(field.description or "", (0, 0, 0, 4)))
