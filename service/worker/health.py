"""Health of a worker: whether its loop advances, what it waits for, its lag and its models."""

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

# The dependency that an error is about, as named in the report.
DEPENDENCIES: Mapping[type[TransientError], str] = {
    BrokerUnavailableError: "broker",
    StoreUnavailableError: "store",
    RegistryUnavailableError: "schema_registry",
}


class WorkerStatus:
    """State of the loop; written by the loop, read by the thread that serves health checks.

    Parameters
    ----------
    stall_timeout
        A loop without a heartbeat for this long has stalled.
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
        """Record that the loop advances: once per iteration, waiting or not."""
        self._beat_s = time.monotonic()

    def set_ready(self) -> None:
        """Record that preparations are complete."""
        self._is_started = True
        self.heartbeat()

    def set_waiting(self, error: TransientError) -> None:
        """Record an unavailable dependency; also a heartbeat.

        Parameters
        ----------
        error
            Says what is unavailable, and why.
        """
        part = next((name for kind, name in DEPENDENCIES.items() if isinstance(error, kind)), "other")
        with self._lock:
            self._waits[part] = str(error)
        self.heartbeat()

    def clear_waiting(self) -> None:
        """Record that all dependencies are available again."""
        if self._waits:
            with self._lock:
                self._waits = {}

    def set_lag(self, lags: Mapping[tuple[str, int], int]) -> None:
        """Set the lag of each partition, messages.

        Parameters
        ----------
        lags
            (topic, partition) to messages behind the end.
        """
        with self._lock:
            self._lags = dict(lags)

    def set_models(self, models: Iterable[Mapping[str, str]]) -> None:
        """Set the deployed models.

        Parameters
        ----------
        models
            Labels of each model, as `ModelLabels`.
        """
        with self._lock:
            self._models = [dict(model) for model in models]

    @property
    def status(self) -> Status:
        """The state of the loop in one word."""
        silent_s = time.monotonic() - self._beat_s
        if silent_s > (self._stall_s if self._is_started else LONGEST_START.total_seconds()):
            return "stalled"
        if self._waits:
            return "waiting"
        return "working" if self._is_started else "starting"

    def report(self) -> dict[str, Any]:
        """Return the body of the health response."""
        with self._lock:
            lags, waits, models = self._lags, self._waits, self._models
        by_topic: dict[str, int] = {}
        otherwise = "unknown" if waits else "ok"  # while the loop waits, other failures go unnoticed
        for (topic, _partition), lag in lags.items():
            by_topic[topic] = by_topic.get(topic, 0) + lag
        return {
            "status": self.status,
            "version": version("nightjar"),
            "silent_s": round(time.monotonic() - self._beat_s, 1),
            "broker": waits.get("broker", otherwise),
            "store": waits.get("store", otherwise),
            **({"schema_registry": waits["schema_registry"]} if "schema_registry" in waits else {}),
            "partitions": len(lags),
            "lag_messages": by_topic,
            "models": models,
        }


class QuietHandler(WSGIRequestHandler):
    """Handles requests without logging them."""

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  its name in the base class
        """Log nothing."""


class PlainServer(ThreadingWSGIServer):
    """Listens on a numeric address."""

    def server_bind(self) -> None:
        """Skip the reverse lookup of the base class, which takes seconds where there is no resolver."""
        host, port = str(self.server_address[0]), int(self.server_address[1])
        self.socket.bind((host, port))
        self.server_name, self.server_port = host, self.socket.getsockname()[1]
        self.setup_environ()


def serve(registry: CollectorRegistry, status: WorkerStatus, host: str, port: int) -> WSGIServer:
    """Serve ``/metrics``, ``/healthz`` and ``/readyz`` from a background thread.

    ``/healthz`` answers 503 only when the loop has stalled, which a restart may fix; ``/readyz`` also while
    the worker starts or waits for Kafka or Redis, which a restart would not.

    Parameters
    ----------
    registry
        What ``/metrics`` shows.
    status
        What the other two show.
    host, port
        Where to listen.

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
        report = status.report()
        state = "200 OK" if report["status"] in good[path] else "503 Service Unavailable"
        start_response(state, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        return [json.dumps(report).encode()]

    class Server(PlainServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    server = make_server(host, port, app, Server, QuietHandler)
    Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
