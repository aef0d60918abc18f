"""``nightjar import``: put the objects of an archive into the store."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import night
from service.cli.progress import ProgressBar
from service.settings import read_settings
from service.tools.importing import ArchiveImport
from service.wiring.stores import object_store

__all__ = ["import_objects"]


def import_objects(
    directory: Annotated[Path, typer.Argument(help="Directory of an export.")],
    since: Annotated[str, typer.Option(metavar="NIGHT", help="Only this night and later ones.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite objects that the store has already.")
    ] = False,
) -> None:
    """Put the objects of an export into the store, unchanged, with the models and stored filters.

    An object that the store has is kept, so that alerts since the export are not lost; of an object that
    occurs in several nights the newest state is taken. The same holds for shadow results and stored filters.
    With --replace the archive wins: stop the workers first.
    """
    importing = ArchiveImport(directory, night(since, "--since"), replace)
    with (
        closing(object_store(read_settings())) as store,
        ProgressBar("imported", importing.n_objects) as progress,
    ):
        importing.run(store, progress.add)
    if importing.n_objects_kept:
        typer.echo(f"{importing.n_objects_kept} objects were kept as the store has them", err=True)
    if importing.n_filters or importing.n_filters_kept:
        kept = f", {importing.n_filters_kept} were kept as the store has them"
        typer.echo(
            f"imported {importing.n_filters} filters{kept if importing.n_filters_kept else ''}", err=True
        )
