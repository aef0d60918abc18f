"""Records whose transaction has no end in the log: readers of what is committed wait before them."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from service.core.ports.messages import OutgoingMessage
from service.kafka.topic_ranges import RangeReader, offset_ranges

__all__ = ["has_hanging_records"]


def has_hanging_records(
    options: Mapping[str, Any], messages: Sequence[OutgoingMessage], patience: timedelta
) -> bool:
    """Tell whether any of some messages may be in the log without an end of its transaction.

    Of the messages, bytes and all, what a reader of committed records does not get to see is searched:
    all that stands behind the first record whose transaction has no end.

    Parameters
    ----------
    options
        librdkafka options, the brokers among them.
    messages
        What was produced.
    patience
        Longest wait in which nothing comes.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer, or a topic does not exist.
    """
    topics = sorted({message.topic for message in messages})
    shown = offset_ranges(options, topics, isolation="read_committed")
    ranges = {
        place: range(shown[place].high, end.high) for place, end in offset_ranges(options, topics).items()
    }
    wanted = {(message.topic, message.value) for message in messages}
    with RangeReader(options, ranges, patience, isolation="read_uncommitted") as reader:
        return any((record.topic, record.value) in wanted for record in reader)
