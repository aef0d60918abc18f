"""A transactional producer for tools, under a name that only one of a kind can have."""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from service.backoff import Backoff
from service.errors import TransientError
from service.kafka.options import librdkafka_logger, producer_options
from service.kafka.sink import KafkaSink
from service.settings import Settings

__all__ = ["abort_and_close", "connected_sink"]

PATIENCE = timedelta(minutes=1)
INITIAL_DELAY = timedelta(milliseconds=200)
MAXIMUM_DELAY = timedelta(seconds=2)


def connected_sink(settings: Settings, options: Mapping[str, Any], name: str) -> KafkaSink:
    """Make a producer and take up its name: who holds it is shut out, what it left open is ended.

    Parameters
    ----------
    settings
        Of the service.
    options
        librdkafka options with the brokers to talk to.
    name
        The tool's, within the service's group.

    Raises
    ------
    TransientError
        The broker does not answer.
    """
    named = settings.model_copy(update={"worker_id": name})
    ours = producer_options(named) | {"bootstrap.servers": options["bootstrap.servers"]}
    sink = KafkaSink(ours, PATIENCE, librdkafka_logger(named))
    backoff = Backoff(INITIAL_DELAY, MAXIMUM_DELAY)
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while True:
        try:
            sink.connect()
        except TransientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(backoff.next_s())
        else:
            return sink


def abort_and_close(error: TransientError) -> None:
    """End a tool instead of waiting on: it can be called again."""
    raise error
