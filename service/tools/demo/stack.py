"""The whole service on this machine: broker, Redis, workers and API as child processes."""

import http.client
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from service.core.alerts import Survey
from service.embedded.broker import ApacheKafka, Broker, EmbeddedBroker, create_topics, find_kafka
from service.embedded.processes import LOOPBACK, ChildProcess, free_port, is_free
from service.embedded.redis import EmbeddedRedis
from service.errors import InputError

__all__ = ["Stack", "StackNames", "choose_broker"]

PARTITIONS = 4
API_START_TIMEOUT = timedelta(seconds=90)
STOP_TIMEOUT = timedelta(seconds=20)
DEFAULT_API_PORT = 8000


@dataclass(frozen=True, slots=True)
class StackNames:
    """Topics and consumer group of one run.

    Attributes
    ----------
    suffix
        Appended to every name: unique to the run on a broker that others use as well.
    """

    suffix: str = ""

    def survey_topic(self, survey: Survey) -> str:
        """Return the topic of a survey's alerts.

        Parameters
        ----------
        survey
            The survey.
        """
        return f"demo.{survey.value}{self.suffix}"

    @property
    def output_topic(self) -> str:
        """Topic of the classifications."""
        return f"nightjar.classifications{self.suffix}"

    @property
    def rejected_topic(self) -> str:
        """Topic of the dead letters."""
        return f"nightjar.rejected{self.suffix}"

    @property
    def group_id(self) -> str:
        """The workers' consumer group."""
        return f"nightjar-demo{self.suffix}"


@dataclass(slots=True)
class Stack:
    """A running service, as a context manager that leaves nothing behind.

    Parameters
    ----------
    broker
        A broker to start and stop, or the ``host:port`` of one that is running.
    surveys
        Surveys whose alerts will be sent.
    n_workers
        Number of worker processes.
    api_port
        Port of the API; 0 for any free one; None for 8000 if it is free, else any.
    names
        Topics and consumer group.
    report
        Called with a few words on what is being done.
    options
        Further librdkafka options for a broker that is running.
    """

    broker: Broker | str
    surveys: tuple[Survey, ...]
    n_workers: int
    api_port: int | None
    names: StackNames
    report: Callable[[str], None]
    options: Mapping[str, Any] = field(default_factory=dict)
    redis: EmbeddedRedis = field(default_factory=EmbeddedRedis)
    children: list[ChildProcess] = field(default_factory=list)
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="nightjar-demo-")))
    _cleanup: ExitStack = field(default_factory=ExitStack)

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` of the broker."""
        return self.broker if isinstance(self.broker, str) else self.broker.bootstrap_servers

    @property
    def kafka_options(self) -> dict[str, Any]:
        """Options of librdkafka for a client of this broker."""
        return {**self.options, "bootstrap.servers": self.bootstrap_servers}

    @property
    def api_url(self) -> str:
        """URL of the API."""
        return f"http://{LOOPBACK}:{self.api_port}"

    def __enter__(self) -> Self:
        """Start everything; the API and the workers may still be warming up.

        Raises
        ------
        FatalError
            A part could not be started; the message says which and why.
        """
        try:
            self._start()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop everything: workers and API first, then what they depend on."""
        self.report("stopping")
        self._cleanup.close()

    def _start(self) -> None:
        self._cleanup.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.api_port = _choose_port(self.api_port)
        if not isinstance(self.broker, str):
            self.report("starting the broker")
            self._cleanup.enter_context(self.broker)
        self.report("starting Redis")
        self._cleanup.enter_context(self.redis)
        self._create_topics()
        self._cleanup.callback(self._stop_children)
        for number in range(1, self.n_workers + 1):
            self._start_child("worker", f"worker {number}", {"NIGHTJAR_WORKER_ID": f"demo-{number}"})
        self._start_child("api", "API", {})

    def _create_topics(self) -> None:
        topics = [*map(self.names.survey_topic, self.surveys), self.names.output_topic]
        partitions = dict.fromkeys(topics, PARTITIONS) | {self.names.rejected_topic: 1}
        create_topics(self.bootstrap_servers, partitions, self.options)

    def _start_child(self, subcommand: str, name: str, further: Mapping[str, str]) -> None:
        self.report(f"starting {name}")
        log = self.directory / f"{name.replace(' ', '-').lower()}.log"
        command = [sys.executable, "-m", "service", subcommand]
        child = ChildProcess(name, command, log, {**self.environment(), **further})
        child.start()
        self.children.append(child)

    def environment(self) -> dict[str, str]:
        """Return the settings by which workers and API find each other; all others are the user's."""
        topics = {
            f"NIGHTJAR_{survey.upper()}_TOPICS": self.names.survey_topic(survey)
            if survey in self.surveys
            else ""
            for survey in Survey
        }
        # The user's security options are for the user's broker only.
        security = {} if isinstance(self.broker, str) else {"NIGHTJAR_KAFKA_OPTIONS": ""}
        return {
            **topics,
            **security,
            "NIGHTJAR_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "NIGHTJAR_REDIS_URL": self.redis.url,
            "NIGHTJAR_REDIS_PASSWORD": "",
            "NIGHTJAR_GROUP_ID": self.names.group_id,
            "NIGHTJAR_OUTPUT_TOPIC": self.names.output_topic,
            "NIGHTJAR_REJECTED_TOPIC": self.names.rejected_topic,
            "NIGHTJAR_AUTO_OFFSET_RESET": "earliest",
            # Workers learn of a rebalance with their next heartbeat, after a sixth of this.
            "NIGHTJAR_SESSION_TIMEOUT": "6",
            "NIGHTJAR_API_HOST": LOOPBACK,
            "NIGHTJAR_API_PORT": str(self.api_port),
            "NIGHTJAR_PUBLIC_BROKERS": self.bootstrap_servers,
            "NIGHTJAR_METRICS_PORT": "0",
        }

    def check(self) -> None:
        """Check that every part is still running.

        Raises
        ------
        FatalError
            A part ended; the message includes the end of its log.
        """
        for child in self._all_children():
            if not child.running:
                raise child.failure(f"ended with exit code {child.exit_code}")

    def _all_children(self) -> list[ChildProcess]:
        broker = [] if isinstance(self.broker, str) else [self.broker.child]
        return [*broker, self.redis.child, *self.children]

    def wait_for_api(self) -> None:
        """Wait until the API answers.

        Raises
        ------
        FatalError
            The API ended, or does not answer in time.
        """
        api = self.children[-1]
        deadline = time.monotonic() + API_START_TIMEOUT.total_seconds()
        while not self.api_answers():
            self.check()
            if time.monotonic() > deadline:
                raise api.failure(f"did not answer within {API_START_TIMEOUT.total_seconds():g} s")
            time.sleep(0.1)

    def api_answers(self) -> bool:
        """Return whether the API answers at all."""
        connection = http.client.HTTPConnection(LOOPBACK, self.api_port, timeout=2.0)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _stop_children(self) -> None:
        # Signal all of them before waiting for any, so that they stop in parallel.
        for child in self.children:
            child.terminate()
        for child in self.children:
            child.wait(STOP_TIMEOUT)


def choose_broker(choice: str, kafka_home: Path) -> Broker | str:
    """Return the broker that the user asked for.

    Parameters
    ----------
    choice
        ``embedded``, ``kafka`` for Apache Kafka, or the ``host:port`` of a running broker.
    kafka_home
        Directory of an unpacked Apache Kafka.

    Raises
    ------
    InputError
        The choice is none of these, or Apache Kafka cannot be started from `kafka_home`.
    """
    if choice == "embedded":
        return EmbeddedBroker()
    if choice == "kafka":
        return ApacheKafka(find_kafka(kafka_home))
    host, _, port = choice.rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"--broker must be embedded, kafka or HOST:PORT, not {choice}")
    return choice


def _choose_port(requested: int | None) -> int:
    """Return the API's port.

    Raises
    ------
    InputError
        The requested one is taken.
    """
    if requested is None:
        return DEFAULT_API_PORT if is_free(DEFAULT_API_PORT) else free_port()
    if requested == 0:
        return free_port()
    if not is_free(requested):
        raise InputError(f"port {requested} is taken: choose another with --port, 0 for any free one")
    return requested
