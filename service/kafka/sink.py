"""Kafka as a sink that commits results together with the offsets they came from, exactly once.

A transaction that the broker does not finish in time is not mended but left behind: `KafkaSink.reset` makes
a new producer under the same name, and by taking up the name the broker ends whatever the old one had open,
one way or the other; the group's committed offsets then tell which. Nothing else is as sure. librdkafka
2.16 lets an abort turn into a fatal error where the broker had not yet seen the transaction, and
``send_offsets_to_transaction`` can hang for ever after a broker's restart (its issues 5456 and 5511).
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from logging import Logger
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, cast

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from service.core.ports.messages import OnWait, OutgoingMessage
from service.errors import BrokerUnavailableError, FatalError
from service.kafka.errors import describe, may_be_retried, translate, translate_configuration
from service.kafka.hanging_transactions import has_hanging_records
from service.kafka.options import reading_options
from service.kafka.source import Positions
from service.kafka.watchdog import ANSWER_TIMEOUT, StuckClientWatchdog, close_in_background

__all__ = ["KafkaSink"]

log = structlog.get_logger(__name__)

SEARCH_TIMEOUT = timedelta(seconds=10)


class KafkaSink:
    """Produce messages and commit them together with the source's offsets.

    Parameters
    ----------
    options
        librdkafka's options.
    patience
        How long a transaction may wait for the broker before it is given up.
    logger
        Takes librdkafka's own messages.

    Raises
    ------
    SettingsError
        librdkafka refuses its options.
    """

    def __init__(self, options: Mapping[str, Any], patience: timedelta, logger: Logger) -> None:
        self._options = dict(options)
        self._timeout_s = patience.total_seconds()
        self._logger = logger
        self._is_connected = self._is_open = False
        self._produced: list[OutgoingMessage] = []  # in the transaction that is open or was left behind
        self._refused: FatalError | None = None
        self._watchdog = StuckClientWatchdog(self._new_producer)
        self._producer = self._new_producer()

    def connect(self) -> None:
        """Take up our name: end what an earlier holder left open and shut it out.

        Raises
        ------
        BrokerUnavailableError
            Not answered yet; call again.
        """
        try:
            self._call(
                self._producer.init_transactions, ANSWER_TIMEOUT.total_seconds(), doing="start transactions"
            )
        except BrokerUnavailableError:
            successor = self._watchdog.replacement()
            if successor is not None:
                self._replace_producer(successor)
            raise
        self._watchdog.record_answer()
        self._is_connected = True

    def begin(self) -> None:
        """Begin a transaction."""
        self._refused = None
        self._is_open = True
        self._call(self._producer.begin_transaction, doing="begin a transaction")

    def produce(self, messages: Iterable[OutgoingMessage]) -> None:
        """Put messages into the transaction."""
        for message in messages:
            self._produced.append(message)
            self._call(self._produce, message, doing=f"produce to {message.topic}")
        self._producer.poll(0)

    def send_offsets(self, progress: Positions, on_wait: OnWait) -> None:
        """Put the source's offsets into the transaction."""
        producer = self._producer
        self._until_answered(
            lambda timeout_s: _in_background(
                lambda: producer.send_offsets_to_transaction(progress.offsets, progress.member, timeout_s),
                self._timeout_s,
                on_wait,
            ),
            "send offsets",
            on_wait,
        )

    def commit(self, on_wait: OnWait) -> None:
        """Commit the transaction.

        Raises
        ------
        BrokerUnavailableError
            Not committed, or not known to be: `reset`, and look where the group's offsets stand.
        FencedError
            The broker has done with this producer.
        FatalError
            A topic will never take what was produced.
        """
        self._until_answered(self._producer.commit_transaction, "commit a transaction", on_wait)
        self._is_open = False
        self._produced.clear()

    def reset(self) -> None:
        """Make sure that no transaction of ours is open, and that the next can begin.

        Raises
        ------
        BrokerUnavailableError
            Not answered yet; call again.
        """
        if self._is_open:
            self._replace_producer(self._new_producer())
        if not self._is_connected:
            self.connect()

    def abort_hanging(self, *, is_committed: bool) -> None:
        """Make sure that what we left behind is never seen, unless it turned out to be committed.

        A lone Apache Kafka 4.3.1 that starts takes transactions for ended, committed or aborted, without
        having written so into partitions that have no leader yet; our next end of a transaction there would
        then be theirs too. The same records again, aborted, end what we left behind: each has its partition
        by its key. But where none of ours has come to the log, what has no end there was committed before,
        and our next commit must be the one to end it.

        Raises
        ------
        BrokerUnavailableError
            Not answered yet: `reset`, and call again.
        """
        if is_committed:
            self._produced.clear()
        if not self._produced:
            return
        if not has_hanging_records(reading_options(self._options), self._produced, SEARCH_TIMEOUT):
            self._produced.clear()
            return
        log.info("aborting once more what was left behind", records=len(self._produced))
        self.begin()
        for message in self._produced:
            self._call(self._produce, message, doing=f"produce to {message.topic}")
        if self._producer.flush(ANSWER_TIMEOUT.total_seconds()):
            raise BrokerUnavailableError("a transaction that was left behind could not be ended yet")
        timeout_s = ANSWER_TIMEOUT.total_seconds()
        self._call(self._producer.abort_transaction, timeout_s, doing="abort a transaction")
        self._is_open = False
        self._produced.clear()

    def close(self) -> None:
        """Abort the transaction if one is open and the broker answers; else leave that to the broker.

        Readers wait for an open transaction until its time is over, or until our name is taken up again.
        """
        if self._is_open:
            with suppress(KafkaException):
                self._producer.abort_transaction(ANSWER_TIMEOUT.total_seconds())

    def _replace_producer(self, successor: Producer) -> None:
        left_behind, self._producer = [self._producer], successor
        self._is_open = self._is_connected = False
        close_in_background(left_behind)

    def _new_producer(self) -> Producer:
        try:
            return Producer({**self._options, "error_cb": self._on_error}, logger=self._logger)
        except KafkaException as error:
            raise translate_configuration(error) from error

    def _until_answered(self, call: Callable[[float], Any], doing: str, on_wait: OnWait) -> None:
        """Make a call again and again while librdkafka says that it may yet succeed."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                call(ANSWER_TIMEOUT.total_seconds())
            except KafkaException as error:
                failure = self._refused or translate(error, doing)
                if (
                    not isinstance(failure, BrokerUnavailableError)
                    or not may_be_retried(error)
                    or time.monotonic() > deadline
                ):
                    raise failure from error
                on_wait(failure)
            else:
                return

    def _call(self, call: Callable[..., Any], *arguments: Any, doing: str) -> None:
        try:
            call(*arguments)
        except KafkaException as error:
            raise translate(error, doing) from error

    def _produce(self, message: OutgoingMessage) -> None:
        while True:
            try:
                self._producer.produce(
                    message.topic,
                    message.value,
                    message.key,
                    headers=cast("Any", message.headers),  # its type forgets that lists are invariant
                    on_delivery=self._on_delivery,
                )
                return
            except BufferError:
                self._producer.poll(0.1)  # the queue is full: let it drain

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        """Note a refusal that no retry can change; all others come back from the commit."""
        if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self._refused = FatalError(
                f"topic {message.topic()} takes no message of {len(message.value() or b'')} bytes: "
                "raise its max.message.bytes"
            )

    def _on_error(self, error: KafkaError) -> None:
        log.debug("producer reports", error=describe(error))


def _in_background(call: Callable[[], Any], patience_s: float, on_wait: OnWait) -> None:
    """Make a call that may never return, and turn away from it then; its thread is lost.

    Raises
    ------
    BrokerUnavailableError
        It did not return in time.
    KafkaException
        As the call raised it.
    """
    outcomes: SimpleQueue[KafkaException | None] = SimpleQueue()

    def run() -> None:
        try:
            call()
            outcomes.put(None)
        except KafkaException as error:
            outcomes.put(error)

    Thread(target=run, daemon=True).start()
    deadline = time.monotonic() + patience_s
    while True:
        try:
            outcome = outcomes.get(timeout=ANSWER_TIMEOUT.total_seconds())
        except Empty:
            failure = BrokerUnavailableError("the Kafka client does not come back from a call")
            if time.monotonic() > deadline:
                raise failure from None
            on_wait(failure)
        else:
            if outcome is not None:
                raise outcome
            return
