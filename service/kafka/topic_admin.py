"""Topics as they should be: created if missing, their settings updated if they differ."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its own type hints hide them
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    TopicMetadata,
)
from confluent_kafka.cimpl import NewTopic

from service.backoff import Backoff
from service.errors import BrokerUnavailableError, FatalError
from service.kafka.consumers import QUIET
from service.kafka.errors import translate_configuration
from service.kafka.watchdog import close_in_background

__all__ = ["BROKERS_DEFAULT", "Outcome", "TopicAction", "TopicAdmin", "TopicPlan"]

BROKERS_DEFAULT = -1
"""Use the broker's default replication factor."""

REQUEST_TIMEOUT_S = 30.0
METADATA_TIMEOUT_S = 5.0
# An available broker answers within this time; after it the user is told that we wait.
FIRST_TIMEOUT_S = 1.0
# A broker that is starting, and one whose controller has created a topic a moment ago.
START_DELAYS = timedelta(milliseconds=500), timedelta(seconds=2)
PROPAGATION_DELAYS = timedelta(milliseconds=50), timedelta(milliseconds=500)

Result = TypeVar("Result")


class TopicAction(StrEnum):
    """What was done about a topic."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done about a topic.

    Attributes
    ----------
    action
        Whether it was created, changed or left unchanged.
    changes
        Setting to its values before (None if it was unset) and after, for each that was changed.
    """

    action: TopicAction
    changes: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """One topic as it should be.

    Attributes
    ----------
    name
        Its name.
    partitions
        Number of partitions if it is created; an existing topic keeps its own, because with more of them
        an object's records would go to another partition than before.
    config
        Topic settings in Kafka's own names, such as ``retention.ms``.
    """

    name: str
    partitions: int
    config: Mapping[str, str]


class TopicAdmin:
    """Creates and changes topics; every call may be repeated.

    Parameters
    ----------
    options
        librdkafka options, including the brokers: `service.kafka.options.common_options`.

    Raises
    ------
    SettingsError
        librdkafka rejects the options.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._address = str(options["bootstrap.servers"])
        self._options = {**options, **QUIET}
        self._admin = self._new_client()

    def _new_client(self) -> AdminClient:
        try:
            return AdminClient(self._options)
        except KafkaException as error:
            raise translate_configuration(error) from error

    def wait(self, timeout: timedelta, on_silence: Callable[[], None]) -> None:
        """Wait until the broker answers.

        Parameters
        ----------
        timeout
            Longest wait.
        on_silence
            Called once if it does not answer at the first attempt.

        Raises
        ------
        BrokerUnavailableError
            It did not answer in time.
        """
        deadline = time.monotonic() + timeout.total_seconds()
        backoff = Backoff(*START_DELAYS)
        while True:
            try:
                self._topics(METADATA_TIMEOUT_S if backoff.failures else FIRST_TIMEOUT_S)
                return
            except BrokerUnavailableError:
                if time.monotonic() > deadline:
                    raise
            if not backoff.failures:
                on_silence()
            time.sleep(backoff.next_s())

    def partitions(self) -> dict[str, int]:
        """Return the number of partitions of every existing topic.

        Raises
        ------
        BrokerUnavailableError
            The broker does not answer.
        """
        return {name: len(topic.partitions) for name, topic in self._topics().items()}

    def _topics(self, timeout_s: float = METADATA_TIMEOUT_S) -> dict[str, TopicMetadata]:
        try:
            return self._admin.list_topics(timeout=timeout_s).topics
        except KafkaException as error:
            raise self._unavailable(error) from error

    def ensure(self, plans: Sequence[TopicPlan], *, replication: int) -> dict[str, Outcome]:
        """Create the topics that are missing and change the settings that differ.

        It returns when the brokers know the new topics and their leaders: the controller informs them a
        moment after it has answered.

        Parameters
        ----------
        plans
            The topics, each once.
        replication
            Replication factor of new topics.

        Returns
        -------
        dict
            What was done, by name.

        Raises
        ------
        BrokerUnavailableError
            The broker does not answer, or a new topic has no leader in time.
        FatalError
            The broker refuses: no permission, fewer brokers than replicas, an invalid value.
        """
        created = self._create(plans, replication)
        self._await_leaders(created)
        changed = self._change([plan for plan in plans if plan.config and plan.name not in created])
        outcomes = {plan.name: Outcome(TopicAction.UNCHANGED) for plan in plans}
        outcomes |= {name: Outcome(TopicAction.CHANGED, changes) for name, changes in changed.items()}
        return outcomes | {name: Outcome(TopicAction.CREATED) for name in created}

    def _create(self, plans: Sequence[TopicPlan], replication: int) -> set[str]:
        new = [NewTopic(plan.name, plan.partitions, replication, config=dict(plan.config)) for plan in plans]
        created = set()
        for name, future in self._admin.create_topics(new, request_timeout=REQUEST_TIMEOUT_S).items():
            try:
                self._result(future, f"create topic {name}")
                created.add(name)
            except _TopicExistsError:
                continue
        return created

    def _await_leaders(self, names: set[str]) -> None:
        deadline = time.monotonic() + REQUEST_TIMEOUT_S
        backoff = Backoff(*PROPAGATION_DELAYS)
        while missing := names - {name for name, topic in self._topics().items() if _has_leaders(topic)}:
            if time.monotonic() > deadline:
                raise BrokerUnavailableError(
                    f"created {', '.join(sorted(missing))}, but after {REQUEST_TIMEOUT_S:.0f} s the broker "
                    f"at {self._address} still reports no leader"
                )
            time.sleep(backoff.next_s())

    def _change(self, plans: Sequence[TopicPlan]) -> dict[str, dict[str, tuple[str | None, str]]]:
        current = self._configs([plan.name for plan in plans])
        changes = {
            plan.name: different
            for plan in plans
            if (different := _differences(current[plan.name], plan.config))
        }
        if changes:
            resources = [
                _alteration(name, {key: new for key, (_, new) in different.items()})
                for name, different in changes.items()
            ]
            for resource, future in self._admin.incremental_alter_configs(resources).items():
                self._result(future, f"change topic {resource.name}")
        return changes

    def _configs(self, names: Sequence[str]) -> dict[str, dict[str, str | None]]:
        if not names:
            return {}
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        return {
            resource.name: {
                key: entry.value for key, entry in self._result(future, f"read topic {resource.name}").items()
            }
            for resource, future in self._admin.describe_configs(resources).items()
        }

    def _result(self, future: "Future[Result]", what: str) -> Result:
        try:
            return future.result(REQUEST_TIMEOUT_S)
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if reason.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                raise _TopicExistsError from None
            if reason.retriable() or reason.code() in {KafkaError._TIMED_OUT, KafkaError._TRANSPORT}:
                raise self._unavailable(error) from error
            raise FatalError(f"Kafka refuses to {what}: {reason.str()}") from error

    def _unavailable(self, error: KafkaException) -> BrokerUnavailableError:
        # This client may be stuck: the next call uses a new one.
        stuck, self._admin = [self._admin], self._new_client()
        close_in_background(stuck)
        return BrokerUnavailableError(f"no answer from Kafka at {self._address}: {error.args[0].str()}")


class _TopicExistsError(Exception):
    """The topic to be created already exists."""


def _has_leaders(topic: TopicMetadata) -> bool:
    return bool(topic.partitions) and all(part.leader >= 0 for part in topic.partitions.values())


def _differences(
    current: Mapping[str, str | None], wanted: Mapping[str, str]
) -> dict[str, tuple[str | None, str]]:
    return {key: (current.get(key), value) for key, value in wanted.items() if current.get(key) != value}


def _alteration(name: str, values: Mapping[str, str]) -> ConfigResource:
    entries = [
        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in values.items()
    ]
    return ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
