"""All runs of the experiments, and their report; what is finished is not repeated."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.core.alerts import Survey
from service.errors import InputError
from training.reproduce.figures import standalone
from training.reproduce.inputs import make_base, simulate
from training.reproduce.methods import METHODS
from training.reproduce.report import figures, page
from training.reproduce.runs import Task, perform
from training.reproduce.scale import Scale
from training.reproduce.summary import read_results, summarise

__all__ = ["claim", "perform_all", "prepare", "write_report"]

SCALE_FILE = "scale.json"


def claim(work: Path, scale: Scale) -> None:
    """Store the sizes with the results: results of other sizes must not be mixed in.

    Parameters
    ----------
    work
        Directory of the experiments; created if missing.
    scale
        More or fewer seeds than before are allowed.

    Raises
    ------
    InputError
        The directory holds results of other sizes.
    """
    path = work / SCALE_FILE
    content = scale.model_dump_json(indent=2, exclude={"seeds"})
    if path.exists() and path.read_text() != content:
        raise InputError(f"{work} holds results of another size or version; choose another --output")
    work.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def prepare(work: Path, scale: Scale, data: Path, console: Console) -> None:
    """Make the simulations and the base networks that are missing.

    Parameters
    ----------
    work
        Directory of the experiments.
    scale
        Numbers of objects and epochs.
    data
        Data directory.
    console
        Where progress is shown.
    """
    simulate(work, Survey.ZTF, scale.ztf_simulated, data, console)
    simulate(work, Survey.LSST, scale.lsst_simulated, data, console)
    for method in ("paper-transfer", "ours-transfer"):
        make_base(work, METHODS[method], scale, console)


def perform_all(
    work_list: Sequence[Task], scale: Scale, work: Path, data: Path, processes: int, console: Console
) -> None:
    """Perform all tasks without a result.

    Parameters
    ----------
    work_list
        All tasks.
    scale
        Numbers of objects and epochs.
    work
        Directory of the experiments.
    data
        Data directory.
    processes
        Parallel processes; they affect the time, not the result.
    console
        Where progress is shown.
    """
    todo = [task for task in work_list if not task.path(work).exists()]
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        shown = bar.add_task("runs", total=len(work_list), completed=len(work_list) - len(todo))
        for _ in _performed(todo, scale, work, data, processes):
            bar.advance(shown)


def write_report(work: Path, work_list: Sequence[Task], scale: Scale) -> None:
    """Write ``results.json``, ``report.html`` and the figures.

    Parameters
    ----------
    work
        Directory of the experiments.
    work_list
        All tasks, finished or not.
    scale
        Named in the report.
    """
    finished = [results for results in read_results(work, work_list) if results.seeds()]
    summaries = [summarise(results) for results in finished]
    content: dict[str, Any] = {"scale": scale.model_dump(), "experiments": summaries}
    (work / "results.json").write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
    (work / "report.html").write_text(page(finished, summaries, scale), encoding="utf-8")
    folder = work / "figures"
    folder.mkdir(exist_ok=True)
    for results in finished:
        for name, figure in figures(results).items():
            path = folder / f"{results.experiment}-{name}.svg"
            path.write_text(standalone(figure), encoding="utf-8")


def _performed(todo: Sequence[Task], scale: Scale, work: Path, data: Path, processes: int) -> Iterator[None]:
    """Yield once for each finished task."""
    if processes <= 1:
        for task in todo:
            perform(task, scale, work, data)
            yield None
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(perform, task, scale, work, data) for task in todo]
        for future in as_completed(futures):
            future.result()
            yield None
