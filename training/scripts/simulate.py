"""``nightjar-train simulate``: light curves of all classes, to Parquet."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.core.alerts import Survey
from service.errors import InputError
from training.scripts.stage import OptionalSimulatorData, SurveyOption, record
from training.simulation.generate import generate
from training.simulation.light_curves import SimulatedLightCurves, write_parquet
from training.simulation.recipe import file_metadata, make_recipe

__all__ = ["Configuration", "main"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Options of ``nightjar-train simulate``."""

    output: Annotated[Path, typer.Option(help="Parquet file to write")]
    survey: SurveyOption = Survey.ZTF
    count: Annotated[int, typer.Option(min=1, help="Number of light curves")] = 1000
    seed: Annotated[int, typer.Option(help="Equal seeds give equal files")] = 1
    classes: Annotated[str, typer.Option(help="'all', or names with optional weights: Ia:3,II,TDE:0.5")] = (
        "all"
    )
    selection: Annotated[
        str,
        typer.Option(help="bright (what spectroscopic surveys classify) or alerts (whatever is detected)"),
    ] = "alerts"
    min_detections: Annotated[int, typer.Option(min=1, help="Leave out objects with fewer")] = 3
    bands: Annotated[str, typer.Option(help="Bands, such as gri; empty: the survey's usual ones")] = ""
    detections_only: Annotated[bool, typer.Option(help="No forced photometry, no limits")] = False
    days_after: Annotated[
        float, typer.Option(min=1, help="Days for which an object is followed after its trigger")
    ] = 400.0
    data: OptionalSimulatorData = None
    processes: Annotated[int, typer.Option(min=1, help="Affects the time, not the result")] = 1


def main(config: Configuration) -> None:
    """Simulate light curves of all classes and write them to a Parquet file.

    Parameters
    ----------
    config
        Options of the command.
    """
    console = Console(stderr=True)
    recipe = make_recipe(
        config.survey,
        config.count,
        config.seed,
        classes=config.classes,
        selection=config.selection,
        min_detections=config.min_detections,
        bands=config.bands,
        detections_only=config.detections_only,
        days_after=config.days_after,
        data=config.data,
    )
    record(config, config.output.with_suffix(".config.json"), console)
    started = time.perf_counter()
    with _progress(console) as progress:
        task = progress.add_task("light curves", total=config.count)

        def counted() -> Iterator[SimulatedLightCurves]:
            for part in generate(recipe, config.processes):
                progress.advance(task, len(part))
                yield part

        try:
            written = write_parquet(config.output, counted(), file_metadata(recipe))
        except ValueError as error:
            raise InputError(str(error)) from error
    seconds = time.perf_counter() - started
    console.print(f"{written} light curves in {seconds:.1f} s ({written / seconds:.0f}/s): {config.output}")


def _progress(console: Console) -> Progress:
    """Return a progress bar that is hidden without a terminal."""
    hidden = not console.is_terminal or bool(os.environ.get("CI"))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=hidden)
