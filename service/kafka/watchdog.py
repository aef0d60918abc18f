"""Clients that have lost their way: noticing it, and turning away from them.

librdkafka 2.16 may never find back to a broker that is there. It forgets all brokers where one that has
just come back names none in its answer, before it has registered itself (its issue 5301), and it can hold
on to a group's coordinator that is gone (5511). Only a new client tells such a loss from an outage.
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
"""Where nothing comes for so long, it is asked whether a broker is there: not every loss is told."""

# A client is given so long to find back by itself.
STUCK_AFTER = timedelta(seconds=10)


Client = TypeVar("Client", bound=Consumer | Producer)


class StuckClientWatchdog(Generic[Client]):
    """How long a client has gone without an answer.

    Parameters
    ----------
    make
        Makes another client like it.
    """

    def __init__(self, make: Callable[[], Client]) -> None:
        self._make = make
        self._since_s: float | None = None

    def record_answer(self) -> None:
        """Note an answer."""
        self._since_s = None

    def replacement(self) -> Client | None:
        """Note that no answer came; where that has lasted, give a new client if one is answered.

        Where it is not either the broker is away, and the time begins anew.
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
        log.warning("leaving a Kafka client that lost its way")
        return made[0]


def close_in_background(clients: list[Any]) -> None:
    """Let go of the clients in a list, to which nothing else refers; their end may take long, or for ever."""
    Thread(target=clients.clear, daemon=True).start()
