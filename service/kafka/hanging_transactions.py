"""Hanging transactions (KIP-664): records whose transaction has no end in the log.

Readers of committed records wait before the first of them.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from service.core.ports.messages import OutgoingMessage
from service.kafka.topic_ranges import RangeReader, offset_ranges

__all__ = ["has_hanging_records"]


def has_hanging_records(
    options: Mapping[str, Any], messages: Sequence[OutgoingMessage], timeout: timedelta
) -> bool:
    """Return whether any of some messages may be in the log without an end of its transaction.

    The search covers what readers of committed records do not get to see: everything from the first record
    whose transaction has no end. Records are compared by topic and value.

    Parameters
    ----------
    options
        librdkafka options, including the brokers.
    messages
        What was produced.
    timeout
        Longest wait without progress.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer, or a topic does not exist.
    """
    topics = sorted({message.topic for message in messages})
    committed = offset_ranges(options, topics, isolation="read_committed")
    ranges = {
        partition: range(committed[partition].high, extent.high)
        for partition, extent in offset_ranges(options, topics).items()
    }
    wanted = {(message.topic, message.value) for message in messages}
    with RangeReader(options, ranges, timeout, isolation="read_uncommitted") as reader:
        return any((record.topic, record.value) in wanted for record in reader)
