"""``nightjar-train reproduce``: from nothing to a report; cut off, it goes on where it was."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.core.alerts import Survey
from service.errors import InputError
from training.data.catalogue import DATA_VARIABLE, data_directory
from training.reproduce.figures import standalone
from training.reproduce.inputs import experiments, make_base, simulate
from training.reproduce.methods import METHODS
from training.reproduce.report import TITLES, figures, page
from training.reproduce.runs import Task, perform, tasks
from training.reproduce.scale import SCALES, Scale
from training.reproduce.summary import Results, read_results, summarise

__all__ = ["reproduce", "run_all"]

SCALE_FILE = "scale.json"


def reproduce(
    output: Annotated[
        Path, typer.Option(help="Directory for everything; what is done there is not done again")
    ] = Path("build/reproduce"),
    quick: Annotated[bool, typer.Option("--quick", help="Small: under ten minutes on two cores")] = False,
    scale: Annotated[str, typer.Option(help=f"Size: {', '.join(SCALES)}")] = "standard",
    seeds: Annotated[
        int | None, typer.Option(min=2, help="Instead of the size's own number of seeds")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(envvar=DATA_VARIABLE, help="Public light curves, templates; without: ZTF to LSST alone"),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Changes the time, not the result; by default one a processor")
    ] = None,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Write the report of what is there, train nothing")
    ] = False,
) -> None:
    """Make the paper's two experiments, with its method and ours, and a report of them."""
    chosen = _scale("quick" if quick else scale, seeds)
    run_all(
        chosen,
        output,
        data_directory(data),
        processes=processes or os.cpu_count() or 1,
        train=not report_only,
    )


def run_all(scale: Scale, output: Path, data: Path, *, processes: int = 1, train: bool = True) -> None:
    """Make all experiments that the data directory allows, and the report.

    Raises
    ------
    InputError
        The directory holds results of another size, or the data are too few.
    """
    console = Console(stderr=True)
    _claim(output, scale)
    names = experiments(data)
    if len(names) < len(TITLES):
        console.print(f"{data}: no real ZTF light curves; the first experiment is left out")
    work = tasks(scale, names)
    if train:
        _prepare(output, scale, data, console)
        _perform_all(work, scale, output, data, processes, console)
    _report(read_results(output, work), scale, output)
    console.print(f"{output / 'report.html'}")


def _scale(name: str, seeds: int | None) -> Scale:
    if name not in SCALES:
        raise InputError(f"unknown scale {name!r}: choose among {', '.join(SCALES)}")
    return SCALES[name] if seeds is None else SCALES[name].model_copy(update={"seeds": seeds})


def _claim(output: Path, scale: Scale) -> None:
    """Note the sizes beside the results: results of other sizes must not be mixed in."""
    path = output / SCALE_FILE
    # More or fewer seeds than before are no other experiment.
    wanted = scale.model_dump_json(indent=2, exclude={"seeds"})
    if path.exists() and path.read_text() != wanted:
        raise InputError(f"{output} holds results of another size or version; choose another --output")
    output.mkdir(parents=True, exist_ok=True)
    path.write_text(wanted)


def _prepare(output: Path, scale: Scale, data: Path, console: Console) -> None:
    simulate(output, Survey.ZTF, scale.ztf_simulated, data, console)
    simulate(output, Survey.LSST, scale.lsst_simulated, data, console)
    for method in ("paper-transfer", "ours-transfer"):
        make_base(output, METHODS[method], scale, console)


def _perform_all(
    work: Sequence[Task], scale: Scale, output: Path, data: Path, processes: int, console: Console
) -> None:
    todo = [task for task in work if not task.path(output).exists()]
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        shown = bar.add_task("runs", total=len(work), completed=len(work) - len(todo))
        for _ in _performed(todo, scale, output, data, processes):
            bar.advance(shown)


def _performed(
    todo: Sequence[Task], scale: Scale, output: Path, data: Path, processes: int
) -> Iterator[None]:
    if processes <= 1:
        for task in todo:
            perform(task, scale, output, data)
            yield None
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(perform, task, scale, output, data) for task in todo]
        for future in as_completed(futures):
            future.result()
            yield None


def _report(results: Sequence[Results], scale: Scale, output: Path) -> None:
    """Write results.json, report.html and the figures."""
    finished = [one for one in results if one.seeds()]
    summaries = [summarise(one) for one in finished]
    content: dict[str, Any] = {"scale": scale.model_dump(), "experiments": summaries}
    (output / "results.json").write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
    (output / "report.html").write_text(page(finished, summaries, scale), encoding="utf-8")
    folder = output / "figures"
    folder.mkdir(exist_ok=True)
    for one in finished:
        for name, drawing in figures(one).items():
            (folder / f"{one.experiment}-{name}.svg").write_text(standalone(drawing), encoding="utf-8")
