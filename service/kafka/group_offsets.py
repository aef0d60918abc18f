"""Progress of a consumer group without members, kept by a tool."""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import TopicPartition

from service.kafka.source import Positions
from service.kafka.topic_writer import groupless_consumer

__all__ = ["group_positions"]


def group_positions(
    options: Mapping[str, Any], group_id: str, positions: Mapping[tuple[str, int], int]
) -> Positions:
    """Say where a group will stand, for `service.kafka.sink.KafkaSink.send_offsets`.

    `service.kafka.topic_writer.committed_positions` reads it back.

    Parameters
    ----------
    options
        librdkafka options, the brokers among them: `service.kafka.options.common_options`.
    group_id
        The group; nobody may have joined it.
    positions
        (topic, partition) to the offset of the next message.
    """
    consumer = groupless_consumer(options, group_id)
    try:
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in positions.items()]
        return Positions(offsets, consumer.consumer_group_metadata())
    finally:
        consumer.close()
