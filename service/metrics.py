"""What a worker counts and times, for Prometheus."""

from collections.abc import Mapping
from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

__all__ = ["WorkerMetrics"]

# A batch of a few alerts takes milliseconds, one that waits for a store that comes back takes seconds.
DURATION_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class WorkerMetrics:
    """Counters of one worker; everything is counted after it is committed.

    For each source partition ``nightjar_consumed_total`` is the sum of ``nightjar_alerts_total`` over the
    outcomes: every alert is classified, abstained or rejected. The first is counted from what was read,
    the second from what was written.

    Parameters
    ----------
    registry
        Where the metrics are collected; one of its own for each worker of a process.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._consumed = self._counter("consumed", "Alerts taken from a topic", "topic", "partition")
        self._alerts = self._counter(
            "alerts", "Alerts by what became of them", "survey", "topic", "partition", "outcome"
        )
        self._abstained = self._counter("abstained", "Alerts not classified, by reason", "survey", "reason")
        self._rejected = self._counter("rejected", "Dead letters, by cause", "survey", "error_class")
        self._waits = self._counter("waits", "Times the worker had to wait for Kafka or Redis", "cause")
        self._duration = Histogram(
            "nightjar_batch_seconds",
            "From a batch's arrival to its commit",
            buckets=DURATION_BUCKETS_S,
            registry=self.registry,
        )
        self._size = Histogram(
            "nightjar_batch_messages",
            "Messages per batch",
            buckets=(1, 5, 20, 100, 500, 2000),
            registry=self.registry,
        )
        self._lag = Gauge(
            "nightjar_lag_messages",
            "Messages behind the end of a partition",
            ("topic", "partition"),
            registry=self.registry,
        )

    def serve(self, port: int, host: str) -> None:
        """Answer Prometheus on a port, from a thread of its own."""
        start_http_server(port, host, self.registry)

    def count_consumed(self, topic: str, partition: int, count: int) -> None:
        """Count the alerts of committed messages of one partition; an unreadable message is one alert."""
        self._consumed.labels(topic, partition).inc(count)

    def count_outcome(
        self, survey: str, topic: str, partition: int, status: str, detail: str, count: int
    ) -> None:
        """Count alerts that met the same fate."""
        self._alerts.labels(survey, topic, partition, status).inc(count)
        if status == "abstained":
            self._abstained.labels(survey, detail).inc(count)
        elif status == "rejected":
            self._rejected.labels(survey, detail).inc(count)

    def count_wait(self, cause: str) -> None:
        """Count the beginning of an outage."""
        self._waits.labels(cause).inc()

    def time_batch(self, duration: timedelta, n_messages: int) -> None:
        """Note how long a batch took."""
        self._duration.observe(duration.total_seconds())
        self._size.observe(n_messages)

    def set_lag(self, lags: Mapping[tuple[str, int], int]) -> None:
        """Note how far behind we are; partitions that are no longer ours disappear."""
        self._lag.clear()
        for (topic, partition), lag in lags.items():
            self._lag.labels(topic, partition).set(lag)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"nightjar_{name}", help_text, labels, registry=self.registry)
