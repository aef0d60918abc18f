"""Where topics begin and end, on every broker."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.core.ports.messages import Partition
from service.kafka.topic_ranges import OffsetRange, cluster_id, log_ends, offset_ranges

__all__ = ["is_embedded", "true_extents"]

EMBEDDED_CLUSTER_ID = "tansu_cluster"
"""Cluster id of the demo's embedded broker."""


def is_embedded(options: Mapping[str, Any]) -> bool:
    """Return whether the broker is the embedded one, which shows records of aborted transactions.

    Parameters
    ----------
    options
        librdkafka options, including the brokers: `service.kafka.options.common_options`.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer.
    """
    return cluster_id(options) == EMBEDDED_CLUSTER_ID


def true_extents(options: Mapping[str, Any], topics: Sequence[str]) -> dict[Partition, OffsetRange]:
    """Return where the partitions of some topics begin and end, open transactions included.

    The embedded broker reports the beginning of the last batch instead of the end: it is read there.

    Parameters
    ----------
    options
        As for `is_embedded`.
    topics
        Existing topics.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer, or a topic does not exist.
    """
    extents = offset_ranges(options, topics)
    if not is_embedded(options):
        return extents
    ends = log_ends(options, {part: max(extent.high - 1, extent.low) for part, extent in extents.items()})
    return {part: OffsetRange(extent.low, ends[part]) for part, extent in extents.items()}
