"""``nightjar model``: what a bundle says of itself."""

from collections.abc import Iterator
from typing import Annotated

import orjson
import typer
from pydantic import JsonValue
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Column, Table

from service.core.models.bundle import Bundle, load_bundle, shipped_bundles
from service.core.taxonomy import taxonomy_name
from service.errors import InputError

__all__ = ["app", "show"]

NAME_WIDTH = 16
"""So wide that the values of most sections begin in one column."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def model() -> None:
    """Look into model bundles."""


@app.command()
def show(
    source: Annotated[
        str,
        typer.Argument(
            metavar="[NAME|PATH]", help="A shipped model or a directory; all shipped ones if left out."
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each model.")] = False,
    card: Annotated[bool, typer.Option("--card", help="Print the model card as well.")] = False,
) -> None:
    """Check a model as the service would and print what it is."""
    sources = [source] if source else sorted(shipped_bundles())
    if not sources:
        raise InputError("no model is shipped with this installation: name a bundle's directory")
    console = Console(highlight=False, markup=False)
    for one in sources:
        bundle = load_bundle(one)
        if as_json:
            typer.echo(orjson.dumps(_summary(bundle)))
        else:
            _print_summary(console, bundle)
        if card and not as_json:
            console.print(Markdown(bundle.readme))


def _summary(bundle: Bundle) -> dict[str, JsonValue]:
    """Give what there is to say, as JSON values."""
    content: dict[str, JsonValue] = bundle.card.model_dump(mode="json")
    return {
        "name": content.pop("name"),
        "version": content.pop("version"),
        "digest": f"{bundle.digest:016x}",
        "n_weights": bundle.network.n_weights,
        "n_hidden": bundle.network.n_hidden,
        **content,
    }


def _print_summary(console: Console, bundle: Bundle) -> None:
    summary = _summary(bundle)
    classes = Table("class", "taxonomy id", "taxonomy name", title=f"{bundle.name} {bundle.version}")
    for one in bundle.classes:
        classes.add_row(one.name, str(one.class_id), taxonomy_name(one.class_id))
    console.print(classes)
    for title, values in _sections(summary, skip={"classes", "name", "version"}):
        # Both fold: a value that is cut, or crowded out by a long name, would be lost.
        columns = Column(overflow="fold", min_width=NAME_WIDTH), Column(overflow="fold")
        table = Table(*columns, title=title or None, title_justify="left", show_header=False, box=None)
        for row in values:
            table.add_row(*row)
        console.print(table)


def _sections(
    content: dict[str, JsonValue], skip: set[str], title: str = ""
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Give the values by the dotted name of what holds them, so that the name beside a value is short."""
    kept = {name: value for name, value in content.items() if name not in skip}
    inner = {name: value for name, value in kept.items() if isinstance(value, dict) and not _is_flat(value)}
    rows = [(name, _text(value)) for name, value in kept.items() if name not in inner]
    if rows:
        yield title, rows
    for name, value in inner.items():
        yield from _sections(value, set(), f"{title}.{name}" if title else name)


def _is_flat(value: dict[str, JsonValue]) -> bool:
    """Tell whether a line takes all of it."""
    return bool(value) and all(isinstance(one, str | int | float) for one in value.values())


def _text(value: JsonValue) -> str:
    """Write lists with room to break lines in."""
    match value:
        case str():
            return value
        case float():
            return f"{value:.6g}"
        case [str() | int() | float(), *_]:
            return ", ".join(map(_text, value))
        case dict() if _is_flat(value):
            return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    return orjson.dumps(value).decode().replace(",", ", ")
