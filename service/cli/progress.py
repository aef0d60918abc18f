"""Progress bars on a terminal, and totals for everyone."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

__all__ = ["ProgressBar", "progress_bar", "stage_bars"]

# An update is expensive next to reading a record: few enough to cost nothing.
UPDATE_EVERY = 2000


@dataclass(slots=True)
class ProgressBar:
    """Counts objects: a context manager that shows a bar on a terminal and prints the total at the end.

    Parameters
    ----------
    verb
        What is done with the objects, for instance ``exported``.
    total
        Approximate number of objects.
    """

    verb: str
    total: int
    count: int = 0
    _console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    _progress: Progress = field(init=False)
    _task: TaskID = field(init=False)
    _started_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._progress = _progress(self._console, transient=True)
        self._task = self._progress.add_task(self.verb, total=self.total)

    def add(self, n_done: int, n_seen: int) -> None:
        """Count objects.

        Parameters
        ----------
        n_done
            Objects that count towards the total.
        n_seen
            Objects that were looked at, by which the bar advances.
        """
        self.count += n_done
        self._progress.advance(self._task, n_seen)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Close the bar and print the total, unless an exception was raised."""
        self._progress.stop()
        if kind is None:
            elapsed_s = time.monotonic() - self._started_s
            rate_hz = self.count / max(elapsed_s, 1e-6)
            self._console.print(
                f"{self.verb} {self.count} objects in {elapsed_s:.1f} s ({rate_hz:.0f} per second)"
            )


@contextmanager
def progress_bar(console: Console, verb: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal while the context lasts.

    Parameters
    ----------
    console
        Where to show it; nothing is shown unless this is a terminal.
    verb
        What is being done, for instance ``sending``.
    total
        Number of steps; None where it is not known.

    Yields
    ------
    callable
        Advances the bar by the number of steps it is given.
    """
    with _progress(console) as progress:
        task = progress.add_task(verb, total=total)
        yield lambda count: progress.advance(task, count)


@contextmanager
def stage_bars(console: Console) -> Iterator[Callable[[str, int], Callable[[int], None]]]:
    """Show one bar per stage of the work on a terminal while the context lasts.

    Parameters
    ----------
    console
        Where to show them; nothing is shown unless this is a terminal.

    Yields
    ------
    callable
        Starts a stage, given its name and size; returns a function that takes how much of it is done.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def stage(name: str, size: int) -> Callable[[int], None]:
            task, n_shown = progress.add_task(name, total=size), 0

            def update(n_done: int) -> None:
                nonlocal n_shown
                if n_done - n_shown >= UPDATE_EVERY or n_done >= size:
                    n_shown = n_done
                    progress.update(task, completed=n_done)

            return update

        yield stage


def _progress(console: Console, *, transient: bool = False) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=transient, disable=not console.is_terminal)
