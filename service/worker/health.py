"""How a worker is doing: is its loop alive, what does it wait for, how far behind is it, and which models."""

import json
import socket
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from importlib.metadata import version
from threading import Lock, Thread
from typing import Any, Literal
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from service.errors import (
    BrokerUnavailableError,
    RegistryUnavailableError,
    StoreUnavailableError,
    TransientError,
)

__all__ = ["WorkerStatus", "serve"]

Status = Literal["starting", "working", "waiting", "stalled"]

# Compiling on a busy machine takes minutes; a worker that is not ready after this will not be.
LONGEST_START = timedelta(minutes=10)

# What an error is about, in the words of the report.
DEPENDENCIES: Mapping[type[TransientError], str] = {
    BrokerUnavailableError: "broker",
    StoreUnavailableError: "store",
    RegistryUnavailableError: "schema_registry",
}


class WorkerStatus:
    """What the loop tells of itself; written by the loop, read by the thread that answers questions.

    Parameters
    ----------
    stall_timeout
        A loop that gave no sign of life for so long has stalled.
    """

    def __init__(self, stall_timeout: timedelta = timedelta(minutes=2)) -> None:
        self._stall_s = stall_timeout.total_seconds()
        self._beat_s = time.monotonic()
        self._is_started = False
        self._lock = Lock()
        self._waits: dict[str, str] = {}
        self._lags: dict[tuple[str, int], int] = {}
        self._models: list[dict[str, str]] = []

    def heartbeat(self) -> None:
        """Give a sign of life: once in each turn of the loop, waiting or not."""
        self._beat_s = time.monotonic()

    def set_ready(self) -> None:
        """Note that preparations are over."""
        self._is_started = True
        self.heartbeat()

    def set_waiting(self, error: TransientError) -> None:
        """Note what is away; a sign of life too."""
        part = next((name for kind, name in DEPENDENCIES.items() if isinstance(error, kind)), "other")
        with self._lock:
            self._waits[part] = str(error)
        self.heartbeat()

    def clear_waiting(self) -> None:
        """Note that nothing is away any more."""
        if self._waits:
            with self._lock:
                self._waits = {}

    def set_lag(self, lags: Mapping[tuple[str, int], int]) -> None:
        """Note how far behind each partition is, messages."""
        with self._lock:
            self._lags = dict(lags)

    def set_models(self, models: Iterable[Mapping[str, str]]) -> None:
        """Note the models at work."""
        with self._lock:
            self._models = [dict(model) for model in models]

    @property
    def status(self) -> Status:
        """Say in one word how the loop is doing."""
        silent_s = time.monotonic() - self._beat_s
        if silent_s > (self._stall_s if self._is_started else LONGEST_START.total_seconds()):
            return "stalled"
        if self._waits:
            return "waiting"
        return "working" if self._is_started else "starting"

    def report(self) -> dict[str, Any]:
        """Say all there is to say."""
        with self._lock:
            lags, waits, models = self._lags, self._waits, self._models
        by_topic: dict[str, int] = {}
        elsewhere = "unknown" if waits else "ok"  # of what else is away nobody hears while it waits
        for (topic, _partition), lag in lags.items():
            by_topic[topic] = by_topic.get(topic, 0) + lag
        return {
            "status": self.status,
            "version": version("nightjar"),
            "silent_s": round(time.monotonic() - self._beat_s, 1),
            "broker": waits.get("broker", elsewhere),
            "store": waits.get("store", elsewhere),
            **({"schema_registry": waits["schema_registry"]} if "schema_registry" in waits else {}),
            "partitions": len(lags),
            "lag_messages": by_topic,
            "models": models,
        }


class QuietHandler(WSGIRequestHandler):
    """Answers without a line of log for each question."""

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  its name in the base class
        """Say nothing."""


class PlainServer(ThreadingWSGIServer):
    """Listens on an address that is given as such."""

    def server_bind(self) -> None:
        """Look nothing up: names are not needed here, and where there is no resolver it takes seconds."""
        host, port = str(self.server_address[0]), int(self.server_address[1])
        self.socket.bind((host, port))
        self.server_name, self.server_port = host, self.socket.getsockname()[1]
        self.setup_environ()


def serve(registry: CollectorRegistry, pulse: WorkerStatus, host: str, port: int) -> WSGIServer:
    """Answer ``/metrics``, ``/healthz`` and ``/readyz`` from a thread of its own.

    ``/healthz`` answers 503 only where the loop has stalled, which a restart may mend; ``/readyz`` also
    while the worker starts or waits for Kafka or Redis, which it would not.

    Raises
    ------
    OSError
        The port cannot be listened on.
    """
    metrics = make_wsgi_app(registry)
    good = {"/healthz": {"starting", "working", "waiting"}, "/readyz": {"working"}}

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            return metrics(environ, start_response)
        if path not in good:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [f"there are /metrics, {', '.join(good)}\n".encode()]
        report = pulse.report()
        state = "200 OK" if report["status"] in good[path] else "503 Service Unavailable"
        start_response(state, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        return [json.dumps(report).encode()]

    class Server(PlainServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    server = make_server(host, port, app, Server, QuietHandler)
    Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
