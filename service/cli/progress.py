"""How far a long command has come: a bar for people, the sum at the end for everybody."""

import time
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

__all__ = ["ProgressBar"]


@dataclass(slots=True)
class ProgressBar:
    """Counts objects; a context manager that shows a bar where there is a terminal.

    Parameters
    ----------
    verb
        What is done with them, for instance ``exported``.
    total
        How many there are, about.
    """

    verb: str
    total: int
    count: int = 0
    _console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    _progress: Progress = field(init=False)
    _task: TaskID = field(init=False)
    _started_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        )
        self._task = self._progress.add_task(self.verb, total=self.total)

    def add(self, count: int, *, seen: int) -> None:
        """Count `count` objects, of `seen` that were looked at."""
        self.count += count
        self._progress.advance(self._task, seen)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Take the bar away and say the sum, where all went well."""
        self._progress.stop()
        if kind is None:
            elapsed_s = time.monotonic() - self._started_s
            rate_hz = self.count / max(elapsed_s, 1e-6)
            self._console.print(
                f"{self.verb} {self.count} objects in {elapsed_s:.1f} s ({rate_hz:.0f} a second)"
            )
