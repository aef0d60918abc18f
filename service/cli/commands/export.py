"""``nightjar export``: write light curves and classifications to Parquet files."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import night
from service.cli.progress import ProgressBar
from service.core.alerts import Survey
from service.settings import read_settings
from service.tools.exporting import export_objects, prepare_export
from service.wiring.stores import object_store

__all__ = ["export"]


def export(
    directory: Annotated[Path, typer.Argument(help="Directory of the archive; created if missing.")],
    since: Annotated[
        str,
        typer.Option(metavar="NIGHT", help="Only objects with an alert in this night or later: 2026-11-20."),
    ] = "",
    survey: Annotated[list[Survey] | None, typer.Option(help="Only this survey; repeatable.")] = None,
) -> None:
    """Write every object of the store to DIRECTORY/objects/night=YYYY-MM-DD/objects.parquet.

    An object is filed under the night of its latest alert, with its whole light curve and classifications.
    Results of shadow models and of `nightjar reclassify` go to DIRECTORY/shadow, in the same form. A night
    that is exported again replaces its file. models.json lists the models, filters.json the stored filters.
    The service may keep running meanwhile.
    """
    first_night = night(since, "--since")
    prepare_export(directory)
    with (
        closing(object_store(read_settings())) as store,
        ProgressBar("exported", store.usage().objects) as progress,
    ):
        n_unreadable = export_objects(store, directory, survey or Survey, first_night, progress.add)
    if n_unreadable:
        typer.echo(f"nightjar: {n_unreadable} objects cannot be read and were left out", err=True)
