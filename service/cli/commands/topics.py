"""``nightjar topics``: the topics that the settings name, made as a service of years needs them."""

from datetime import timedelta
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from service.errors import InputError
from service.kafka.options import common_options
from service.kafka.topic_admin import Outcome, TopicAdmin, TopicPlan
from service.settings import Settings, read_settings

__all__ = ["plan_topics", "topics"]

# A record is longer on its way than the message in it: batch header, key, headers and compression that
# makes small things larger. A dead letter carries a whole message of the greatest length besides its cause.
RECORD_OVERHEAD_BYTES = 2**20

OTHER_NUMBER = (
    "A topic keeps the partitions it has: with more of them an object's records would go to another "
    "partition than before, and fewer Kafka does not make."
)

DURATION = TypeAdapter(timedelta)


def topics(
    partitions: Annotated[
        int, typer.Option(min=1, help="Of each survey topic and of the output: the most workers at work.")
    ] = 16,
    rejected_partitions: Annotated[int, typer.Option(min=1, help="Of the dead letters.")] = 4,
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
    """Make the topics of NIGHTJAR_*_TOPICS, the output and the dead letters; change what differs.

    It may be run again at any time: a topic that is as it should be is left alone, one that is not gets
    the new retention and message size. Patterns (^...) are the survey's to make. Durations are ISO 8601
    (P7D, PT36H) or seconds.
    """
    settings = read_settings()
    plans = plan_topics(
        settings,
        partitions=partitions,
        rejected_partitions=rejected_partitions,
        source_retention=duration(source_retention, "--source-retention"),
        output_retention=duration(output_retention, "--output-retention"),
        rejected_retention=duration(rejected_retention, "--rejected-retention"),
    )
    patience = duration(wait, "--wait")
    admin = TopicAdmin(common_options(settings))
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    waiting = f"waiting for Kafka at {settings.bootstrap_servers}, {patience.total_seconds():g} s at most"
    admin.wait(patience, lambda: console.print(waiting))
    outcomes = admin.ensure(plans, replication=replication)
    _report(plans, outcomes, admin.partitions(), console)


def duration(text: str, option: str) -> timedelta:
    """Read a positive duration as the settings do: ISO 8601 or seconds.

    Raises
    ------
    InputError
        It is none; the message names `option`.
    """
    try:
        value = DURATION.validate_python(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValidationError:
        value = timedelta()
    if value <= timedelta():
        raise InputError(f"{option}: {text} is no duration; write P7D, PT36H or seconds")
    return value


def plan_topics(
    settings: Settings,
    *,
    partitions: int,
    rejected_partitions: int,
    source_retention: timedelta,
    output_retention: timedelta,
    rejected_retention: timedelta,
) -> list[TopicPlan]:
    """Say which topics there should be.

    Parameters
    ----------
    settings
        Names the topics and the largest message.
    partitions, rejected_partitions
        Of survey and output topics, and of the dead letters.
    source_retention, output_retention, rejected_retention
        How long their records are kept.

    Returns
    -------
    list of TopicPlan
        Survey topics first, each topic once; patterns are left out.
    """
    sources = (*settings.ztf_topics, *settings.lsst_topics, *settings.elasticc_topics)
    retention = {name: source_retention for name in sources if not name.startswith("^")}
    shadow = settings.shadow_topic if settings.ztf_shadow_model or settings.lsst_shadow_model else ""
    written = (settings.output_topic, settings.desc_topic, shadow)
    retention |= {name: output_retention for name in written if name}
    retention[settings.rejected_topic] = rejected_retention
    limit = str(settings.max_message_bytes + RECORD_OVERHEAD_BYTES)
    return [
        TopicPlan(
            name,
            rejected_partitions if name == settings.rejected_topic else partitions,
            {"retention.ms": str(round(kept / timedelta(milliseconds=1))), "max.message.bytes": limit},
        )
        for name, kept in retention.items()
    ]


def _report(
    plans: list[TopicPlan], outcomes: dict[str, Outcome], partitions: dict[str, int], console: Console
) -> None:
    others = False
    for plan in plans:
        outcome, count = outcomes[plan.name], partitions.get(plan.name, plan.partitions)
        changed = [f"{key} {old or 'unset'} -> {new}, " for key, (old, new) in outcome.changes.items()]
        kept = "" if count == plan.partitions else f", left as they are; {plan.partitions} were asked for"
        console.print(f"{outcome.action} {plan.name}: {''.join(changed)}{count} partitions{kept}")
        others = others or bool(kept)
    if others:
        console.print(OTHER_NUMBER)
