"""Kafka as a sink that commits results together with the offsets they came from, exactly once."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from logging import Logger
from typing import Any, cast

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from service.adapters.kafka import Progress
from service.adapters.kafka_errors import describe, may_be_retried, translate, translate_configuration
from service.core.stream import OnWait, OutgoingMessage
from service.errors import BrokerUnavailableError, FatalError

__all__ = ["KafkaSink"]

log = structlog.get_logger(__name__)

# Long enough for a broker that is alive, short enough to notice a request to stop.
CALL_TIMEOUT = timedelta(seconds=2)


class KafkaSink:
    """Produce messages and commit them together with the source's offsets.

    Parameters
    ----------
    options
        librdkafka's options.
    logger
        Takes librdkafka's own messages.

    Raises
    ------
    SettingsError
        librdkafka refuses its options.
    """

    def __init__(self, options: Mapping[str, Any], logger: Logger) -> None:
        self._servers = options["bootstrap.servers"]
        self._open = False
        self._unanswered = False
        self._refused: FatalError | None = None
        try:
            self._producer = Producer({**options, "error_cb": self._on_error}, logger=logger)
        except KafkaException as error:
            raise translate_configuration(error) from error

    def connect(self) -> None:
        """Take up our transactional id: end what an earlier holder left open and shut it out.

        Raises
        ------
        BrokerUnavailableError
            Not answered yet; call again.
        """
        self._call(self._producer.init_transactions, CALL_TIMEOUT.total_seconds(), doing="start transactions")

    def begin(self) -> None:
        """Begin a transaction."""
        self._refused = None
        self._call(self._producer.begin_transaction, doing="begin a transaction")
        self._open = True

    def produce(self, messages: Iterable[OutgoingMessage]) -> None:
        """Put messages into the transaction."""
        for message in messages:
            self._call(self._produce, message, doing=f"produce to {message.topic}")
        self._producer.poll(0)

    def send_offsets(self, progress: Progress, on_wait: OnWait) -> None:
        """Put the source's offsets into the transaction."""
        self._until_answered(
            lambda timeout_s: self._producer.send_offsets_to_transaction(
                progress.offsets, progress.member, timeout_s
            ),
            "send offsets",
            on_wait,
        )

    def commit(self, on_wait: OnWait) -> None:
        """Commit the transaction.

        A commit that is not answered may have happened; so it is asked for until it is.

        Raises
        ------
        BrokerUnavailableError
            Not committed, and never will be: abort.
        FencedError
            The broker has done with this producer.
        FatalError
            A topic will never take what was produced.
        """
        self._until_answered(self._producer.commit_transaction, "commit a transaction", on_wait)
        self._open = False

    def abort(self) -> None:
        """End the transaction, if one is open, without a trace.

        One that was given up while the broker had not answered is left to the broker: it ends it when its
        time is over, or when our name is taken up again.

        Raises
        ------
        BrokerUnavailableError
            Not answered yet; call again.
        """
        if self._open and not self._unanswered:
            timeout_s = CALL_TIMEOUT.total_seconds()
            self._call(self._producer.abort_transaction, timeout_s, doing="abort a transaction")
            self._open = False

    def _until_answered(self, call: Callable[[float], Any], doing: str, on_wait: OnWait) -> None:
        while True:
            try:
                call(CALL_TIMEOUT.total_seconds())
            except KafkaException as error:
                failure = self._refused or translate(error, doing)
                # Aborting what may be tried again makes the broker refuse the producer for good: it then
                # knows of no transaction that could be aborted.
                self._unanswered = may_be_retried(error) and isinstance(failure, BrokerUnavailableError)
                if not isinstance(failure, BrokerUnavailableError) or not self._unanswered:
                    raise failure from error
                on_wait(failure)
            else:
                self._unanswered = False
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
