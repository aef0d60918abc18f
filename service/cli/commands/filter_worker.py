"""``nightjar filter``: pass results on to the topics of named filters until told to stop."""

import signal
from importlib.metadata import version
from threading import Event

import structlog

from service.cli.commands.worker import run
from service.kafka.options import worker_name
from service.logs import configure_logging
from service.settings import read_settings
from service.wiring.worker import filter_worker_factory
from service.worker.metrics import WorkerMetrics

__all__ = ["filter"]

log = structlog.get_logger(__name__)


def filter() -> None:  # noqa: A001  the command's name
    """Pass results on to the topics of the filters that users stored: nightjar.filter.NAME.

    Settings come from NIGHTJAR_* variables; SIGTERM or Ctrl-C ends it. Several may run side by side.
    """
    settings = read_settings()
    configure_logging(settings.log_level, json=settings.log_json)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("starting", version=version("nightjar"), worker=worker_name(settings))
    metrics = WorkerMetrics(stall_timeout=settings.stall_timeout)
    if settings.metrics_port:
        metrics.serve(settings.metrics_port, settings.api_host)
    run(filter_worker_factory(settings, metrics, stop))
    log.info("stopped")
