"""Progress of a consumer group without members, kept by a tool."""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import TopicPartition

from service.adapters.kafka import Progress
from service.adapters.topics import groupless_consumer

__all__ = ["progress_of"]


def progress_of(
    options: Mapping[str, Any], group_id: str, positions: Mapping[tuple[str, int], int]
) -> Progress:
    """Say where a group will stand, for `service.adapters.kafka_sink.KafkaSink.send_offsets`.

    `service.adapters.topics.committed_positions` reads it back.

    Parameters
    ----------
    options
        librdkafka options, the brokers among them: `service.adapters.kafka_options.common_options`.
    group_id
        The group; nobody may have joined it.
    positions
        (topic, partition) to the offset of the next message.
    """
    consumer = groupless_consumer(options, group_id)
    try:
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in positions.items()]
        return Progress(offsets, consumer.consumer_group_metadata())
    finally:
        consumer.close()
