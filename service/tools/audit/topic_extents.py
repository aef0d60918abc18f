"""Where topics begin and end, on every broker."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.core.ports.messages import Partition
from service.embedded.transaction_log import EMBEDDED_CLUSTER_ID, TransactionLog
from service.kafka.topic_ranges import OffsetRange, cluster_id, offset_ranges

__all__ = ["is_embedded", "true_extents"]


def is_embedded(options: Mapping[str, Any]) -> bool:
    """Tell whether the broker is the embedded one.

    Raises
    ------
    BrokerUnavailableError
        It does not answer.
    """
    return cluster_id(options) == EMBEDDED_CLUSTER_ID


def true_extents(options: Mapping[str, Any], topics: Sequence[str]) -> dict[Partition, OffsetRange]:
    """Ask where the partitions of some topics begin and end.

    The embedded broker says of an end where the last batch begins; its log tells the truth.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer, or a topic does not exist.
    """
    found = offset_ranges(options, topics)
    if not is_embedded(options):
        return found
    with TransactionLog(options["bootstrap.servers"]) as log:
        return {place: OffsetRange(one.low, log.end(*place, one.low)) for place, one in found.items()}
