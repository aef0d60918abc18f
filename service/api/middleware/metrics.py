"""Counts and durations of requests, and the usage of the store, for Prometheus."""

from collections.abc import Iterable
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.core.ports.store import ObjectStore
from service.errors import ServiceError

__all__ = ["RequestMetrics", "RequestMetricsMiddleware", "StoreCollector"]

# Seconds; one round trip to Redis takes about a millisecond, a light curve of thousands of rows some 50.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMetrics:
    """Metrics of one app, in their own registry so that a process may have several apps."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "nightjar_api_requests_total",
            "Requests answered",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "nightjar_api_request_seconds",
            "Time to the last byte of the answer",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )


class StoreCollector(Collector):
    """Reads the usage of the store at every scrape.

    Parameters
    ----------
    store
        May be used from many threads.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return nothing, so that registering does not query the store."""
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the usage of the store, or only that it is down where it does not answer."""
        try:
            usage = self._store.usage()
        except ServiceError:
            yield GaugeMetricFamily("nightjar_store_up", "1 if the store of objects answers", 0)
            return
        yield GaugeMetricFamily("nightjar_store_up", "1 if the store of objects answers", 1)
        yield GaugeMetricFamily("nightjar_store_objects", "Objects in the store", usage.objects)
        yield GaugeMetricFamily("nightjar_store_memory_bytes", "Memory in use", usage.memory_bytes)
        limit = "Memory beyond which the store refuses writes; 0 for no limit"
        yield GaugeMetricFamily("nightjar_store_memory_limit_bytes", limit, usage.memory_limit_bytes)


class RequestMetricsMiddleware:
    """Measures every request by the pattern of its path, since paths themselves are unbounded."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and record its status and duration."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = "500"  # where the app fails before its response begins

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        start = perf_counter()
        try:
            await self._app(scope, receive, note_status)
        finally:
            method = scope["method"] if scope["method"] in _KNOWN_METHODS else "other"
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(method, route, status).inc()
            self._metrics.seconds.labels(method, route).observe(perf_counter() - start)
