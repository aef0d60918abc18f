"""Kafka clients for the command-line tools."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from service.backoff import Backoff
from service.core.ports.messages import MessagePosition, Partition
from service.errors import TransientError
from service.kafka.group_offsets import GroupOffsets, committed_offsets, group_offsets
from service.kafka.options import common_options, librdkafka_logger, producer_options
from service.kafka.sink import KafkaSink
from service.kafka.topic_admin import BROKERS_DEFAULT, TopicAdmin, TopicPlan
from service.kafka.topic_ranges import Isolation, RangeReader
from service.kafka.topic_reader import TopicReader
from service.kafka.topic_writer import TopicWriter
from service.settings import Settings

__all__ = ["KafkaClients", "connected_sink", "fail_fast", "kafka_clients"]

SINK_TIMEOUT = timedelta(minutes=1)
INITIAL_DELAY = timedelta(milliseconds=200)
MAXIMUM_DELAY = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class KafkaClients:
    """Makes the Kafka clients of a tool.

    Parameters
    ----------
    options
        librdkafka options of all of them, ``bootstrap.servers`` included.
    """

    options: Mapping[str, Any]

    def topic_admin(self) -> TopicAdmin:
        """Make a client that creates and changes topics.

        Raises
        ------
        SettingsError
            librdkafka refuses the options.
        """
        return TopicAdmin(self.options)

    def topic_writer(
        self, on_delivered: Callable[[int, MessagePosition], None] = lambda _tag, _position: None
    ) -> TopicWriter:
        """Make a producer that sends messages unchanged.

        Parameters
        ----------
        on_delivered
            Called with each message's tag and position.

        Raises
        ------
        SettingsError
            librdkafka refuses the options.
        """
        return TopicWriter(self.options, on_delivered)

    def topic_reader(self, topics: Sequence[str], *, from_beginning: bool = False) -> TopicReader:
        """Make a consumer that follows topics without joining a group.

        Parameters
        ----------
        topics
            Existing topics.
        from_beginning
            Start with the oldest record instead of the next one to arrive.

        Raises
        ------
        BrokerUnavailableError
            The broker does not answer, or a topic does not exist.
        """
        return TopicReader(self.options, topics, from_beginning=from_beginning)

    def range_reader(
        self,
        ranges: Mapping[Partition, range],
        timeout: timedelta,
        *,
        isolation: Isolation = "read_committed",
    ) -> RangeReader:
        """Make a consumer that reads ranges of offsets once.

        Parameters
        ----------
        ranges
            Offsets to read of each partition.
        timeout
            Longest wait in which no record arrives.
        isolation
            Which records it returns.
        """
        return RangeReader(self.options, ranges, timeout, isolation=isolation)

    def ensure_topic(self, topic: str, partitions: int) -> bool:
        """Create a topic unless it exists, with the broker's default replication.

        Parameters
        ----------
        topic
            Its name.
        partitions
            Number of partitions of a topic that is created.

        Returns
        -------
        bool
            Whether it was created.

        Raises
        ------
        BrokerUnavailableError
            The broker does not answer.
        FatalError
            The broker refuses to create it.
        """
        admin = self.topic_admin()
        if topic in admin.partitions():
            return False
        admin.ensure([TopicPlan(topic, partitions, {})], replication=BROKERS_DEFAULT)
        return True

    def committed_offsets(self, group_id: str, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """Return the offset of the next message of each partition for a group; 0 where it committed none.

        Parameters
        ----------
        group_id
            The consumer group.
        partitions
            (topic, partition) of interest.

        Raises
        ------
        BrokerUnavailableError
            The broker does not answer.
        """
        return committed_offsets(self.options, group_id, partitions)

    def group_offsets(self, group_id: str, positions: Mapping[Partition, int]) -> GroupOffsets:
        """Return positions of a group without members, for `KafkaSink.send_offsets`.

        Parameters
        ----------
        group_id
            The consumer group.
        positions
            Offset of the next message by (topic, partition).
        """
        return group_offsets(self.options, group_id, positions)


def kafka_clients(settings: Settings, brokers: str = "") -> KafkaClients:
    """Make the factory of a tool's Kafka clients.

    Parameters
    ----------
    settings
        Always the source of the security options.
    brokers
        ``host:port``, comma-separated, instead of those of the settings; empty for those.

    Raises
    ------
    SettingsError
        The Kafka options cannot be used.
    """
    return KafkaClients(
        common_options(settings.model_copy(update={"bootstrap_servers": brokers}) if brokers else settings)
    )


def connected_sink(settings: Settings, clients: KafkaClients, name: str) -> KafkaSink:
    """Make a transactional producer whose name only one tool at a time can hold.

    An earlier holder is fenced and its open transaction aborted.

    Parameters
    ----------
    settings
        Settings of the service.
    clients
        Whose brokers to connect to.
    name
        Name of the tool within the service's group.

    Raises
    ------
    TransientError
        The broker does not answer.
    """
    named = settings.model_copy(update={"worker_id": name})
    options = producer_options(named) | {"bootstrap.servers": clients.options["bootstrap.servers"]}
    sink = KafkaSink(options, SINK_TIMEOUT, librdkafka_logger(named))
    backoff = Backoff(INITIAL_DELAY, MAXIMUM_DELAY)
    deadline = time.monotonic() + SINK_TIMEOUT.total_seconds()
    while True:
        try:
            sink.connect()
        except TransientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(backoff.next_s())
        else:
            return sink


def fail_fast(error: TransientError) -> None:
    """Raise the error instead of waiting: a tool can simply be run again.

    Parameters
    ----------
    error
        Why there is no answer yet.

    Raises
    ------
    TransientError
        Always.
    """
    raise error
