"""``nightjar listen``: print classifications as they arrive."""

import sys
from contextlib import suppress
from enum import StrEnum
from itertools import islice
from typing import Annotated

import orjson
import typer
from rich.console import Console

from service.cli.options import BrokersOption
from service.cli.signals import interrupt_on_signals
from service.core.alerts import Survey
from service.core.search.criteria import Criteria
from service.errors import BrokerUnavailableError
from service.settings import read_settings
from service.tools.listen import (
    RecordSelection,
    known_class_names,
    matching_records,
    open_reader,
    record_line,
)
from service.wiring.tools import kafka_clients

__all__ = ["listen"]


class Status(StrEnum):
    """The statuses that a record may have."""

    CLASSIFIED = "classified"
    ABSTAINED = "abstained"


def listen(
    class_name: Annotated[
        list[str] | None, typer.Option("--class", help="Only this class; repeatable.")
    ] = None,
    min_probability: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Minimum probability, of that class or the most probable one."),
    ] = None,
    survey: Annotated[list[Survey] | None, typer.Option(help="Only this survey; repeatable.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only records of this status.")] = None,
    object_id: Annotated[
        list[str] | None, typer.Option("--object", metavar="ID", help="Only this object; repeatable.")
    ] = None,
    from_beginning: Annotated[bool, typer.Option(help="Start with the oldest record.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Stop after this many records; 0 for never.")] = 0,
    wait: Annotated[bool, typer.Option(help="Wait for a topic or broker that is not there yet.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print whole records as JSON lines.")] = False,
    topic: Annotated[str, typer.Option(help="Instead of NIGHTJAR_OUTPUT_TOPIC.")] = "",
    brokers: BrokersOption = "",
) -> None:
    """Print classifications from the output topic, committed ones only, until Ctrl-C."""
    settings = read_settings()
    selection = RecordSelection(
        [
            Criteria(surveys=tuple(survey or ()), class_name=name, min_probability=min_probability)
            for name in known_class_names(class_name)
        ],
        status=None if status is None else status.value,
        object_ids=frozenset(object_id or ()),
    )
    clients = kafka_clients(settings, brokers)
    console = Console(highlight=False, soft_wrap=True)
    with (
        interrupt_on_signals(),
        suppress(KeyboardInterrupt),
        open_reader(
            clients,
            topic or settings.output_topic,
            from_beginning=from_beginning,
            on_wait=_report_wait if wait else None,
        ) as reader,
    ):
        if not from_beginning:
            typer.echo("listening from now on; --from-beginning also prints earlier records", err=True)
        for record in islice(matching_records(reader, selection, _report_silence), limit or None):
            if json:
                sys.stdout.write(orjson.dumps(record).decode() + "\n")
                sys.stdout.flush()
            else:
                console.print(record_line(record))


def _report_wait(error: BrokerUnavailableError) -> None:
    typer.echo(f"waiting: {error}", err=True)


def _report_silence() -> None:
    typer.echo("waiting for Kafka to answer", err=True)
