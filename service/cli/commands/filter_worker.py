"""``nightjar filter-worker``: publish results to the topics of stored filters."""

from service.cli.worker_process import run_worker_process
from service.settings import read_settings
from service.wiring.worker import filter_worker_factory

__all__ = ["filter_worker"]


def filter_worker() -> None:
    """Publish results to the topics of users' stored filters, nightjar.filter.NAME, until SIGTERM or Ctrl-C.

    Settings come from NIGHTJAR_* variables. Several filter workers share the work.
    """
    run_worker_process(read_settings(), filter_worker_factory)
