"""What a run says: a progress bar on the terminal, and one JSON line per event in a file."""

from collections.abc import Iterator
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["Journal"]


class Journal:
    """Metrics of one run.

    Parameters
    ----------
    path
        JSON lines are appended here; None for none.
    console
        Where the bar and the latest numbers are shown; None for silence.
    title
        Name of the run, in the bar and in every line.
    """

    def __init__(self, path: Path | None = None, console: Console | None = None, title: str = "") -> None:
        self.path, self.console, self.title = path, console, title
        self._bar: Progress | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)

    def progress(self, epochs: range, *, total: int, start: int = 0) -> Iterator[int]:
        """Go through `epochs` with a bar that begins at `start` of `total`."""
        if self.console is None:
            yield from epochs
            return
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[latest]}"),
        )  # fmt: skip
        with Progress(*columns, console=self.console) as bar:
            self._bar = bar
            task = bar.add_task(self.title or "fit", total=total, completed=start, latest="")
            for epoch in epochs:
                yield epoch
                bar.advance(task)
        self._bar = None

    def write(self, **values: object) -> None:
        """Append one line, and show its numbers beside the bar."""
        if self.path is not None:
            line = {"run": self.title, **values} if self.title else values
            with self.path.open("ab") as file:
                # NaN becomes null: JSON has no NaN.
                file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY))
        if self._bar is not None:
            shown = " ".join(f"{k} {v:.4f}" for k, v in values.items() if isinstance(v, float) and v == v)
            self._bar.update(self._bar.task_ids[0], latest=shown)
