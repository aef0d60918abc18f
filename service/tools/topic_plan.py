"""Which topics the service needs, and what was done about them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from service.kafka.topic_admin import Outcome, TopicPlan
from service.settings import Settings

__all__ = ["TopicLayout", "outcome_lines", "plan_topics"]

# A record is longer in transit than the message in it: batch header, key, headers, and compression that
# enlarges incompressible bytes. A dead letter holds a message of the greatest length and also its cause.
RECORD_OVERHEAD_BYTES = 2**20

PARTITIONS_KEPT = (
    "The number of partitions of an existing topic is not changed: with more of them an object's records "
    "would move to another partition, and Kafka cannot remove any."
)


@dataclass(frozen=True, slots=True)
class TopicLayout:
    """What the operator chooses.

    Attributes
    ----------
    partitions, rejected_partitions
        Partitions of the survey and output topics, and of the dead letters.
    source_retention, output_retention, rejected_retention
        How long their records are kept.
    """

    partitions: int
    rejected_partitions: int
    source_retention: timedelta
    output_retention: timedelta
    rejected_retention: timedelta


def plan_topics(settings: Settings, layout: TopicLayout) -> list[TopicPlan]:
    """Plan the topics that the settings name.

    Parameters
    ----------
    settings
        Name the topics and the largest message.
    layout
        Partitions and retention.

    Returns
    -------
    list of TopicPlan
        Survey topics first, each topic once; patterns are left out.
    """
    sources = (*settings.ztf_topics, *settings.lsst_topics, *settings.elasticc_topics)
    retention = {name: layout.source_retention for name in sources if not name.startswith("^")}
    shadow = settings.shadow_topic if settings.ztf_shadow_model or settings.lsst_shadow_model else ""
    written = (settings.output_topic, settings.desc_topic, shadow)
    retention |= {name: layout.output_retention for name in written if name}
    retention[settings.rejected_topic] = layout.rejected_retention
    max_bytes = str(settings.max_message_bytes + RECORD_OVERHEAD_BYTES)
    return [
        TopicPlan(
            name,
            layout.rejected_partitions if name == settings.rejected_topic else layout.partitions,
            {"retention.ms": str(round(kept / timedelta(milliseconds=1))), "max.message.bytes": max_bytes},
        )
        for name, kept in retention.items()
    ]


def outcome_lines(
    plans: Sequence[TopicPlan], outcomes: Mapping[str, Outcome], partitions: Mapping[str, int]
) -> Iterator[str]:
    """Yield one line per topic on what was done about it, and a note where partitions differ.

    Parameters
    ----------
    plans
        What was planned.
    outcomes
        What was done, by topic.
    partitions
        Number of partitions of every existing topic.
    """
    any_differs = False
    for plan in plans:
        outcome, count = outcomes[plan.name], partitions.get(plan.name, plan.partitions)
        changed = [f"{key} {old or 'unset'} -> {new}, " for key, (old, new) in outcome.changes.items()]
        differs = count != plan.partitions
        note = f", kept; {plan.partitions} requested" if differs else ""
        yield f"{outcome.action} {plan.name}: {''.join(changed)}{count} partitions{note}"
        any_differs = any_differs or differs
    if any_differs:
        yield PARTITIONS_KEPT
