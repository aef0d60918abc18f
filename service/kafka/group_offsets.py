"""Committed offsets of consumer groups, as tools read and write them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException, TopicPartition

from service.core.ports.messages import Partition
from service.kafka.consumers import METADATA_TIMEOUT_S, groupless_consumer
from service.kafka.errors import translate

__all__ = ["GroupOffsets", "committed_offsets", "group_offsets"]


@dataclass(frozen=True, slots=True)
class GroupOffsets:
    """Offsets to commit for a consumer group.

    Attributes
    ----------
    offsets
        Of each partition the offset of the next message.
    member
        librdkafka's metadata of the group member on whose behalf they are committed.
    """

    offsets: list[TopicPartition]
    member: Any


def group_offsets(
    options: Mapping[str, Any], group_id: str, offsets: Mapping[Partition, int]
) -> GroupOffsets:
    """Return offsets of a group without members, for `service.kafka.sink.KafkaSink.send_offsets`.

    `committed_offsets` reads them back.

    Parameters
    ----------
    options
        librdkafka options, including the brokers: `service.kafka.options.common_options`.
    group_id
        The group; it must have no members.
    offsets
        (topic, partition) to the offset of the next message.
    """
    consumer = groupless_consumer(options, group_id)
    try:
        partitions = [TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()]
        return GroupOffsets(partitions, consumer.consumer_group_metadata())
    finally:
        consumer.close()


def committed_offsets(
    options: Mapping[str, Any], group_id: str, partitions: Sequence[Partition]
) -> dict[Partition, int]:
    """Return how far a consumer group has committed.

    Parameters
    ----------
    options
        librdkafka options, including the brokers: `service.kafka.options.common_options`.
    group_id
        The group.
    partitions
        (topic, partition) of interest.

    Returns
    -------
    dict
        Offset of the next message of each partition; 0 where nothing was committed.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer.
    """
    consumer = groupless_consumer(options, group_id)
    try:
        asked = [TopicPartition(topic, number) for topic, number in partitions]
        answers = consumer.committed(asked, timeout=METADATA_TIMEOUT_S)
        return {(answer.topic, answer.partition): max(answer.offset, 0) for answer in answers}
    except KafkaException as error:
        raise translate(error, f"read the committed offsets of group {group_id}") from error
    finally:
        consumer.close()
