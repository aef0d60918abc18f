"""``nightjar export``: light curves and classifications as Parquet files, one directory a night."""

import resource
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from service.archive.arrow_schema import StoredObject
from service.archive.directory import make_directory
from service.archive.files import ArchiveWriter, night_of
from service.archive.manifest import write_filters, write_models
from service.cli.progress import ProgressBar
from service.core.alerts import Survey
from service.core.state.object_state import StateError, decode_state
from service.errors import InputError
from service.redis.store import RedisStore
from service.settings import read_settings
from service.wiring.stores import object_store

__all__ = ["export", "read_night"]

AT_A_TIME = 1000


def export(
    directory: Annotated[Path, typer.Argument(help="Where the files go; made where it is missing.")],
    since: Annotated[
        str,
        typer.Option(
            metavar="NIGHT", help="Only objects with an alert in this night or a later one: 2026-11-20."
        ),
    ] = "",
    survey: Annotated[list[Survey] | None, typer.Option(help="Only this survey's; may be repeated.")] = None,
) -> None:
    """Write every object of the store into DIRECTORY/objects/night=YYYY-MM-DD/objects.parquet.

    An object lies in the night of its latest alert, with its whole light curve and its classifications. What
    shadow models and `nightjar reclassify` computed for it goes to DIRECTORY/shadow, in the same form. A
    night that is written again replaces the file that was there. models.json names the models, filters.json
    has the stored filters. The service may go on meanwhile.
    """
    first = read_night(since, "--since")
    make_directory(directory)
    objects = object_store(read_settings())
    n_unreadable = 0
    _allow_files()
    try:
        models = objects.models()
        # What was exported is said when the last file is in its place.
        with (
            ProgressBar("exported", objects.usage().objects) as counting,
            ArchiveWriter(directory) as archive,
        ):
            write_models(directory, models)
            write_filters(directory, objects.filters.all())
            for one in survey or Survey:
                for keys in objects.keys(one):
                    found, n_bad = read_objects(objects, keys)
                    n_unreadable += n_bad
                    nights = {item.key: night_of(item.state.last_alert_mjd_tai) for item in found}
                    wanted = [item for item in found if first is None or nights[item.key] >= first]
                    archive.add(wanted)
                    for digest in models:
                        aside, n_bad = read_objects(objects.for_model(digest), [item.key for item in wanted])
                        n_unreadable += n_bad
                        archive.add_shadow(digest, [(nights[item.key], item) for item in aside])
                    counting.add(len(wanted), seen=len(keys))
    finally:
        objects.close()
    if n_unreadable:
        typer.echo(f"nightjar: {n_unreadable} objects cannot be read and were left out", err=True)


def _allow_files() -> None:
    """Let this process open as many files as it may: one stays open for each night and model."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def read_night(text: str, option: str) -> date | None:
    """Read the name of a night, None for an empty one.

    Raises
    ------
    InputError
        It is none; the message names `option`.
    """
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InputError(f"{option}: {text} is no night; write 2026-11-20") from None


def read_objects(objects: RedisStore, keys: list[str]) -> tuple[list[StoredObject], int]:
    """Read objects; those that are gone are left out, those that cannot be read are counted.

    Returns
    -------
    list of StoredObject
        What could be read.
    int
        How many could not.
    """
    found, n_bad = [], 0
    for start in range(0, len(keys), AT_A_TIME):
        asked = keys[start : start + AT_A_TIME]
        columns = zip(asked, objects.load(asked), objects.expiries(asked), strict=True)
        for key, blob, expires_at_ms in columns:
            try:
                if blob is not None:
                    found.append(StoredObject(key, decode_state(blob), expires_at_ms))
            except StateError:
                n_bad += 1
    return found, n_bad
