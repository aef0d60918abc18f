"""``nightjar audit``: prove from the topics that every alert has exactly one result."""

import sys
from typing import Annotated

import orjson
import typer
from rich.console import Console

from service.cli.options import BrokersOption, duration, unix_ms
from service.cli.progress import stage_bars
from service.settings import read_settings
from service.tools.audit.auditor import Auditor
from service.tools.audit.report import print_audit
from service.wiring.tools import kafka_clients

__all__ = ["audit"]


def audit(
    since: Annotated[
        str,
        typer.Option(metavar="WHEN", help="Only alerts published since: 2026-03-01T00:00, or P2D ago."),
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    max_examples: Annotated[int, typer.Option(min=0, help="Examples shown of each kind of problem.")] = 10,
    wait: Annotated[
        str, typer.Option(metavar="DURATION", help="Longest wait for the end of an open transaction.")
    ] = "PT2M",
    brokers: BrokersOption = "",
) -> None:
    """Prove that every alert was answered exactly once: exit code 0 if so, 1 if not.

    Reads the source topics up to the position of the consumer group, the output topic and the dead letters,
    as any reader of committed records does, and matches them by the source header. The settings name topics
    and group; the service may keep running meanwhile.
    """
    settings = read_settings()
    clients = kafka_clients(settings, brokers)
    patience, since_ms = duration(wait, "--wait"), unix_ms(since, "--since")
    with stage_bars(Console(stderr=True)) as stage:
        result = Auditor(settings, clients, patience, since_ms, max_examples, stage).run()
    if json:
        sys.stdout.write(orjson.dumps(result.as_record(), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        print_audit(result, Console(highlight=False, soft_wrap=True))
    if not result.is_clean:
        raise typer.Exit(1)
