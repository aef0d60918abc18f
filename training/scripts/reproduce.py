"""``nightjar-train reproduce``: the experiments of arXiv:2502.18558; an interrupted run resumes."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.errors import InputError
from training.data.catalogue import DATA_VARIABLE, data_directory
from training.reproduce.experiments import claim, perform_all, prepare, write_report
from training.reproduce.inputs import experiments
from training.reproduce.methods import REAL
from training.reproduce.runs import tasks
from training.reproduce.scale import SCALES, Scale
from training.scripts.stage import record

__all__ = ["Configuration", "main", "run_all"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Options of ``nightjar-train reproduce``."""

    output: Annotated[
        Path, typer.Option(help="Directory for everything; what is finished there is not repeated")
    ] = Path("build/reproduce")
    quick: Annotated[bool, typer.Option("--quick", help="Small: under ten minutes on two cores")] = False
    scale: Annotated[str, typer.Option(help=f"Size: {', '.join(SCALES)}")] = "standard"
    seeds: Annotated[int | None, typer.Option(min=2, help="Number of seeds, instead of that of the size")] = (
        None
    )
    data: Annotated[
        Path | None,
        typer.Option(envvar=DATA_VARIABLE, help="Public light curves, templates; without: ZTF to LSST only"),
    ] = None
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Affects the time, not the result; by default one per processor"),
    ] = None
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Write the report of the finished runs, train nothing")
    ] = False


def main(config: Configuration) -> None:
    """Run the paper's two experiments, with its method and ours, and write a report.

    Parameters
    ----------
    config
        Options of the command.
    """
    name = "quick" if config.quick else config.scale
    if name not in SCALES:
        raise InputError(f"unknown scale {name!r}: choose among {', '.join(SCALES)}")
    scale = SCALES[name]
    if config.seeds is not None:
        scale = scale.model_copy(update={"seeds": config.seeds})
    claim(config.output, scale)
    record(config, config.output / "config.json", Console(stderr=True))
    run_all(
        scale,
        config.output,
        data_directory(config.data),
        processes=config.processes or os.cpu_count() or 1,
        train=not config.report_only,
    )


def run_all(scale: Scale, output: Path, data: Path, *, processes: int = 1, train: bool = True) -> None:
    """Run all experiments that the data directory allows, and write the report.

    Parameters
    ----------
    scale
        Numbers of objects, epochs and seeds.
    output
        Directory of the experiments.
    data
        Data directory.
    processes
        Parallel processes; they affect the time, not the result.
    train
        Run what is missing; False: only write the report.

    Raises
    ------
    InputError
        The directory holds results of other sizes, or there are too few data.
    """
    console = Console(stderr=True)
    claim(output, scale)
    names = experiments(data)
    if REAL not in names:
        console.print(f"{data}: no real ZTF light curves; the first experiment is left out")
    work_list = tasks(scale, names)
    if train:
        prepare(output, scale, data, console)
        perform_all(work_list, scale, output, data, processes, console)
    write_report(output, work_list, scale)
    console.print(f"{output / 'report.html'}")
