"""Start a worker again after the broker fenced it."""

import math
import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from service.errors import FencedError
from service.worker.loop import Worker

__all__ = ["run_with_restart"]

log = structlog.get_logger(__name__)

# A broker that was away for longer than the transaction timeout fences our producer, and a new one can go
# on. If that happens again this soon, another worker runs under our name.
FENCED_TWICE_WITHIN = timedelta(minutes=1)


def run_with_restart(make_worker: Callable[[], Worker]) -> None:
    """Run a worker until it is told to stop, and start a new one where the broker fenced it.

    Parameters
    ----------
    make_worker
        Makes a worker with new Kafka clients.

    Raises
    ------
    FencedError
        The broker fenced the worker twice within a minute.
    """
    fenced_s = -math.inf
    while True:
        try:
            return make_worker().run()
        except FencedError as error:
            last_fenced_s, fenced_s = fenced_s, time.monotonic()
            if fenced_s - last_fenced_s < FENCED_TWICE_WITHIN.total_seconds():
                raise
            log.warning("restarting after being fenced", cause=str(error))
