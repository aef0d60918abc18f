"""``nightjar listen``: classifications as they come."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.text import Text

from service.backoff import Backoff
from service.cli.options import kafka_options
from service.cli.signals import ended_by_signals
from service.core.alerts import Survey
from service.core.records.published import Filter, Record, parse_record
from service.core.taxonomy import CLASS_IDS
from service.errors import BrokerUnavailableError, InputError
from service.kafka.topic_reader import TopicReader
from service.settings import read_settings

__all__ = ["answer", "line", "listen"]

POLL = timedelta(milliseconds=200)
INITIAL_DELAY = timedelta(seconds=0.5)
MAXIMUM_DELAY = timedelta(seconds=5)
SHOWN_CLASSES = 3


class Status(StrEnum):
    """What a record may say of its alert."""

    CLASSIFIED = "classified"
    ABSTAINED = "abstained"


def listen(
    class_name: Annotated[
        list[str] | None, typer.Option("--class", help="Only this class; may be given several times.")
    ] = None,
    min_probability: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Of that class, or of the most probable one.")
    ] = 0.0,
    survey: Annotated[list[Survey] | None, typer.Option(help="Only this survey.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only these.")] = None,
    object_id: Annotated[
        list[str] | None,
        typer.Option("--object", metavar="ID", help="Only this object; may be given several times."),
    ] = None,
    from_beginning: Annotated[bool, typer.Option(help="Start with the oldest record.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="End after so many; 0 for never.")] = 0,
    wait: Annotated[bool, typer.Option(help="Wait for a topic or a broker that is not there yet.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print whole records as JSON lines.")] = False,
    topic: Annotated[str, typer.Option(help="Instead of NIGHTJAR_OUTPUT_TOPIC.")] = "",
    brokers: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Instead of NIGHTJAR_BOOTSTRAP_SERVERS.")
    ] = "",
) -> None:
    """Print classifications from the output topic, committed ones only, until Ctrl-C."""
    settings = read_settings()
    _check_classes(class_name or ())
    wanted = Filter(
        frozenset(class_name or ()),
        min_probability,
        frozenset(item.value for item in survey or ()),
        frozenset(() if status is None else {status.value}),
        frozenset(object_id or ()),
    )
    options = kafka_options(settings, brokers)
    console = Console(highlight=False, soft_wrap=True)
    with (
        ended_by_signals(),
        suppress(KeyboardInterrupt),
        _reader(options, topic or settings.output_topic, from_beginning=from_beginning, wait=wait) as reader,
    ):
        if not from_beginning:
            typer.echo("listening from now on; --from-beginning also prints what is there", err=True)
        for record in islice(_matching(reader, wanted), limit or None):
            if json:
                sys.stdout.write(orjson.dumps(record).decode() + "\n")
                sys.stdout.flush()
            else:
                console.print(line(record))


def _check_classes(names: Iterable[str]) -> None:
    known = {name.casefold() for name in CLASS_IDS}
    for name in names:
        if name.casefold() not in known:
            raise InputError(f"no class {name!r}; there are {', '.join(CLASS_IDS)}")


def _reader(options: Mapping[str, Any], topic: str, *, from_beginning: bool, wait: bool) -> TopicReader:
    backoff = Backoff(INITIAL_DELAY, MAXIMUM_DELAY)
    while True:
        try:
            return TopicReader(options, [topic], from_beginning=from_beginning)
        except BrokerUnavailableError as error:
            if not wait:
                raise
            if not backoff.failures:
                typer.echo(f"waiting: {error}", err=True)
            time.sleep(backoff.next_s())


def _matching(reader: TopicReader, wanted: Filter) -> Iterator[Record]:
    waiting = False
    while True:
        for message in reader.read(POLL):
            record = parse_record(message.value)
            if wanted.passes(record):
                yield record
        if reader.waiting and not waiting:
            typer.echo("waiting for Kafka to answer", err=True)
        waiting = reader.waiting


def line(record: Record) -> Text:
    """Write one record in one line for a person."""
    time = datetime.fromtimestamp(record["timestamps"]["classified"] / 1000, UTC)
    start = f"{time:%Y-%m-%d %H:%M:%S}  {record['survey']:<8} {record['object_id']:<20} "
    context = f"  mjd {record['mjd_tai']:.4f} {record['band']}  {record['n_detections']} detections"
    return Text.assemble(start, answer(record), (context, "dim"))


def answer(record: Mapping[str, Any]) -> Text:
    """Write what the service says, the most probable classes first."""
    if record["status"] == "abstained":
        return Text(f"abstained: {record['reason']}", "yellow")
    best = sorted(record["classifications"], key=lambda entry: -entry["probability"])[:SHOWN_CLASSES]
    words = [f"{entry['class_name']} {entry['probability']:.2f}" for entry in best]
    return Text.assemble((words[0], "bold green"), "".join(f", {word}" for word in words[1:]))
