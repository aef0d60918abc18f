"""``nightjar replay``: send alert packets from files to a topic, as the survey would."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.cli.options import BrokersOption, PartitionsOption
from service.cli.progress import progress_bar
from service.core.alerts import Survey
from service.errors import InputError, RejectionCode
from service.settings import Settings, read_settings
from service.tools.dead_letters import DeadLetterReplay
from service.tools.packets import Packet, find_packets, in_time_order, packets_of_survey, shipped_packets
from service.tools.sender import Sender, send_all
from service.wiring.tools import KafkaClients, kafka_clients

__all__ = ["replay"]


class Order(StrEnum):
    """The order in which packets are sent."""

    TIME = "time"
    NAME = "name"


def replay(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Packet files, or directories of them.", show_default=False)
    ] = None,
    topic: Annotated[
        str, typer.Option(help="Destination; created if missing. Dead letters default to their own topics.")
    ] = "",
    demo: Annotated[bool, typer.Option("--demo", help="Send the demo's simulated packets instead.")] = False,
    rate: Annotated[
        float, typer.Option(min=0.0, help="Packets per second; 0 for as fast as possible.")
    ] = 0.0,
    survey: Annotated[Survey | None, typer.Option(help="Send this survey's packets only.")] = None,
    order: Annotated[Order, typer.Option(help="By the time of the alert, or by file name.")] = Order.TIME,
    partitions: PartitionsOption = 4,
    from_rejected: Annotated[
        bool, typer.Option("--from-rejected", help="Send dead letters back to their topics instead.")
    ] = False,
    error_class: Annotated[
        list[RejectionCode] | None,
        typer.Option(help="Only dead letters of this class; repeatable.", show_default=False),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also send dead letters that were sent before.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the dead letters.")] = False,
    brokers: BrokersOption = "",
) -> None:
    """Send alert packets from files to a Kafka topic, byte for byte.

    A file is one message, whatever it holds: an Avro container, LSST's wire format or a bare record.

    With --from-rejected the dead letters go back to the topics that they came from, each once however often
    the command is run. The cause of their rejection must be fixed first, or they are rejected again.
    """
    if (bool(paths), demo, from_rejected).count(True) != 1:
        raise InputError("say what to send: packet files, directories of them, --demo or --from-rejected")
    given = {"--error-class": bool(error_class), "--force": force, "--dry-run": dry_run}
    if not from_rejected and any(given.values()):
        names = " and ".join(option for option, is_given in given.items() if is_given)
        raise InputError(f"{names} would have no effect: only --from-rejected takes it")
    settings = read_settings()
    clients = kafka_clients(settings, brokers)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if from_rejected:
        classes = error_class or list(RejectionCode)
        letters = DeadLetterReplay(settings, clients, classes, topic, resend=force)
        _send_dead_letters(letters, console, dry_run=dry_run)
    elif not topic:
        raise InputError("say where to send it: --topic")
    else:
        packets = _packets(paths or [], survey, order, settings, console)
        _send_packets(packets, topic, partitions, rate, clients, console)


def _send_dead_letters(letters: DeadLetterReplay, console: Console, *, dry_run: bool) -> None:
    due = letters.due()
    for (code, topic), count in sorted(due.items()):
        console.print(f"{count} {code} for {topic}")
    if dry_run:
        console.print(f"{due.total()} dead letters to send")
        return
    with progress_bar(console, "sending", due.total()) as advance:
        letters.send({topic for _, topic in due}, advance)
    console.print(f"sent {due.total()} dead letters")


def _packets(
    paths: list[Path], survey: Survey | None, order: Order, settings: Settings, console: Console
) -> tuple[Packet, ...]:
    found = find_packets(paths) if paths else shipped_packets()
    if found.skipped:
        console.print(f"skipped {len(found.skipped)} files that are not packets, such as {found.skipped[0]}")
    packets = packets_of_survey(found, survey)
    return in_time_order(packets, settings.schema_dir) if order is Order.TIME else packets


def _send_packets(
    packets: tuple[Packet, ...],
    topic: str,
    partitions: int,
    rate_hz: float,
    clients: KafkaClients,
    console: Console,
) -> None:
    if clients.ensure_topic(topic, partitions):
        console.print(f"created topic {topic} with {partitions} partitions")
    sender = Sender(packets, dict.fromkeys(Survey, topic), clients.topic_writer(), rate_hz)
    with progress_bar(console, "sending", len(packets)) as advance:
        n_sent = send_all(sender, advance)
    console.print(f"sent {n_sent} packets to {topic}")
