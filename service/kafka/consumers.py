"""Consumers outside any group, and what they can be asked about topics."""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException

from service.core.ports.messages import Partition
from service.errors import BrokerUnavailableError
from service.kafka.errors import translate, translate_configuration

__all__ = ["METADATA_TIMEOUT_S", "QUIET", "groupless_consumer", "partitions_of"]

METADATA_TIMEOUT_S = 10.0

# librdkafka requires a group; nothing is ever committed to this one.
GROUP_ID = "nightjar-tools"

# The caller reports each error in one line; librdkafka's own log lines would appear among its output.
QUIET = {"log_level": 0}


def groupless_consumer(options: Mapping[str, Any], group_id: str = GROUP_ID) -> Consumer:
    """Create a consumer that joins no group and commits nothing.

    Parameters
    ----------
    options
        librdkafka options, including the brokers: `service.kafka.options.common_options`.
    group_id
        Group whose committed offsets the consumer can query.

    Raises
    ------
    SettingsError
        librdkafka rejects the options.
    """
    try:
        return Consumer({**options, **QUIET, "group.id": group_id, "enable.auto.commit": False})
    except KafkaException as error:
        raise translate_configuration(error) from error


def partitions_of(consumer: Consumer, topic: str, address: str) -> list[Partition]:
    """Return the partitions of a topic in ascending order.

    Parameters
    ----------
    consumer
        Any consumer.
    topic
        An existing topic.
    address
        Of the brokers, for messages.

    Raises
    ------
    BrokerUnavailableError
        The broker does not answer, or the topic does not exist.
    """
    try:
        metadata = consumer.list_topics(topic, timeout=METADATA_TIMEOUT_S).topics[topic]
    except KafkaException as error:
        raise translate(error, f"reach Kafka at {address}") from error
    if metadata.error is not None or not metadata.partitions:
        raise BrokerUnavailableError(f"topic {topic} does not exist")
    return [(topic, number) for number in sorted(metadata.partitions)]
