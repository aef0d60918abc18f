"""Kafka as a sink that commits results together with the offsets they came from, exactly once.

A transaction that the broker does not finish in time is not repaired but abandoned: `KafkaSink.reset`
creates a new producer with the same transactional id, and when that is initialised, the broker ends
whatever the old one had open, one way or the other; the group's committed offsets then tell which. No other
way is as reliable. In librdkafka 2.16 an abort can turn into a fatal error if the broker had not yet seen
the transaction, and ``send_offsets_to_transaction`` can hang for ever after a broker restart (issues 5456
and 5511).
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
from service.kafka.errors import describe, is_retriable, translate, translate_configuration
from service.kafka.group_offsets import GroupOffsets
from service.kafka.hanging_transactions import has_hanging_records
from service.kafka.options import reading_options
from service.kafka.watchdog import ANSWER_TIMEOUT, StuckClientWatchdog, close_in_background

__all__ = ["KafkaSink"]

log = structlog.get_logger(__name__)

SEARCH_TIMEOUT = timedelta(seconds=10)
QUEUE_POLL_S = 0.1


class KafkaSink:
    """Produce messages and commit them together with the source's offsets.

    Parameters
    ----------
    options
        librdkafka's options.
    timeout
        How long a transaction may wait for the broker before it is abandoned.
    logger
        Receives librdkafka's own messages.

    Raises
    ------
    SettingsError
        librdkafka rejects the options.
    """

    def __init__(self, options: Mapping[str, Any], timeout: timedelta, logger: Logger) -> None:
        self._options = dict(options)
        self._timeout_s = timeout.total_seconds()
        self._logger = logger
        self._is_connected = self._is_open = False
        self._produced: list[OutgoingMessage] = []  # in the transaction that is open or was abandoned
        self._rejection: FatalError | None = None
        self._watchdog = StuckClientWatchdog(self._new_producer)
        self._producer = self._new_producer()

    def connect(self) -> None:
        """Register the transactional id: abort what an earlier holder left open, and fence it.

        Raises
        ------
        BrokerUnavailableError
            No answer yet; call again.
        """
        try:
            self._call(
                self._producer.init_transactions, ANSWER_TIMEOUT.total_seconds(), doing="start transactions"
            )
        except BrokerUnavailableError:
            replacement = self._watchdog.replacement()
            if replacement is not None:
                self._replace_producer(replacement)
            raise
        self._watchdog.record_answer()
        self._is_connected = True

    def begin(self) -> None:
        """Begin a transaction."""
        self._rejection = None
        self._is_open = True
        self._call(self._producer.begin_transaction, doing="begin a transaction")

    def produce(self, messages: Iterable[OutgoingMessage]) -> None:
        """Add messages to the transaction.

        Parameters
        ----------
        messages
            In the order in which each partition receives them.

        Raises
        ------
        BrokerUnavailableError, FencedError, FatalError
            A message was not accepted.
        """
        for message in messages:
            self._produced.append(message)
            self._call(self._produce, message, doing=f"produce to {message.topic}")
        self._producer.poll(0)

    def send_offsets(self, progress: GroupOffsets, on_wait: OnWait) -> None:
        """Add the source's offsets to the transaction.

        Parameters
        ----------
        progress
            As `service.kafka.source.KafkaSource.positions` returns it.
        on_wait
            Called each time an answer is still missing.

        Raises
        ------
        BrokerUnavailableError, FencedError, FatalError
            As for `commit`.
        """
        producer = self._producer
        self._retry_until_answered(
            lambda timeout_s: _call_in_background(
                lambda: producer.send_offsets_to_transaction(progress.offsets, progress.member, timeout_s),
                self._timeout_s,
                on_wait,
            ),
            "send offsets",
            on_wait,
        )

    def commit(self, on_wait: OnWait) -> None:
        """Commit the transaction.

        Parameters
        ----------
        on_wait
            Called each time an answer is still missing.

        Raises
        ------
        BrokerUnavailableError
            Not committed, or not known to be: `reset`, and check the group's committed offsets.
        FencedError
            The broker accepts nothing more from this producer.
        FatalError
            A topic will never accept what was produced.
        """
        self._retry_until_answered(self._producer.commit_transaction, "commit a transaction", on_wait)
        self._is_open = False
        self._produced.clear()

    def reset(self) -> None:
        """Make sure that no transaction of this producer is open, and that the next one can begin.

        Raises
        ------
        BrokerUnavailableError
            No answer yet; call again.
        """
        if self._is_open:
            self._replace_producer(self._new_producer())
        if not self._is_connected:
            self.connect()

    def abort_hanging(self, *, is_committed: bool) -> None:
        """Make sure that records of an abandoned transaction are never seen, unless it was committed.

        When a single Apache Kafka 4.3.1 starts, it takes transactions to be ended, committed or aborted,
        without having written the markers to partitions that have no leader yet; the next marker of ours in
        such a partition would end those transactions too. Producing the same records again and aborting
        them ends what was abandoned: the key determines each record's partition. But if none of our records
        reached the log, then the records without an end belong to an earlier, committed transaction, and
        our next commit must be the one to end it.

        Parameters
        ----------
        is_committed
            Whether the abandoned transaction turned out to be committed.

        Raises
        ------
        BrokerUnavailableError
            No answer yet: `reset`, and call again.
        """
        if is_committed:
            self._produced.clear()
        if not self._produced:
            return
        if not has_hanging_records(reading_options(self._options), self._produced, SEARCH_TIMEOUT):
            self._produced.clear()
            return
        log.info("aborting a hanging transaction", records=len(self._produced))
        self.begin()
        for message in self._produced:
            self._call(self._produce, message, doing=f"produce to {message.topic}")
        if self._producer.flush(ANSWER_TIMEOUT.total_seconds()):
            raise BrokerUnavailableError("a hanging transaction could not be aborted yet")
        timeout_s = ANSWER_TIMEOUT.total_seconds()
        self._call(self._producer.abort_transaction, timeout_s, doing="abort a transaction")
        self._is_open = False
        self._produced.clear()

    def close(self) -> None:
        """Abort the transaction if one is open and the broker answers; otherwise the broker does.

        Readers wait for an open transaction until it times out, or until its transactional id is
        registered again.
        """
        if self._is_open:
            with suppress(KafkaException):
                self._producer.abort_transaction(ANSWER_TIMEOUT.total_seconds())

    def _replace_producer(self, replacement: Producer) -> None:
        abandoned, self._producer = [self._producer], replacement
        self._is_open = self._is_connected = False
        close_in_background(abandoned)

    def _new_producer(self) -> Producer:
        try:
            return Producer({**self._options, "error_cb": self._on_error}, logger=self._logger)
        except KafkaException as error:
            raise translate_configuration(error) from error

    def _retry_until_answered(self, call: Callable[[float], Any], doing: str, on_wait: OnWait) -> None:
        """Repeat a call as long as librdkafka says that it may still succeed."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                call(ANSWER_TIMEOUT.total_seconds())
            except KafkaException as error:
                failure = self._rejection or translate(error, doing)
                if (
                    not isinstance(failure, BrokerUnavailableError)
                    or not is_retriable(error)
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
                self._producer.poll(QUEUE_POLL_S)  # the queue is full: let it drain

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        """Record a rejection that no retry can change; all others are reported by the commit."""
        if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self._rejection = FatalError(
                f"topic {message.topic()} does not accept a message of {len(message.value() or b'')} bytes: "
                "raise its max.message.bytes"
            )

    def _on_error(self, error: KafkaError) -> None:
        log.debug("producer reports an error", error=describe(error))


def _call_in_background(call: Callable[[], Any], timeout_s: float, on_wait: OnWait) -> None:
    """Make a call that may never return; after the timeout its thread is abandoned.

    Raises
    ------
    BrokerUnavailableError
        The call did not return in time.
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
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            outcome = outcomes.get(timeout=ANSWER_TIMEOUT.total_seconds())
        except Empty:
            failure = BrokerUnavailableError("the Kafka client does not return from a call")
            if time.monotonic() > deadline:
                raise failure from None
            on_wait(failure)
        else:
            if outcome is not None:
                raise outcome
            return
