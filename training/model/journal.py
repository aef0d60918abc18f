"""Metrics of a training run: a progress bar on the terminal, and one JSON line per epoch in a file."""

from collections.abc import Iterator
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["Journal"]


class Journal:
    """Where a run reports its metrics.

    Parameters
    ----------
    path
        JSON Lines file to append to; None: no file.
    console
        Where the progress bar and the latest numbers are shown; None: silent.
    title
        Name of the run, shown in the bar and written to every line.
    """

    def __init__(self, path: Path | None = None, console: Console | None = None, title: str = "") -> None:
        self.path, self.console, self.title = path, console, title
        self._bar: Progress | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)

    def progress(self, epochs: range, *, total: int, start: int = 0) -> Iterator[int]:
        """Iterate over `epochs` with a progress bar.

        Parameters
        ----------
        epochs
            What is iterated over.
        total, start
            Length of the bar, and how much of it is complete at the beginning.
        """
        if self.console is None:
            yield from epochs
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[latest]}"),
        )
        with Progress(*columns, console=self.console) as bar:
            self._bar = bar
            task = bar.add_task(self.title or "fit", total=total, completed=start, latest="")
            for epoch in epochs:
                yield epoch
                bar.advance(task)
        self._bar = None

    def write(self, **values: object) -> None:
        """Append one line to the file, and show its numbers next to the bar.

        Parameters
        ----------
        values
            What JSON can represent, NumPy scalars included.
        """
        if self.path is not None:
            line = {"run": self.title, **values} if self.title else values
            with self.path.open("ab") as file:
                # orjson writes NaN as null: JSON has no NaN.
                file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY))
        if self._bar is not None:
            numbers = {k: v for k, v in values.items() if isinstance(v, float) and v == v}
            latest = " ".join(f"{name} {value:.4f}" for name, value in numbers.items())
            self._bar.update(self._bar.task_ids[0], latest=latest)
