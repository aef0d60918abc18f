"""``nightjar demo``: the whole service on this machine, fed with a replayed stream."""

import json
import sys
import uuid
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.cli.signals import ended_by_signals
from service.embedded.broker import ApacheKafka, Broker, EmbeddedBroker, find_kafka
from service.errors import InputError
from service.settings import Settings, read_settings
from service.tools.demo.run import DemoRun
from service.tools.demo.stack import Stack, StackNames
from service.tools.demo.view import View, make_view
from service.tools.packets import PacketSet, find_packets, in_time_order, shipped_packets

__all__ = ["demo"]

DEMO_RATE_HZ = 5.0  # what a person can follow: the alerts that we ship last two minutes
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def demo(
    alerts: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Replay your own packets rather than simulated ones.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End when every alert has its result; print a JSON summary.")
    ] = False,
    broker: Annotated[
        str, typer.Option(metavar="embedded|kafka|HOST:PORT", help="Which broker to use.")
    ] = "embedded",
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 2,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the page; 8000 where that is free.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.0, help="Alerts per second, 0 for as fast as it goes. [default: 5; 0 if --once]"),
    ] = None,
) -> None:
    """Run the whole service on this machine: broker, Redis, workers, API and a stream of alerts.

    Nothing else needs to be installed or running. Ctrl-C ends everything.
    """
    settings = read_settings()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    packets = _packets(alerts, console)
    rate_hz = rate if rate is not None else (0.0 if once else DEMO_RATE_HZ)
    names = StackNames("" if broker in {"embedded", "kafka"} else f"-{uuid.uuid4().hex[:8]}")
    with make_view(console) as view:
        stack = Stack(_broker(broker, settings), tuple(packets.surveys()), workers, port, names, view.report)
        run = DemoRun(stack, rate_hz)
        interrupted = _run(run, packets, settings, view, once=once)
    _finish(run, console, once=once, interrupted=interrupted)


def _packets(alerts: Path | None, console: Console) -> PacketSet:
    """Give the user's packets, or those that come with the service."""
    if alerts is None:
        return shipped_packets()
    found = find_packets([alerts])
    if found.skipped:
        console.print(f"left out {len(found.skipped)} files that are no packets, such as {found.skipped[0]}")
    return found


def _broker(choice: str, settings: Settings) -> Broker | str:
    if choice == "embedded":
        return EmbeddedBroker()
    if choice == "kafka":
        return ApacheKafka(find_kafka(settings.kafka_home))
    host, _, port = choice.rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"--broker is embedded, kafka or HOST:PORT, not {choice}")
    return choice


def _run(run: DemoRun, packets: PacketSet, settings: Settings, view: View, *, once: bool) -> bool:
    """Run until it is complete, or until Ctrl-C; tells whether that was it."""
    try:
        with ended_by_signals(), run.stack:
            ordered = packets.packets
            if not packets.in_time_order:
                view.report("sorting the alerts by time")
                ordered = in_time_order(ordered, settings.schema_dir)
            for _ in run.follow(ordered):
                view.show(run)
                if once and run.complete:
                    break
            run.audit()
    except KeyboardInterrupt:
        return True
    return False


def _finish(run: DemoRun, console: Console, *, once: bool, interrupted: bool) -> None:
    """Say how it went; with ``--once`` the exit code says so too."""
    count = run.accounting
    if not once:
        console.print(
            f"{count.classified} alerts classified, {count.abstained.total()} abstained; all stopped"
        )
        return
    for problem in count.problems():
        console.print(f"nightjar: {problem}")
    sys.stdout.write(json.dumps(count.summary(run.seconds)) + "\n")
    sys.stdout.flush()
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if not count.adds_up:
        raise typer.Exit(1)
