"""The commands `simulate` and `packets`."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.core.alerts import BAND_NAMES, Band, Kind, Survey
from service.errors import InputError
from training.simulation.generate import Recipe, generate
from training.simulation.light_curves import LightCurves, concatenate, write_parquet
from training.simulation.packets import CUTOUTS, make_packets, shifted, write_packets
from training.simulation.sources.populations import CLASS_NAMES
from training.simulation.survey.selection import bright_transients, every_alert

__all__ = ["class_counts", "make_recipe", "packets", "simulate"]

DATA_VARIABLE = "NIGHTJAR_TRAINING_DATA"

# A stream worth watching: mostly supernovae, and something of everything.
DEMO_CLASSES = "Ia:6,II:3,Ib:1,Ic:1,IIn:1,SLSN-I:2,TDE:2,AGN:2,Other:2"


def simulate(
    output: Annotated[Path, typer.Option(help="Parquet file to write")],
    survey: Annotated[Survey, typer.Option(help="ztf or lsst")] = Survey.ZTF,
    count: Annotated[int, typer.Option(min=1, help="Number of light curves")] = 1000,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal files")] = 1,
    classes: Annotated[
        str, typer.Option(help="'all', or names with optional weights: Ia:3,II,TDE:0.5")
    ] = "all",
    selection: Annotated[
        str,
        typer.Option(help="bright (what spectroscopic surveys classify) or alerts (whatever is detected)"),
    ] = "alerts",
    min_detections: Annotated[int, typer.Option(min=1, help="Leave objects with fewer out")] = 3,
    bands: Annotated[str, typer.Option(help="Bands, such as gri; empty: the survey's usual ones")] = "",
    detections_only: Annotated[bool, typer.Option(help="No forced photometry, no limits")] = False,
    days_after: Annotated[float, typer.Option(min=1, help="Follow each object for so many days")] = 400.0,
    data: Annotated[
        Path | None,
        typer.Option(envvar=DATA_VARIABLE, help="Templates, bandpasses, visits; none: parametric"),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Changes the time, not the result")] = 1,
) -> None:
    """Simulate light curves of all classes and write them to a Parquet file."""
    recipe = make_recipe(
        survey, count, seed, classes, selection, min_detections, bands, detections_only, data, days_after
    )
    console = Console(stderr=True)
    started = time.perf_counter()
    output.parent.mkdir(parents=True, exist_ok=True)
    with _progress(console) as progress:
        task = progress.add_task("light curves", total=count)

        def counted() -> Iterator[LightCurves]:
            for part in generate(recipe, processes):
                progress.advance(task, len(part))
                yield part

        try:
            written = write_parquet(output, counted(), metadata(recipe))
        except ValueError as error:
            raise InputError(str(error)) from error
    seconds = time.perf_counter() - started
    console.print(f"{written} light curves in {seconds:.1f} s ({written / seconds:.0f}/s): {output}")


def packets(
    output: Annotated[Path, typer.Option(help="Directory of .avro files, or one archive named *.tar.xz")],
    survey: Annotated[
        list[Survey] | None, typer.Option(help="ztf or lsst; give it twice for both [default: both]")
    ] = None,
    objects: Annotated[int, typer.Option(min=1, help="Objects of each survey")] = 20,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many packets")] = None,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal bytes")] = 1,
    classes: Annotated[
        str, typer.Option(help="'all', or names with optional weights: Ia:3,II,TDE:0.5")
    ] = DEMO_CLASSES,
    selection: Annotated[str, typer.Option(help="bright or alerts, as for simulate")] = "alerts",
    min_detections: Annotated[int, typer.Option(min=1, help="Leave objects with fewer out")] = 3,
    cutouts: Annotated[str, typer.Option(help=f"Image stamps: {', '.join(CUTOUTS)}")] = "small",
    start_mjd: Annotated[float, typer.Option(help="First day of the stream, MJD TAI")] = 61_100.0,
    days: Annotated[float, typer.Option(min=1, help="All objects appear within so many days")] = 60.0,
    days_after: Annotated[float, typer.Option(min=0, help="Follow each object for so many days")] = 100.0,
    data: Annotated[
        Path | None,
        typer.Option(envvar=DATA_VARIABLE, help="Templates, bandpasses, visits; none: parametric"),
    ] = None,
) -> None:
    """Simulate a stream of alert packets in the surveys' own formats: ZTF 4.02 and LSST 10.0."""
    if cutouts not in CUTOUTS:
        raise InputError(f"unknown cutouts {cutouts!r}: choose among {', '.join(CUTOUTS)}")
    samples = []
    for each in survey or (Survey.ZTF, Survey.LSST):
        recipe = make_recipe(
            each, objects, seed, classes, selection, min_detections, data=data, days_after=days_after
        )
        samples.append((each, shifted(concatenate(list(generate(recipe))), start_mjd, days, seed)))
    stream = islice(make_packets(samples, seed, cutouts), limit)
    output.parent.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with console.status("packets"):
        count = write_packets(stream, output)
    console.print(f"{count} packets: {output}")


def make_recipe(
    survey: Survey,
    count: int,
    seed: int,
    classes: str = "all",
    selection: str = "alerts",
    min_detections: int = 3,
    bands: str = "",
    detections_only: bool = False,
    data: Path | None = None,
    days_after: float = 400.0,
) -> Recipe:
    """Turn the command's options into a recipe.

    Raises
    ------
    InputError
        An option does not make sense; the message says which values do.
    """
    rules = {"bright": bright_transients, "alerts": every_alert}
    if selection not in rules:
        raise InputError(f"unknown selection {selection!r}: choose bright or alerts")
    if data is not None and not data.is_dir():
        raise InputError(f"no such data directory: {data}")
    chosen = replace(rules[selection](survey, min_detections), days_after=days_after)
    if detections_only:
        chosen = replace(chosen, kinds=(Kind.DETECTION,))
    unknown = [letter for letter in bands if letter not in BAND_NAMES]
    if unknown:
        raise InputError(f"unknown band {unknown[0]!r}: choose among {''.join(BAND_NAMES)}")
    return Recipe(
        survey=survey,
        counts=class_counts(classes, count),
        seed=seed,
        selection=chosen,
        data_dir=data,
        bands=tuple(Band(BAND_NAMES.index(letter)) for letter in bands) or None,
    )


def class_counts(classes: str, count: int) -> tuple[tuple[str, int], ...]:
    """Share `count` objects out: ``Ia:3,II`` gives three quarters to Ia. The parts add up to `count`."""
    weights: dict[str, float] = {}
    for item in ",".join(CLASS_NAMES).split(",") if classes == "all" else classes.split(","):
        name, _, weight = item.strip().partition(":")
        if name not in CLASS_NAMES:
            raise InputError(f"unknown class {name!r}: choose among {', '.join(CLASS_NAMES)}")
        try:
            weights[name] = float(weight or 1)
        except ValueError as error:
            raise InputError(f"class {name}: {weight!r} is not a number") from error
    share = np.cumsum(list(weights.values())) / sum(weights.values())
    bounds = np.rint(np.concatenate([[0.0], share]) * count).astype(int)
    return tuple((name, int(n)) for name, n in zip(weights, np.diff(bounds), strict=True))


def metadata(recipe: Recipe) -> dict[str, str]:
    """Say in the file how it was made."""
    settings = {
        "counts": dict(recipe.counts),
        "bands": [band.name.lower() for band in recipe.bands] if recipe.bands else None,
        "selection": asdict(recipe.selection),
        "templates": "data directory" if recipe.data_dir is not None else "parametric",
    }
    return {
        "nightjar.survey": recipe.survey.value,
        "nightjar.seed": str(recipe.seed),
        "nightjar.version": version("nightjar"),
        "nightjar.settings": json.dumps(settings, default=list),
    }


def _progress(console: Console) -> Progress:
    """Make a progress bar that stays silent where nobody looks."""
    hidden = not console.is_terminal or bool(os.environ.get("CI"))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=hidden)
