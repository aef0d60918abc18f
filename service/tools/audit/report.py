"""An audit as a table for people."""

from collections.abc import Mapping
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.tools.audit.auditor import COUNTED, Audit

__all__ = ["print_audit"]

PROBLEMS = frozenset({"missing", "duplicated", "unexplained"})
# When asked for its width, a table answers with no more than it is offered.
UNLIMITED_WIDTH = 10_000
COUNTS_PER_LINE = 4


def print_audit(audit: Audit, console: Console) -> None:
    """Print the counts, examples of problems, notes and the verdict.

    Parameters
    ----------
    audit
        What was found.
    console
        Where to print it.
    """
    table = _table(audit)
    width = console.measure(table, options=console.options.update(max_width=UNLIMITED_WIDTH)).maximum
    # In a narrower terminal the columns would be cut until they are unreadable.
    console.print(table if width <= console.width else _blocks(audit))
    for problem, positions in audit.examples.items():
        for position in positions:
            console.print(f"{problem}: {position}")
    for note in audit.notes:
        console.print(f"note: {note}")
    console.print(_verdict(audit))


def _table(audit: Audit) -> Table:
    table = Table("topic", "partition", *COUNTED, title=_title(audit))
    for column in table.columns[1:]:
        column.justify = "right"
    for account in audit.accounts:
        table.add_row(account.topic, str(account.partition), *_cells(asdict(account)))
    table.add_section()
    table.add_row("all", "", *_cells(audit.totals))
    return table


def _blocks(audit: Audit) -> Text:
    """Return the contents of the table for 80 columns: the counts of each partition below its name."""
    partitions = [(f"{account.topic}:{account.partition}", asdict(account)) for account in audit.accounts]
    lines = [Text(_title(audit), "bold")]
    for title, counts in [*partitions, ("all", audit.totals)]:
        pairs = [Text(f"{name} ").append(cell) for name, cell in zip(COUNTED, _cells(counts), strict=True)]
        lines.append(Text(title))
        lines += [
            Text("  ") + Text(", ").join(part) for part in (pairs[:COUNTS_PER_LINE], pairs[COUNTS_PER_LINE:])
        ]
    return Text("\n").join(lines)


def _title(audit: Audit) -> str:
    return f"alerts up to the position of group {audit.group}"


def _cells(counts: Mapping[str, int]) -> list[Text]:
    """Return the counts of a row, problems in red."""
    return [Text(str(counts[name]), "red" if counts[name] and name in PROBLEMS else "") for name in COUNTED]


def _verdict(audit: Audit) -> str:
    totals = audit.totals
    outcomes = (
        f"{totals['classified']} classified, {totals['abstained']} abstained, {totals['rejected']} rejected"
    )
    if audit.is_clean:
        return f"[green]clean[/green]: {totals['consumed']} alerts consumed = {outcomes}"
    problems = ", ".join(f"{totals[name]} {name}" for name in COUNTED if name in PROBLEMS)
    return f"[red]not clean[/red]: {problems}; {totals['consumed']} alerts consumed, {outcomes}"
