"""``nightjar listen``: classifications as they are published."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from rich.console import Console
from rich.text import Text

from service.cli.options import kafka_options
from service.cli.signals import ended_by_signals
from service.core.alerts import Survey
from service.core.records.published import Record, parse_record
from service.core.records.result_batch import Vocabulary, result_batch
from service.core.search.criteria import Criteria
from service.core.taxonomy import CLASS_IDS
from service.errors import BrokerUnavailableError, InputError
from service.kafka.topic_reader import TopicReader
from service.settings import read_settings

__all__ = ["RecordSelection", "Status", "answer", "line", "listen"]

POLL = timedelta(milliseconds=200)
PAUSE_S = 1.0
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
        float | None,
        typer.Option(min=0.0, max=1.0, help="Of that class, or of the most probable one."),
    ] = None,
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
    selection = RecordSelection(
        [
            Criteria(surveys=tuple(survey or ()), class_name=name, min_probability=min_probability)
            for name in _class_names(class_name)
        ],
        status=status,
        object_ids=frozenset(object_id or ()),
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
        for record in islice(_matching(reader, selection), limit or None):
            if json:
                sys.stdout.write(orjson.dumps(record).decode() + "\n")
                sys.stdout.flush()
            else:
                console.print(line(record))


@dataclass(frozen=True)
class RecordSelection:
    """Which records to print.

    Attributes
    ----------
    criteria
        A record must pass one of these.
    status
        Only this; None for both.
    object_ids
        One of these objects, by the survey's own name or by qualified id; empty for all.
    """

    criteria: Sequence[Criteria]
    status: Status | None = None
    object_ids: frozenset[str] = frozenset()

    def select(self, records: Sequence[Record]) -> list[Record]:
        """Return the records to print, in their order."""
        # Criteria on the class, the probability and the survey need nothing of the stored objects.
        batch = result_batch(records, lambda keys: [None] * len(keys), Vocabulary())
        passes = np.zeros(len(records), np.bool_)
        for criteria in self.criteria:
            passes |= criteria.mask(batch.surveys, batch.summaries, batch.vocabulary.names)
        return [
            record
            for record, key, is_passing in zip(records, batch.keys, passes.tolist(), strict=True)
            if is_passing
            and (self.status is None or record["status"] == self.status.value)
            and (not self.object_ids or {record["object_id"], key} & self.object_ids)
        ]


def _class_names(names: Sequence[str] | None) -> list[str | None]:
    """Return classes, given in any case, as the taxonomy names them; one None for any class.

    Raises
    ------
    InputError
        There is no such class.
    """
    known = {name.casefold(): name for name in CLASS_IDS}
    for name in names or ():
        if name.casefold() not in known:
            raise InputError(f"unknown class {name!r}; known classes: {', '.join(CLASS_IDS)}")
    return [known[name.casefold()] for name in names] if names else [None]


def _reader(options: Mapping[str, Any], topic: str, *, from_beginning: bool, wait: bool) -> TopicReader:
    said = False
    while True:
        try:
            return TopicReader(options, [topic], from_beginning=from_beginning)
        except BrokerUnavailableError as error:
            if not wait:
                raise
            if not said:
                typer.echo(f"waiting: {error}", err=True)
            said = True
            time.sleep(PAUSE_S)


def _matching(reader: TopicReader, selection: RecordSelection) -> Iterator[Record]:
    waiting = False
    while True:
        yield from selection.select([parse_record(message.value) for message in reader.read(POLL)])
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
