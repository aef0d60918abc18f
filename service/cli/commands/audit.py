"""``nightjar audit``: proof from the topics that every alert has exactly one result."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from service.cli.commands.topics import duration
from service.cli.options import kafka_options
from service.errors import InputError
from service.settings import read_settings
from service.tools.audit.auditor import COUNTED, Audit, Auditor, Stage

__all__ = ["audit", "unix_ms"]

WRONG = frozenset({"missing", "duplicated", "unexplained"})
# Told seldom enough that telling costs nothing.
SHOW_EVERY = 2000
# Asked how wide it would like to be, a table answers with no more than it is given.
WIDEST = 10_000


def audit(
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="Judge alerts published since: 2026-03-01T00:00, or P2D ago.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    examples: Annotated[int, typer.Option(min=0, help="Places shown of each kind of problem.")] = 10,
    wait: Annotated[
        str, typer.Option(metavar="DURATION", help="Longest wait for the end of an open transaction.")
    ] = "PT2M",
    brokers: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Instead of NIGHTJAR_BOOTSTRAP_SERVERS.")
    ] = "",
) -> None:
    """Prove that every alert was answered exactly once: exit code 0 if so, 1 if not.

    Reads the source topics up to where the consumer group stands, the output topic and the dead letters, as
    a plain reader of committed records does, and matches them by the source header. Topics and group are
    those of the settings; the service may go on meanwhile.
    """
    settings = read_settings()
    options, patience, since_ms = kafka_options(settings, brokers), duration(wait, "--wait"), unix_ms(since)
    with _progress(Console(stderr=True)) as stage:
        found = Auditor(settings, options, patience, since_ms, examples, stage).run()
    if json:
        sys.stdout.write(orjson.dumps(found.as_record(), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _print(found, Console(highlight=False, soft_wrap=True))
    if not found.is_clean:
        raise typer.Exit(1)


def unix_ms(when: str) -> int:
    """Read a time, or how long ago it was; 0 for none.

    Raises
    ------
    InputError
        It is neither.
    """
    if not when:
        return 0
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        try:
            return round((time.time() - duration(when, "--since").total_seconds()) * 1000)
        except InputError:
            raise InputError(f"--since: {when} is no time; write 2026-03-01T00:00 (UTC) or P2D") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


@contextmanager
def _progress(console: Console) -> Iterator[Stage]:
    """Show bars on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def stage(name: str, size: int) -> Callable[[int], None]:
            task, shown = progress.add_task(name, total=size), 0

            def advance(done: int) -> None:
                nonlocal shown
                if done - shown >= SHOW_EVERY or done >= size:
                    shown = done
                    progress.update(task, completed=done)

            return advance

        yield stage


def _print(found: Audit, console: Console) -> None:
    table = _table(found)
    needed = console.measure(table, options=console.options.update(max_width=WIDEST)).maximum
    # In a narrower terminal its columns would be cut until nothing can be read.
    console.print(table if needed <= console.width else _blocks(found))
    for problem, places in found.examples.items():
        for place in places:
            console.print(f"{problem}: {place}")
    for note in found.notes:
        console.print(f"note: {note}")
    console.print(_conclusion(found))


def _table(found: Audit) -> Table:
    table = Table("topic", "partition", *COUNTED, title=_title(found))
    for column in table.columns[1:]:
        column.justify = "right"
    for account in found.accounts:
        table.add_row(account.topic, str(account.partition), *_cells(asdict(account)))
    table.add_section()
    table.add_row("all", "", *_cells(found.totals))
    return table


def _blocks(found: Audit) -> Text:
    """Give what the table has in lines that 80 columns take, those of each partition below its name."""
    named = [(f"{one.topic}:{one.partition}", asdict(one)) for one in found.accounts]
    lines = [Text(_title(found), "bold")]
    for name, counts in [*named, ("all", found.totals)]:
        pairs = [Text(f"{one} ").append(cell) for one, cell in zip(COUNTED, _cells(counts), strict=True)]
        lines += [Text(name)] + [Text("  ") + Text(", ").join(some) for some in (pairs[:4], pairs[4:])]
    return Text("\n").join(lines)


def _title(found: Audit) -> str:
    return f"alerts up to the position of group {found.group}"


def _cells(counts: Mapping[str, int]) -> list[Text]:
    """Write the counts of a row, what is wrong in red."""
    return [Text(str(counts[name]), "red" if counts[name] and name in WRONG else "") for name in COUNTED]


def _conclusion(found: Audit) -> str:
    totals = found.totals
    outcomes = (
        f"{totals['classified']} classified, {totals['abstained']} abstained, {totals['rejected']} rejected"
    )
    if found.is_clean:
        return f"[green]clean[/green]: {totals['consumed']} alerts consumed = {outcomes}"
    wrong = ", ".join(f"{totals[name]} {name}" for name in COUNTED if name in WRONG)
    return f"[red]not clean[/red]: {wrong}; {totals['consumed']} alerts consumed, {outcomes}"
