"""Saying once that something is away, and once that it is back."""

import time

import structlog

from service.errors import TransientError
from service.worker.metrics import WorkerMetrics

__all__ = ["Outage"]

log = structlog.get_logger(__name__)


class Outage:
    """What the worker waits for, if it waits.

    Parameters
    ----------
    metrics
        Counts outages.
    """

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics
        self._said: set[type[TransientError]] = set()
        self._since_s = 0.0
        self._holds_a_batch = False

    def record_failure(self, error: TransientError, *, holds_a_batch: bool) -> None:
        """Note a failure; said once for each kind of error until `ends`.

        Parameters
        ----------
        error
            What failed.
        holds_a_batch
            Whether a batch waits to be processed again: then only a commit ends the outage.
        """
        self._holds_a_batch |= holds_a_batch
        self._metrics.status.set_waiting(error)
        if not self._said:
            self._since_s = time.monotonic()
        if type(error) not in self._said:
            self._said.add(type(error))
            self._metrics.count_outage(type(error).__name__)
            log.warning("waiting", cause=str(error))
        else:
            log.debug("still waiting", cause=str(error))

    def record_success(self, *, by_commit: bool) -> None:
        """Note that something worked: a commit, or a poll that found nothing to do."""
        if self._said and (by_commit or not self._holds_a_batch):
            log.info("recovered", after_s=round(time.monotonic() - self._since_s, 1))
            self._metrics.status.clear_waiting()
            self._said.clear()
        if by_commit:
            self._holds_a_batch = False
