"""Clients that stay disconnected although a broker answers: detecting and replacing them.

librdkafka 2.16 may never reconnect to a broker that is available. It forgets all brokers if one that has
just restarted lists none in its metadata, before it has registered itself (issue 5301), and it can hold on
to a group coordinator that is gone (issue 5511). Only a new client can tell such a loss from an outage.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import Any, Generic, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaException, Producer

__all__ = ["ANSWER_TIMEOUT", "QUIET_AFTER", "StuckClientWatchdog", "close_in_background"]

log = structlog.get_logger(__name__)

ANSWER_TIMEOUT = timedelta(seconds=2)
"""Long enough for a broker that is alive, short enough to notice a request to stop."""

QUIET_AFTER = timedelta(seconds=10)
"""After this long without a message a broker is asked for an answer: not every loss is reported."""

# Time for a client to reconnect on its own.
STUCK_AFTER = timedelta(seconds=10)


Client = TypeVar("Client", bound=Consumer | Producer)


class StuckClientWatchdog(Generic[Client]):
    """Tracks how long a client has gone without an answer.

    Parameters
    ----------
    make
        Creates another client like it.
    """

    def __init__(self, make: Callable[[], Client]) -> None:
        self._make = make
        self._since_s: float | None = None

    def record_answer(self) -> None:
        """Record that the client got an answer."""
        self._since_s = None

    def replacement(self) -> Client | None:
        """Record that no answer came; return a new client if the old one is stuck.

        Returns
        -------
        Consumer, Producer or None
            A new client, once the old one has gone without answers for some time and the new one gets one.
            If the new one gets none either, the broker is away and the time starts again.
        """
        now_s = time.monotonic()
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._since_s < STUCK_AFTER.total_seconds():
            return None
        self._since_s = None
        made: list[Client] = [self._make()]
        try:
            made[0].list_topics(timeout=ANSWER_TIMEOUT.total_seconds())
        except KafkaException:
            close_in_background(made)
            return None
        log.warning("replacing an unresponsive Kafka client")
        return made[0]


def close_in_background(clients: list[Any]) -> None:
    """Close clients in a thread, because closing a stuck client may take long or never end.

    Parameters
    ----------
    clients
        Holds the only references to the clients: they close when the list is cleared.
    """
    Thread(target=clients.clear, daemon=True).start()
