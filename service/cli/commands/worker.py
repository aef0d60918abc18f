"""``nightjar worker``: classify alerts from Kafka until told to stop."""

import math
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from threading import Event

import structlog

from service.errors import FencedError
from service.kafka.options import worker_name
from service.logs import configure_logging
from service.settings import read_settings
from service.wiring.worker import worker_factory
from service.worker.allocator import keep_freed_memory
from service.worker.loop import Worker
from service.worker.metrics import WorkerMetrics

__all__ = ["worker"]

log = structlog.get_logger(__name__)

# A broker that was away for longer than our transaction may last has done with our producer; a new one
# goes on. Where that happens again so soon, another worker runs under our name.
TWICE_WITHIN = timedelta(minutes=1)


def worker() -> None:
    """Classify alerts from Kafka: settings come from NIGHTJAR_* variables; SIGTERM or Ctrl-C ends it."""
    settings = read_settings()
    configure_logging(settings.log_level, json=settings.log_json)
    keep_freed_memory()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("starting", version=version("nightjar"), worker=worker_name(settings), group=settings.group_id)
    metrics = WorkerMetrics(stall_timeout=settings.stall_timeout)
    if settings.metrics_port:
        metrics.serve(settings.metrics_port, settings.api_host)
    run(worker_factory(settings, metrics, stop))
    log.info("stopped")


def run(make_worker: Callable[[], Worker]) -> None:
    """Run a worker, and once more where the broker has done with it.

    Raises
    ------
    FencedError
        The broker has done with it again, and soon.
    """
    fenced_s = -math.inf
    while True:
        try:
            return make_worker().run()
        except FencedError as error:
            last_fenced_s, fenced_s = fenced_s, time.monotonic()
            if fenced_s - last_fenced_s < TWICE_WITHIN.total_seconds():
                raise
            log.warning("starting anew", cause=str(error))
