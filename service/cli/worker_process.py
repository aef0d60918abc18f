"""What the two kinds of workers have in common as processes."""

from collections.abc import Callable
from importlib.metadata import version
from threading import Event

import structlog

from service.cli.signals import stop_on_signals
from service.logs import configure_logging
from service.settings import Settings
from service.worker.loop import Worker
from service.worker.metrics import WorkerMetrics
from service.worker.restart import run_with_restart

__all__ = ["WorkerFactory", "run_worker_process"]

WorkerFactory = Callable[[Settings, WorkerMetrics, Event], Callable[[], Worker]]
"""Loads what workers need; returns a function that makes one with new Kafka clients."""

log = structlog.get_logger(__name__)


def run_worker_process(settings: Settings, factory: WorkerFactory, **log_fields: str) -> None:
    """Log, serve metrics and run a worker until SIGTERM or Ctrl-C.

    Parameters
    ----------
    settings
        All settings.
    factory
        The kind of worker.
    log_fields
        Further fields of the first log message.

    Raises
    ------
    FatalError
        A setting, model or schema cannot be used.
    FencedError
        Another worker runs under the same name.
    """
    configure_logging(settings.log_level, json=settings.log_json)
    stop = stop_on_signals()
    log.info("starting", version=version("nightjar"), worker=settings.worker_name, **log_fields)
    metrics = WorkerMetrics(stall_timeout=settings.stall_timeout)
    if settings.metrics_port:
        metrics.serve(settings.metrics_port, settings.api_host)
    run_with_restart(factory(settings, metrics, stop))
    log.info("stopped")
