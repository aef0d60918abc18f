"""``nightjar demo``: run the whole service on this machine, fed with a replayed stream."""

import json
import sys
import uuid
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.cli.signals import interrupt_on_signals
from service.settings import read_settings
from service.tools.demo.run import DemoRun
from service.tools.demo.stack import Stack, StackNames, choose_broker
from service.tools.demo.view import make_view
from service.tools.packets import PacketSet, find_packets, shipped_packets

__all__ = ["demo"]

DEMO_RATE_HZ = 5.0  # slow enough to follow: the shipped alerts last two minutes
INTERRUPTED = 130  # 128 + SIGINT, as in shells


def demo(
    alerts: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Replay your packets instead of simulated ones.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Stop when every alert has its result; print a JSON summary.")
    ] = False,
    broker: Annotated[
        str, typer.Option(metavar="embedded|kafka|HOST:PORT", help="Which broker to use.")
    ] = "embedded",
    workers: Annotated[int, typer.Option(min=1, help="Number of worker processes.")] = 2,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the page; by default 8000 if it is free.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Alerts per second, 0 for as fast as possible. [default: 5; 0 with --once]"
        ),
    ] = None,
) -> None:
    """Run the whole service on this machine: broker, Redis, workers, API and a stream of alerts.

    Nothing else needs to be installed or running. Ctrl-C stops everything.
    """
    settings = read_settings()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    packets = _packets(alerts, console)
    rate_hz = rate if rate is not None else (0.0 if once else DEMO_RATE_HZ)
    names = StackNames("" if broker in {"embedded", "kafka"} else f"-{uuid.uuid4().hex[:8]}")
    interrupted = False
    with make_view(console) as view:
        server = choose_broker(broker, settings.kafka_home)
        stack = Stack(server, tuple(packets.surveys()), workers, port, names, view.report)
        run = DemoRun(stack, rate_hz)
        try:
            with interrupt_on_signals(), stack:
                run.replay(packets, settings.schema_dir, view, until_complete=once)
        except KeyboardInterrupt:
            interrupted = True
    if once:
        _print_summary(run, console, interrupted=interrupted)
    else:
        count = run.accounting
        console.print(
            f"{count.classified} alerts classified, {count.abstained.total()} abstained; all stopped"
        )


def _packets(alerts: Path | None, console: Console) -> PacketSet:
    """Return the user's packets, or the shipped ones."""
    if alerts is None:
        return shipped_packets()
    found = find_packets([alerts])
    if found.skipped:
        console.print(f"skipped {len(found.skipped)} files that are not packets, such as {found.skipped[0]}")
    return found


def _print_summary(run: DemoRun, console: Console, *, interrupted: bool) -> None:
    """Print problems and counts; the exit code tells whether the run was complete."""
    count = run.accounting
    for problem in count.problems():
        console.print(f"nightjar: {problem}")
    sys.stdout.write(json.dumps(count.summary(run.seconds)) + "\n")
    sys.stdout.flush()
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if not count.adds_up:
        raise typer.Exit(1)
