"""A worker that kills or freezes itself at a chosen point of its loop, run as a program.

``python -m tests.faults.sabotage INSTANT COUNT SIGNAL``, with the settings in the environment: an instant
is ``before`` or ``after`` a step, or ``amid`` the write to the store, half of which is then done.
"""

import os
import signal
import sys
from collections.abc import Callable
from threading import Event
from typing import Any

from service.embedded.processes import ChildProcess
from service.logs import configure_logging
from service.settings import read_settings
from service.wiring.worker import worker_factory
from service.worker.loop import Worker
from service.worker.metrics import WorkerMetrics
from service.worker.restart import run_with_restart
from tests.conftest import ROOT
from tests.integration.deployment import Deployment
from tests.support.service import worker_process

__all__ = ["INSTANTS", "start_saboteur"]

INSTANTS = (
    "before save",
    "amid save",
    "after save",
    "after begin",
    "after produce",
    "after send_offsets",
    "after commit",
)
"""In the order of the loop."""


def start_saboteur(
    deployment: Deployment, name: str, instant: str, number: signal.Signals, *, count: int = 3
) -> ChildProcess:
    """Start a worker of a deployment that sends a signal to itself."""
    plain = worker_process(deployment.settings, deployment.directory, name)
    command = [sys.executable, "-m", "tests.faults.sabotage", instant, str(count), number.name]
    worker = ChildProcess(name, command, plain.log_path, plain.environment | {"PYTHONPATH": str(ROOT)})
    worker.start()
    deployment.workers.append(worker)
    return worker


class Saboteur:
    """Sends a signal to its own process when a point of the loop is reached for the n-th time, once."""

    def __init__(self, instant: str, count: int, number: signal.Signals) -> None:
        self._when, _, self._step = instant.partition(" ")
        self._left = count
        self._signal = number

    def tamper(self, worker: Worker) -> Worker:
        """Wrap a step of a worker, through its private attributes."""
        processor: Any = worker._processor
        part: Any = processor._objects._store if self._step == "save" else worker._sink
        # The records must be in the broker's log, as some of a large batch would be.
        flush = worker._sink._producer.flush if self._step == "produce" else lambda: None  # type: ignore[attr-defined]
        setattr(part, self._step, self._wrapped(getattr(part, self._step), flush))
        return worker

    def _wrapped(self, step: Callable[..., Any], flush: Callable[[], Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self._when == "before":
                self._strike()
            if self._when == "amid" and self._left == 1:
                step(arguments[0][: len(arguments[0]) // 2])
                self._strike()
            result = step(*arguments)
            if self._when == "after":
                flush()
                self._strike()
            elif self._when == "amid":
                self._left -= 1
            return result

        return call

    def _strike(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._signal)


def main(instant: str, count: str, name: str) -> None:
    """Run the worker as `nightjar worker` does."""
    settings = read_settings()
    configure_logging(settings.log_level, json=settings.log_json)
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    saboteur = Saboteur(instant, int(count), signal.Signals[name])
    make = worker_factory(settings, WorkerMetrics(), stop)
    run_with_restart(lambda: saboteur.tamper(make()))


if __name__ == "__main__":
    main(*sys.argv[1:])
