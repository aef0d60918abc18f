"""``nightjar reindex``: rebuild the search index."""

from contextlib import closing

import orjson
import typer

from service.cli.options import JsonCountsOption
from service.cli.signals import interrupt_on_signals
from service.settings import read_settings
from service.tools.reindex import Reindexer
from service.wiring.stores import object_store

__all__ = ["reindex"]


def reindex(json: JsonCountsOption = False) -> None:
    """Rebuild the search index from the stored objects, while workers may go on.

    Needed after the index was lost, or for objects that an earlier version stored. Entries of objects that
    are gone, and of classes that are no longer probable, are removed.
    """
    with interrupt_on_signals(), closing(object_store(read_settings())) as store:
        counts = Reindexer(store).run()
    if json:
        typer.echo(orjson.dumps(counts).decode())
    else:
        typer.echo(", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in counts.items()))
