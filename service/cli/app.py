"""The command ``nightjar``: its subcommands, loaded when called, and its errors in one line."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer

from service.errors import (
    FencedError,
    InputError,
    ServiceError,
    SettingsError,
    TransientError,
    UnknownBundleError,
)

__all__ = ["EXIT_CODES", "app", "exit_code", "main"]


@dataclass(frozen=True, slots=True)
class Subcommand:
    """Where a subcommand's code is; reading it takes long enough that only the one called is read."""

    name: str
    help: str
    panel: str
    attribute: str = ""
    module: str = ""

    def load(self) -> Any:
        """Import it and make it a command: a function, or an ``app`` of further subcommands."""
        module = import_module(f"service.cli.commands.{self.module or self.name}")
        found = getattr(module, self.attribute or self.name)
        if not isinstance(found, typer.Typer):
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            single.command()(found)
            found = single
        return typer.main.get_command(found)


SERVICE, TOOLS = "The service", "Tools"
SUBCOMMANDS = (
    Subcommand("demo", "Run the whole service on this machine on a replayed stream.", SERVICE),
    Subcommand("worker", "Classify alerts from Kafka.", SERVICE),
    Subcommand("api", "Serve results over HTTP.", SERVICE),
    Subcommand(
        "filter",
        "Pass results on to the topics of named filters.",
        SERVICE,
        attribute="filter",
        module="filter_worker",
    ),
    Subcommand("topics", "Make the Kafka topics the settings name.", SERVICE),
    Subcommand("replay", "Send alert packets from files to a Kafka topic.", TOOLS),
    Subcommand("listen", "Print classifications as they come.", TOOLS),
    Subcommand("reclassify", "Classify stored light curves with any model.", TOOLS),
    Subcommand("reindex", "Make the index of objects anew from their states.", TOOLS),
    Subcommand("audit", "Prove that every alert was answered exactly once.", TOOLS),
    Subcommand("export", "Write light curves and classifications to Parquet files by night.", TOOLS),
    Subcommand(
        "import",
        "Put the objects of an export into the store.",
        TOOLS,
        attribute="import_objects",
        module="import_objects",
    ),
    Subcommand("classify", "Classify light curves of a table, offline.", TOOLS),
    Subcommand("decode", "Print what alert packets contain, as JSON lines.", TOOLS),
    Subcommand("model", "Look into model bundles.", TOOLS, attribute="app"),
    Subcommand("sizing", "Compute the cores, memory and disk that a stream takes.", TOOLS),
    Subcommand("settings", "Print every setting and its value.", TOOLS),
)

EXIT_CODES: tuple[tuple[type[ServiceError], int], ...] = (
    (InputError, 2),
    (SettingsError, 2),
    (UnknownBundleError, 2),
    (FencedError, 3),
    (TransientError, 75),  # EX_TEMPFAIL of sysexits.h: the same command may succeed later
    (ServiceError, 1),
)

app = typer.Typer(
    name="nightjar",
    help="Real-time classification of ZTF and LSST alerts.",
    epilog="Settings come from NIGHTJAR_* environment variables: docs/settings.md lists them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nightjar {version('nightjar')}")
        raise typer.Exit


@app.callback()
def nightjar(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Real-time classification of ZTF and LSST alerts."""


def _warn_of_variables() -> None:
    """Warn of variables that have a new name, and of those that are nearly a setting."""
    # With a subcommand only: the help of all of them needs no settings.
    settings = import_module("service.settings")
    for name, new in settings.renamed(os.environ).items():
        effect = "is ignored" if new in os.environ else "still works in this release"
        typer.echo(f"nightjar: {name} is now {new}; the old name {effect}", err=True)
    for name, meant in settings.misspelt(os.environ).items():
        typer.echo(f"nightjar: {name} is not a setting and has no effect; did you mean {meant}?", err=True)


def _forward_to(subcommand: Subcommand) -> Callable[[typer.Context], None]:
    def call(context: typer.Context) -> None:
        _warn_of_variables()
        subcommand.load()(args=context.args, prog_name=f"nightjar {subcommand.name}")

    return call


for _subcommand in SUBCOMMANDS:
    # Every argument, --help included, is left to the command itself, which is loaded only then.
    app.command(
        _subcommand.name,
        help=_subcommand.help,
        rich_help_panel=_subcommand.panel,
        add_help_option=False,
        context_settings={
            "ignore_unknown_options": True,
            "allow_extra_args": True,
            "allow_interspersed_args": False,
        },
    )(_forward_to(_subcommand))


def exit_code(error: ServiceError) -> int:
    """Give the exit code that tells a supervisor what kind of error ended the program."""
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; an error of ours becomes one line that says what to do."""
    try:
        app(args=arguments)
    except ServiceError as error:
        typer.echo(f"nightjar: {error}", err=True)
        sys.exit(exit_code(error))
    sys.exit(0)
