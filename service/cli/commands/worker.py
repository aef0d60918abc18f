"""``nightjar worker``: classify alerts from Kafka."""

from service.cli.worker_process import run_worker_process
from service.settings import read_settings
from service.wiring.worker import worker_factory
from service.worker.allocator import keep_freed_memory

__all__ = ["worker"]


def worker() -> None:
    """Classify alerts from Kafka until SIGTERM or Ctrl-C. Settings come from NIGHTJAR_* variables."""
    settings = read_settings()
    keep_freed_memory()
    run_worker_process(settings, worker_factory, group=settings.group_id)
