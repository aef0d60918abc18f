"""Reporting each outage once when it starts and once when it ends."""

import time

import structlog

from service.errors import TransientError
from service.worker.metrics import WorkerMetrics

__all__ = ["Outage"]

log = structlog.get_logger(__name__)


class Outage:
    """The current outage, if there is one.

    Parameters
    ----------
    metrics
        Counts outages.
    """

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics
        self._logged: set[type[TransientError]] = set()
        self._since_s = 0.0
        self._holds_a_batch = False

    def record_failure(self, error: TransientError, *, holds_a_batch: bool) -> None:
        """Record a failure; logged once per kind of error until the outage ends.

        Parameters
        ----------
        error
            What failed.
        holds_a_batch
            Whether a batch is waiting to be processed again: then only a commit ends the outage.
        """
        self._holds_a_batch |= holds_a_batch
        self._metrics.status.set_waiting(error)
        if not self._logged:
            self._since_s = time.monotonic()
        if type(error) not in self._logged:
            self._logged.add(type(error))
            self._metrics.count_outage(type(error).__name__)
            log.warning("waiting", cause=str(error))
        else:
            log.debug("still waiting", cause=str(error))

    def record_success(self, *, by_commit: bool) -> None:
        """Record a success, which may end the outage.

        Parameters
        ----------
        by_commit
            Whether it was a commit, rather than a poll without messages.
        """
        if self._logged and (by_commit or not self._holds_a_batch):
            log.info("recovered", after_s=round(time.monotonic() - self._since_s, 1))
            self._metrics.status.clear_waiting()
            self._logged.clear()
        if by_commit:
            self._holds_a_batch = False
