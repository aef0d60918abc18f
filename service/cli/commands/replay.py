"""``nightjar replay``: alert packets from files to a topic, as the survey would send them."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.cli.options import kafka_options
from service.core.alerts import Survey
from service.errors import InputError, RejectionCode
from service.kafka.topic_admin import TopicAdmin, TopicPlan
from service.kafka.topic_writer import TopicWriter
from service.settings import read_settings
from service.tools.dead_letters import DeadLetterReplay
from service.tools.packets import Packet, PacketSet, find_packets, in_time_order, shipped_packets
from service.tools.sender import Sender

__all__ = ["replay"]

BROKERS_DEFAULT = -1  # Kafka's word for the broker's own replication factor
PAUSE = timedelta(milliseconds=5)
COLUMNS = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


class Order(StrEnum):
    """In which order packets are sent."""

    TIME = "time"
    NAME = "name"


def replay(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Packet files, or directories of them.", show_default=False)
    ] = None,
    topic: Annotated[
        str, typer.Option(help="Topic to send to; made if it does not exist. Dead letters know their own.")
    ] = "",
    demo: Annotated[bool, typer.Option("--demo", help="Send the demo's simulated packets instead.")] = False,
    rate: Annotated[float, typer.Option(min=0.0, help="Packets per second; 0 for as fast as it goes.")] = 0.0,
    survey: Annotated[Survey | None, typer.Option(help="Send this survey's packets only.")] = None,
    order: Annotated[Order, typer.Option(help="By the time of the alert, or by file name.")] = Order.TIME,
    partitions: Annotated[int, typer.Option(min=1, help="Of a topic that does not exist yet.")] = 4,
    from_rejected: Annotated[
        bool, typer.Option("--from-rejected", help="Send dead letters back to their topics instead.")
    ] = False,
    error_class: Annotated[
        list[RejectionCode] | None, typer.Option(help="Only these dead letters.", show_default=False)
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Dead letters sent before as well.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the dead letters only.")] = False,
    brokers: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Instead of NIGHTJAR_BOOTSTRAP_SERVERS.")
    ] = "",
) -> None:
    """Send alert packets from files to a Kafka topic, byte for byte.

    A file is one message, whatever it holds: an Avro container, LSST's wire format or a bare record.

    With --from-rejected the dead letters go back to the topics that they came from, each once however often
    this is called. What sent them there has to be mended first, or they come back.
    """
    settings = read_settings()
    options = kafka_options(settings, brokers)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if (bool(paths), demo, from_rejected).count(True) != 1:
        raise InputError("say what to send: packet files, directories of them, --demo or --from-rejected")
    only = {"--error-class": bool(error_class), "--again": again, "--dry-run": dry_run}
    if not from_rejected and any(only.values()):
        named = " and ".join(option for option, is_given in only.items() if is_given)
        raise InputError(f"{named} would have no effect: only --from-rejected takes it")
    if from_rejected:
        resender = DeadLetterReplay(settings, options, error_class or list(RejectionCode), topic, again)
        _resend(resender, console, dry_run=dry_run)
        return
    if not topic:
        raise InputError("say where to: --topic")
    packets = _choose(find_packets(paths) if paths else shipped_packets(), survey, console)
    if order is Order.TIME:
        packets = in_time_order(packets, settings.schema_dir)
    admin = TopicAdmin(options)
    if topic not in admin.partitions():
        admin.ensure([TopicPlan(topic, partitions, {})], replication=BROKERS_DEFAULT)
        console.print(f"made topic {topic} with {partitions} partitions")
    writer = TopicWriter(options)
    _send(Sender(packets, dict.fromkeys(Survey, topic), writer, rate), console)
    console.print(f"sent {writer.delivered} packets to {topic}")


def _resend(resender: DeadLetterReplay, console: Console, *, dry_run: bool) -> None:
    due = resender.due()
    for (code, topic), count in sorted(due.items()):
        console.print(f"{count} {code} for {topic}")
    if dry_run:
        console.print(f"{due.total()} dead letters to send")
        return
    with Progress(*COLUMNS, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=due.total())
        resender.send({topic for _, topic in due}, lambda count: progress.advance(task, count))
    console.print(f"sent {due.total()} dead letters")


def _choose(found: PacketSet, survey: Survey | None, console: Console) -> tuple[Packet, ...]:
    """Take the packets of one survey."""
    if found.skipped:
        console.print(f"left out {len(found.skipped)} files that are no packets, such as {found.skipped[0]}")
    surveys = found.surveys()
    if survey is None and len(surveys) > 1:
        raise InputError(f"these are packets of {', '.join(surveys)}: choose with --survey")
    packets = tuple(packet for packet in found.packets if survey in {None, packet.survey})
    if not packets:
        raise InputError(f"no packets of {survey} among them, only of {', '.join(surveys)}")
    return packets


def _send(sender: Sender, console: Console) -> None:
    """Send everything, with a progress bar on a terminal."""
    with Progress(*COLUMNS, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(sender.packets))
        while not sender.done:
            sender.step()
            sender.writer.poll(PAUSE)
            progress.update(task, completed=sender.writer.delivered)
        sender.writer.flush()
        progress.update(task, completed=sender.writer.delivered)
