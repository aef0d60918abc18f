"""``nightjar import``: objects of an export back into the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from service.archive.arrow_schema import StoredObject
from service.archive.files import ArchiveReader
from service.archive.manifest import read_filters, read_models
from service.cli.commands.export import read_night
from service.cli.progress import ProgressBar
from service.core.ports.store import StateWrite
from service.core.search.filters import FilterSpec
from service.core.state.object_state import encode_state
from service.core.state.summary import ClassNames, index_entries, summarise
from service.redis.store import RedisStore
from service.settings import read_settings
from service.wiring.stores import object_store

__all__ = ["import_objects"]

AT_A_TIME = 500


def import_objects(
    directory: Annotated[Path, typer.Argument(help="Of an export.")],
    since: Annotated[str, typer.Option(metavar="NIGHT", help="Only this night and later ones.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Also replace objects that the store has.")
    ] = False,
) -> None:
    """Put the objects of an export into the store, each as it was, with its models' names, and the filters.

    An object that the store has is left alone, so that what came since the export stays; of an object that
    lies in several nights the newest is taken. What other models said of it aside and stored filters are put
    back in the same way. With --replace the stored ones give way: stop the workers.
    """
    archive, objects = ArchiveReader(directory), object_store(read_settings())
    first = read_night(since, "--since")
    paths, beside = archive.files(since=first), archive.shadow_files(since=first)
    for some in (paths, *beside.values()):
        if replace:
            some.reverse()  # the newest comes last and stays
    models, filters = read_models(directory), read_filters(directory)
    try:
        for model in models.values():
            objects.register_model(model)
        n_filters = put_filters(objects, filters, replace=replace)
        names = {digest: [name for _, name in model.classifier.classes] for digest, model in models.items()}
        n_kept = 0
        with ProgressBar("imported", archive.count(paths)) as counting:
            for path in paths:
                for found in archive.objects(path, at_a_time=AT_A_TIME):
                    n_written = put(objects, found, lambda digest: names.get(digest, ()), replace=replace)
                    n_kept += len(found) - n_written
                    counting.add(n_written, seen=len(found))
            for digest, some in beside.items():
                for path in some:
                    for found in archive.objects(path, at_a_time=AT_A_TIME):
                        put_beside(objects, digest, found, replace=replace)
    finally:
        objects.close()
    _say(n_kept, n_filters, len(filters) - n_filters)


def _say(n_objects_kept: int, n_filters: int, n_filters_kept: int) -> None:
    if n_objects_kept:
        typer.echo(f"{n_objects_kept} objects were left as the store has them", err=True)
    if n_filters or n_filters_kept:
        left = f", {n_filters_kept} were left as the store has them" if n_filters_kept else ""
        typer.echo(f"imported {n_filters} filters{left}", err=True)


def put_filters(objects: RedisStore, filters: Sequence[FilterSpec], *, replace: bool) -> int:
    """Write filters; gives how many were written."""
    there = set() if replace else {spec.name for spec in objects.filters.all()}
    new = [spec for spec in filters if spec.name not in there]
    for spec in new:
        objects.filters.put(spec)
    return len(new)


def put_beside(objects: RedisStore, digest: int, found: Sequence[StoredObject], *, replace: bool) -> None:
    """Write what a model said aside of objects, with its expiry."""
    store_of_model, keys = objects.for_model(digest), [one.key for one in found]
    before = store_of_model.load(keys) if replace else [None] * len(found)
    writes = [
        StateWrite(one.key, encode_state(one.state), old) for one, old in zip(found, before, strict=True)
    ]
    written = zip(found, store_of_model.save(writes), strict=True)
    store_of_model.expire_at([(one.key, one.expires_at_ms) for one, is_written in written if is_written])


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
    objects.index.add(index_entries([keys[place] for place in places], summaries.take(places), class_names))
    return len(places)
