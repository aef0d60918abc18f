"""``nightjar topics``: create the topics that the settings name."""

from typing import Annotated

import typer
from rich.console import Console

from service.cli.options import duration
from service.settings import read_settings
from service.tools.topic_plan import TopicLayout, outcome_lines, plan_topics
from service.wiring.tools import kafka_clients

__all__ = ["topics"]


def topics(
    partitions: Annotated[
        int,
        typer.Option(min=1, help="Partitions of survey and output topics: upper bound on parallel workers."),
    ] = 16,
    rejected_partitions: Annotated[int, typer.Option(min=1, help="Partitions of the dead letters.")] = 4,
    source_retention: Annotated[
        str, typer.Option(metavar="DURATION", help="How long alerts are kept.")
    ] = "P7D",
    output_retention: Annotated[
        str, typer.Option(metavar="DURATION", help="How long classifications are kept.")
    ] = "P30D",
    rejected_retention: Annotated[
        str, typer.Option(metavar="DURATION", help="How long dead letters are kept.")
    ] = "P30D",
    replication: Annotated[int, typer.Option(min=1, help="Copies of each partition; 3 on a cluster.")] = 1,
    wait: Annotated[str, typer.Option(metavar="DURATION", help="Longest wait for the broker.")] = "PT2M",
) -> None:
    """Create the topics of NIGHTJAR_*_TOPICS, the output and the dead letters; update those that differ.

    It can be run again at any time: an existing topic gets the new retention and message size where they
    differ. Topics that match a pattern (^...) are created by the survey. Durations are ISO 8601 (P7D, PT36H)
    or seconds.
    """
    settings = read_settings()
    layout = TopicLayout(
        partitions=partitions,
        rejected_partitions=rejected_partitions,
        source_retention=duration(source_retention, "--source-retention"),
        output_retention=duration(output_retention, "--output-retention"),
        rejected_retention=duration(rejected_retention, "--rejected-retention"),
    )
    patience = duration(wait, "--wait")
    plans = plan_topics(settings, layout)
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    admin = kafka_clients(settings).topic_admin()
    waiting = f"waiting for Kafka at {settings.bootstrap_servers}, at most {patience.total_seconds():g} s"
    admin.wait(patience, lambda: console.print(waiting))
    outcomes = admin.ensure(plans, replication=replication)
    for line in outcome_lines(plans, outcomes, admin.partitions()):
        console.print(line)
