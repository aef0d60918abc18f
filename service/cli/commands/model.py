"""``nightjar model``: inspect model bundles."""

from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markdown import Markdown

from service.core.models.bundle import load_bundle, shipped_bundles
from service.errors import InputError
from service.tools.model_summary import print_summary, summary

__all__ = ["app", "show"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def model() -> None:
    """Inspect model bundles."""


@app.command()
def show(
    source: Annotated[
        str,
        typer.Argument(metavar="[NAME|PATH]", help="A shipped model or a directory; by default all shipped."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per model.")] = False,
    card: Annotated[bool, typer.Option("--card", help="Print the model card as well.")] = False,
) -> None:
    """Check a model as the service would, and print its contents."""
    sources = [source] if source else sorted(shipped_bundles())
    if not sources:
        raise InputError("no model is shipped with this installation: name a bundle's directory")
    console = Console(highlight=False, markup=False)
    for name in sources:
        bundle = load_bundle(name)
        if as_json:
            typer.echo(orjson.dumps(summary(bundle)))
        else:
            print_summary(console, bundle)
        if card and not as_json:
            console.print(Markdown(bundle.readme))
