"""``nightjar import``: objects of an export back into the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from service.adapters.object_archive import ArchiveReader
from service.adapters.redis_store import RedisStore
from service.adapters.state_columns import StoredObject
from service.commands.counting import Counting
from service.commands.export import read_night
from service.core.state import encode_state
from service.core.store import StateWrite
from service.core.summary import ClassNames, placements, summarise
from service.settings import read_settings
from service.wiring import store

__all__ = ["import_objects"]

AT_A_TIME = 500


def import_objects(
    directory: Annotated[Path, typer.Argument(help="Of an export.")],
    since: Annotated[str, typer.Option(metavar="NIGHT", help="Only this night and later ones.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Also replace objects that the store has.")
    ] = False,
) -> None:
    """Put the objects of an export into the store, each as it was, with its models' names.

    An object that the store has is left alone, so that what came since the export stays; of an object that
    lies in several nights the newest is taken. With --replace the stored one gives way: stop the workers.
    """
    archive, objects = ArchiveReader(directory), store(read_settings())
    paths = archive.files(since=read_night(since, "--since"))
    if replace:
        paths.reverse()  # the newest comes last and stays
    models = archive.models()
    n_kept = 0
    try:
        for model in models.values():
            objects.register_model(model)
        names = {digest: [name for _, name in model.classifier.classes] for digest, model in models.items()}
        with Counting("imported", archive.count(paths)) as counting:
            for path in paths:
                for found in archive.objects(path, at_a_time=AT_A_TIME):
                    n_written = put(objects, found, lambda digest: names.get(digest, ()), replace=replace)
                    n_kept += len(found) - n_written
                    counting.add(n_written, seen=len(found))
    finally:
        objects.close()
    if n_kept:
        typer.echo(f"nightjar: {n_kept} were left as the store has them", err=True)


def put(objects: RedisStore, found: Sequence[StoredObject], class_names: ClassNames, *, replace: bool) -> int:
    """Write objects with their summaries, expiry and places in the index; gives how many were written."""
    keys = [one.key for one in found]
    before = objects.load(keys) if replace else [None] * len(found)
    summaries = summarise([one.state for one in found])
    columns = zip(found, before, summaries.stored(), strict=True)
    written = objects.save(
        [StateWrite(one.key, encode_state(one.state), old, summary) for one, old, summary in columns]
    )
    places = [place for place, is_written in enumerate(written) if is_written]
    objects.expire_at([(keys[place], found[place].expires_at_ms) for place in places])
    objects.index.add(placements([keys[place] for place in places], summaries.take(places), class_names))
    return len(places)
