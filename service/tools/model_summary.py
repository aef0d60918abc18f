"""What a model bundle contains, for people and as JSON."""

from collections.abc import Iterator

import orjson
from pydantic import JsonValue
from rich.console import Console
from rich.table import Column, Table

from service.core.models.bundle import Bundle
from service.core.taxonomy import taxonomy_name

__all__ = ["print_summary", "summary"]

NAME_WIDTH = 16
"""Wide enough for the values of most sections to start in the same column."""


def summary(bundle: Bundle) -> dict[str, JsonValue]:
    """Return the contents of a bundle as JSON values.

    Parameters
    ----------
    bundle
        A loaded bundle.
    """
    content: dict[str, JsonValue] = bundle.card.model_dump(mode="json")
    return {
        "name": content.pop("name"),
        "version": content.pop("version"),
        "digest": f"{bundle.digest:016x}",
        "n_weights": bundle.network.n_weights,
        "n_hidden": bundle.network.n_hidden,
        **content,
    }


def print_summary(console: Console, bundle: Bundle) -> None:
    """Print the contents of a bundle as tables.

    Parameters
    ----------
    console
        Where to print them.
    bundle
        A loaded bundle.
    """
    classes = Table("class", "taxonomy id", "taxonomy name", title=f"{bundle.name} {bundle.version}")
    for item in bundle.classes:
        classes.add_row(item.name, str(item.class_id), taxonomy_name(item.class_id))
    console.print(classes)
    for title, rows in _sections(summary(bundle), skip={"classes", "name", "version"}):
        # Both columns fold: a value that is cut, or crowded out by a long name, would be lost.
        columns = Column(overflow="fold", min_width=NAME_WIDTH), Column(overflow="fold")
        table = Table(*columns, title=title or None, title_justify="left", show_header=False, box=None)
        for row in rows:
            table.add_row(*row)
        console.print(table)


def _sections(
    content: dict[str, JsonValue], skip: set[str], title: str = ""
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield titled rows; the title is the dotted name of the object that contains them."""
    shown = {name: value for name, value in content.items() if name not in skip}
    nested = {name: value for name, value in shown.items() if isinstance(value, dict) and not _is_flat(value)}
    rows = [(name, _text(value)) for name, value in shown.items() if name not in nested]
    if rows:
        yield title, rows
    for name, value in nested.items():
        yield from _sections(value, set(), f"{title}.{name}" if title else name)


def _is_flat(value: dict[str, JsonValue]) -> bool:
    """Return whether an object fits on one line."""
    return bool(value) and all(isinstance(item, str | int | float) for item in value.values())


def _text(value: JsonValue) -> str:
    """Return a value as text in which a line can be broken."""
    match value:
        case str():
            return value
        case float():
            return f"{value:.6g}"
        case [str() | int() | float(), *_]:
            return ", ".join(map(_text, value))
        case dict() if _is_flat(value):
            return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    return orjson.dumps(value).decode().replace(",", ", ")
