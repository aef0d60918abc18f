"""What the user sees of a running demo: a live table on a terminal, plain lines elsewhere."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.tools.demo.run import DemoRun, View
from service.tools.listen import result_text

__all__ = ["make_view"]

REDRAWS_HZ = 4
LINE_INTERVAL_S = 2.0


@contextmanager
def make_view(console: Console) -> Iterator[View]:
    """Choose a live view for a terminal, else plain lines.

    Parameters
    ----------
    console
        Where to show the demo.
    """
    if not console.is_terminal:
        yield LineView(console)
        return
    with Live(console=console, refresh_per_second=REDRAWS_HZ, transient=False) as live:
        yield LiveView(live)


class LineView:
    """Steps and counts as lines, for logs and pipes.

    Parameters
    ----------
    console
        Where to print them.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last_s = 0.0
        self._last = ""

    def report(self, step: str) -> None:
        """Print a step."""
        if step:
            self._console.print(step)

    def show(self, run: DemoRun) -> None:
        """Print the counts every few seconds while they change, and the addresses once."""
        if not self._last:
            self._console.print(_addresses(run))
        line = f"{_counts(run)}; {_hint(run)}"
        now_s = time.monotonic()
        if line != self._last and now_s - self._last_s >= LINE_INTERVAL_S:
            self._console.print(line)
            self._last, self._last_s = line, now_s


class LiveView:
    """Addresses, a progress bar, counts and the latest classifications, redrawn in place.

    Parameters
    ----------
    live
        The display to update.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._body: Group | None = None

    def report(self, step: str) -> None:
        """Show a step, below the table if there is one."""
        note = Text(step, "cyan")
        self._live.update(note if self._body is None else Group(self._body, note))

    def show(self, run: DemoRun) -> None:
        """Draw everything."""
        progress = Table.grid(padding=(0, 2), expand=True)
        progress.add_row(
            ProgressBar(total=run.total, completed=run.accounting.answered, width=30), _counts(run)
        )
        self._body = Group(_addresses(run), progress, _table(run))
        self.report(_hint(run))


def _hint(run: DemoRun) -> str:
    """Return what to expect next, and how to stop."""
    if run.complete:
        return "every alert has its result; Ctrl-C stops the demo"
    return "Ctrl-C stops the demo" if run.accounting.results else "the workers are warming up ..."


def _addresses(run: DemoRun) -> Text:
    """Return the addresses of the parts, and a command that follows the results."""
    stack = run.stack
    listen_options = (
        f"--brokers {stack.bootstrap_servers} --topic {stack.names.output_topic} --from-beginning"
    )
    return Text.assemble(
        "page and API  ",
        (stack.api_url, "bold"),
        f"   Kafka  {stack.bootstrap_servers}   Redis  {stack.redis.url}\n",
        "in another terminal:  ",
        (f"{_own_command()} listen {listen_options}", "bold"),
        f"\nalerts go to {', '.join(map(stack.names.survey_topic, stack.surveys))}, "
        f"read by group {stack.names.group_id}",
    )


def _own_command() -> str:
    """Return how to call this program: by its name if the shell finds it, else by its relative path."""
    program = Path(sys.argv[0])
    if shutil.which(program.name) or not program.is_file():
        return program.name
    return os.path.relpath(program)


def _counts(run: DemoRun) -> str:
    """Return how many packets were sent and what became of them."""
    count = run.accounting
    return (
        f"{run.delivered} of {run.total} packets sent, {count.classified} alerts classified, "
        f"{count.abstained.total()} abstained, {count.rejected} rejected, {len(count.objects)} objects"
    )


def _table(run: DemoRun) -> Table:
    """Return the latest classifications as a table."""
    rows = Table("survey", "object", "mjd", "band", "detections", "classification", expand=True)
    for record in run.latest:
        rows.add_row(
            record["survey"],
            record["object_id"],
            f"{record['mjd_tai']:.4f}",
            record["band"],
            str(record["n_detections"]),
            result_text(record),
        )
    return rows
