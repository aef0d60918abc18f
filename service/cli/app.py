"""The command ``nightjar``: its subcommands, loaded when called, and its errors, one line each."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
    """A subcommand, whose module is imported only when it is called: that takes a while.

    Attributes
    ----------
    name
        As called.
    help
        One line for the list of subcommands.
    panel
        Heading under which it is listed.
    attribute
        Name of the function, or of the `typer.Typer`, in its module; `name` if empty.
    module
        Name of the module in `service.cli.commands`; `name` if empty.
    old_options
        Options that were renamed, by the old name; accepted for one release, with a warning.
    """

    name: str
    help: str
    panel: str
    attribute: str = ""
    module: str = ""
    old_options: Mapping[str, str] = field(default_factory=dict)

    def load(self) -> Any:
        """Import the subcommand and return it as a command."""
        module = import_module(f"service.cli.commands.{self.module or self.name}")
        loaded = getattr(module, self.attribute or self.name)
        if not isinstance(loaded, typer.Typer):
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            single.command()(loaded)
            loaded = single
        return typer.main.get_command(loaded)


SERVICE, TOOLS = "The service", "Tools"
SUBCOMMANDS = (
    Subcommand("demo", "Run the whole service on this machine on a replayed stream.", SERVICE),
    Subcommand("worker", "Classify alerts from Kafka.", SERVICE),
    Subcommand("api", "Serve results over HTTP.", SERVICE),
    Subcommand(
        "filter-worker",
        "Publish results to the topics of stored filters.",
        SERVICE,
        attribute="filter_worker",
        module="filter_worker",
    ),
    Subcommand("topics", "Create the Kafka topics that the settings name.", SERVICE),
    Subcommand(
        "replay", "Send alert packets from files to a Kafka topic.", TOOLS, old_options={"--again": "--force"}
    ),
    Subcommand("listen", "Print classifications as they arrive.", TOOLS),
    Subcommand(
        "reclassify",
        "Classify stored light curves with any model.",
        TOOLS,
        old_options={"--again": "--force", "--every-alert": "--all-epochs"},
    ),
    Subcommand("reindex", "Rebuild the search index.", TOOLS),
    Subcommand(
        "audit",
        "Prove that every alert was answered exactly once.",
        TOOLS,
        old_options={"--examples": "--max-examples"},
    ),
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
    Subcommand("model", "Inspect model bundles.", TOOLS, attribute="app"),
    Subcommand("settings", "Print every setting and its value.", TOOLS),
)

OLD_NAMES = {"filter": "filter-worker"}
"""Subcommands that were renamed, by the old name; accepted for one release, with a warning."""

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


def _show_version(requested: bool) -> None:
    if requested:
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


def _with_current_options(arguments: Sequence[str], subcommand: Subcommand) -> list[str]:
    """Replace options that were renamed, with a warning."""
    current = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        renamed = subcommand.old_options.get(option)
        if renamed is not None:
            typer.echo(f"nightjar: {option} is now called {renamed}", err=True)
        current.append(argument if renamed is None else f"{renamed}{equals}{value}")
    return current


def _forward_to(subcommand: Subcommand, old_name: str = "") -> Callable[[typer.Context], None]:
    def call(context: typer.Context) -> None:
        _warn_of_variables()
        if old_name:
            typer.echo(f"nightjar: {old_name} is now called {subcommand.name}", err=True)
        arguments = _with_current_options(context.args, subcommand)
        subcommand.load()(args=arguments, prog_name=f"nightjar {subcommand.name}")

    return call


def _register(subcommand: Subcommand, old_name: str = "") -> None:
    # Every argument, --help included, is left to the subcommand, which is loaded only then.
    app.command(
        old_name or subcommand.name,
        help=subcommand.help,
        rich_help_panel=subcommand.panel,
        hidden=bool(old_name),
        add_help_option=False,
        context_settings={
            "ignore_unknown_options": True,
            "allow_extra_args": True,
            "allow_interspersed_args": False,
        },
    )(_forward_to(subcommand, old_name))


for _subcommand in SUBCOMMANDS:
    _register(_subcommand)
    for _old_name, _name in OLD_NAMES.items():
        if _name == _subcommand.name:
            _register(_subcommand, _old_name)


def exit_code(error: ServiceError) -> int:
    """Return the exit code that tells a supervisor what kind of error ended the program.

    Parameters
    ----------
    error
        The error that was raised.
    """
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; errors of the service are printed as one line that says what to do.

    Parameters
    ----------
    arguments
        Arguments after the program's name; None for those of the process.
    """
    try:
        app(args=arguments)
    except ServiceError as error:
        typer.echo(f"nightjar: {error}", err=True)
        sys.exit(exit_code(error))
    sys.exit(0)
