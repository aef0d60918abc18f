"""Topics as they should be: made where they are missing, their settings brought in line where not."""

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

from service.errors import BrokerUnavailableError, FatalError
from service.kafka.errors import translate_configuration
from service.kafka.watchdog import close_in_background

__all__ = ["BROKERS_DEFAULT", "Outcome", "TopicAction", "TopicAdmin", "TopicPlan"]

BROKERS_DEFAULT = -1
"""Stands for the broker's own number of copies of each partition."""

REQUEST_TIMEOUT_S = 30.0
METADATA_TIMEOUT_S = 5.0
# A broker that is there has answered by then; whoever waits is told that one is not.
SOON_S = 1.0
PAUSE_S = 0.5
PROPAGATION_PAUSE_S = 0.05

Result = TypeVar("Result")


class TopicAction(StrEnum):
    """What was done about a topic."""

    MADE = "made"
    CHANGED = "changed"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done about a topic.

    Attributes
    ----------
    done
        In one word.
    changes
        Of each setting that was changed the value before, None for none, and after.
    """

    done: TopicAction
    changes: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """One topic as it should be.

    Attributes
    ----------
    name
        Its name.
    partitions
        How many it gets when it is made; a topic that exists keeps its own, because more of them would
        send an object's records to another partition than before.
    config
        Topic settings in Kafka's own names, such as ``retention.ms``.
    """

    name: str
    partitions: int
    config: Mapping[str, str]


class TopicAdmin:
    """Makes and changes topics; every call may be repeated.

    Parameters
    ----------
    options
        librdkafka options, the brokers among them: `service.kafka.options.common_options`.

    Raises
    ------
    SettingsError
        librdkafka refuses its options.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._address = str(options["bootstrap.servers"])
        # Each error is reported by whoever called; librdkafka's own lines would stand between.
        self._options = {**options, "log_level": 0}
        self._admin = self._client()

    def _client(self) -> AdminClient:
        try:
            return AdminClient(self._options)
        except KafkaException as error:
            raise translate_configuration(error) from error

    def wait(self, patience: timedelta, on_silence: Callable[[], None]) -> None:
        """Wait until the broker answers.

        Parameters
        ----------
        patience
            How long at most.
        on_silence
            Called once where it does not answer soon.

        Raises
        ------
        BrokerUnavailableError
            It did not within `patience`.
        """
        deadline = time.monotonic() + patience.total_seconds()
        timeout_s = SOON_S
        while True:
            try:
                self._topics(timeout_s)
                return
            except BrokerUnavailableError:
                if time.monotonic() > deadline:
                    raise
            if timeout_s == SOON_S:
                on_silence()
            timeout_s = METADATA_TIMEOUT_S
            time.sleep(PAUSE_S)

    def partitions(self) -> dict[str, int]:
        """Give the number of partitions of every topic there is.

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
        """Make the topics that are missing and change the settings that differ.

        It returns when the brokers name those that were made: they hear of them from their controller, a
        moment after it has answered.

        Parameters
        ----------
        plans
            The topics, each once.
        replication
            Copies of each partition of a topic that is made.

        Returns
        -------
        dict
            What was done, by name.

        Raises
        ------
        BrokerUnavailableError
            The broker does not answer, or does not name what was made.
        FatalError
            The broker refuses: no right to, fewer brokers than copies, a value it does not take.
        """
        made = self._make(plans, replication)
        self._await_leaders(made)
        changed = self._change([plan for plan in plans if plan.config and plan.name not in made])
        outcomes = {plan.name: Outcome(TopicAction.KEPT) for plan in plans}
        outcomes |= {name: Outcome(TopicAction.CHANGED, changes) for name, changes in changed.items()}
        return outcomes | {name: Outcome(TopicAction.MADE) for name in made}

    def _make(self, plans: Sequence[TopicPlan], replication: int) -> set[str]:
        new = [NewTopic(plan.name, plan.partitions, replication, config=dict(plan.config)) for plan in plans]
        made = set()
        for name, future in self._admin.create_topics(new, request_timeout=REQUEST_TIMEOUT_S).items():
            try:
                self._result(future, f"make topic {name}")
                made.add(name)
            except _ExistsError:
                continue
        return made

    def _await_leaders(self, names: set[str]) -> None:
        deadline = time.monotonic() + REQUEST_TIMEOUT_S
        while missing := names - {name for name, topic in self._topics().items() if _is_led(topic)}:
            if time.monotonic() > deadline:
                raise BrokerUnavailableError(
                    f"made {', '.join(sorted(missing))}, but for {REQUEST_TIMEOUT_S:.0f} s the broker at "
                    f"{self._address} has named no leader for it"
                )
            time.sleep(PROPAGATION_PAUSE_S)

    def _change(self, plans: Sequence[TopicPlan]) -> dict[str, dict[str, tuple[str | None, str]]]:
        current = self._configs([plan.name for plan in plans])
        changes = {
            plan.name: different
            for plan in plans
            if (different := _differences(current[plan.name], plan.config))
        }
        if changes:
            resources = [
                _change_of(name, {key: new for key, (_, new) in different.items()})
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
                raise _ExistsError from None
            if reason.retriable() or reason.code() in {KafkaError._TIMED_OUT, KafkaError._TRANSPORT}:
                raise self._unavailable(error) from error
            raise FatalError(f"Kafka refuses to {what}: {reason.str()}") from error

    def _unavailable(self, error: KafkaException) -> BrokerUnavailableError:
        # It may be this client that has lost its way: the next call is a new one's.
        left_behind, self._admin = [self._admin], self._client()
        close_in_background(left_behind)
        return BrokerUnavailableError(f"no answer from Kafka at {self._address}: {error.args[0].str()}")


class _ExistsError(Exception):
    """The topic to be made is there already."""


def _is_led(topic: TopicMetadata) -> bool:
    return bool(topic.partitions) and all(part.leader >= 0 for part in topic.partitions.values())


def _differences(
    current: Mapping[str, str | None], wanted: Mapping[str, str]
) -> dict[str, tuple[str | None, str]]:
    return {key: (current.get(key), value) for key, value in wanted.items() if current.get(key) != value}


def _change_of(name: str, values: Mapping[str, str]) -> ConfigResource:
    entries = [
        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in values.items()
    ]
    return ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
