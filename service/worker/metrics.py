"""Prometheus metrics of a worker."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from service.errors import SettingsError
from service.worker.health import WorkerStatus, serve

__all__ = ["ModelLabels", "WorkerMetrics"]

# A batch of a few alerts takes milliseconds, one that waits for a store that comes back takes seconds.
DURATION_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
# From a worker that keeps up to one that works off the backlog of a day.
LATENCY_BUCKETS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86400.0)


class ModelLabels(NamedTuple):
    """Labels of a model."""

    survey: str
    model: str
    version: str


class LatencyHistogram(Collector):
    """A histogram that takes the values of a whole batch per call, which costs less than one call per alert.

    Parameters
    ----------
    name, documentation
        As Prometheus shows them.
    label
        Name of its only label.
    buckets_s
        Upper bounds, ascending, seconds.
    """

    def __init__(self, name: str, documentation: str, label: str, buckets_s: tuple[float, ...]) -> None:
        self._name, self._documentation, self._label = name, documentation, label
        self._edges = np.array(buckets_s)
        self._bounds = [*(repr(bound) for bound in buckets_s), "+Inf"]
        # Label to the counts of each bucket and the sum; replaced as a whole, since another thread reads.
        self._seen: dict[str, tuple[NDArray[np.int64], float]] = {}

    def observe(self, label: str, values_s: NDArray[np.float64]) -> None:
        """Add values.

        Parameters
        ----------
        label
            Value of the label.
        values_s
            Shape (n,), seconds; a value equal to a bound is counted in that bucket.
        """
        counts, total = self._seen.get(label, (np.zeros(len(self._bounds), np.int64), 0.0))
        buckets = np.searchsorted(self._edges, values_s, side="left")
        added = np.bincount(buckets, minlength=len(self._bounds))
        self._seen[label] = (counts + added, total + float(values_s.sum()))

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Yield the metric family for Prometheus."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=[self._label])
        for label, (counts, total) in list(self._seen.items()):
            buckets = zip(self._bounds, np.cumsum(counts).tolist(), strict=True)
            family.add_metric([label], [(bound, float(count)) for bound, count in buckets], total)
        yield family


class WorkerMetrics:
    """Metrics of one worker; everything is counted after its commit.

    For each source partition ``nightjar_consumed_total`` is the sum of ``nightjar_alerts_total`` over the
    outcomes: every alert is classified, abstained or rejected. The former is counted from what was read,
    the latter from what was written.

    Parameters
    ----------
    registry
        Where the metrics are collected; a new one by default.
    stall_timeout
        A worker whose loop has not advanced for this long has stalled.

    Attributes
    ----------
    status
        Health of the loop.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        *,
        stall_timeout: timedelta = timedelta(minutes=2),
    ) -> None:
        self.registry = registry or CollectorRegistry()
        self.status = WorkerStatus(stall_timeout)
        self._consumed = self._counter("consumed", "Alerts consumed from a topic", "topic", "partition")
        self._alerts = self._counter("alerts", "Alerts by outcome", "survey", "topic", "partition", "outcome")
        self._abstained = self._counter("abstained", "Alerts not classified, by reason", "survey", "reason")
        self._rejected = self._counter("rejected", "Dead letters, by cause", "survey", "error_class")
        self._top_classes = self._counter(
            "top_class", "Classified alerts by their most probable class", "survey", "model", "class_name"
        )
        self._outages = self._counter("outages", "Outages of Kafka, Redis or the schema registry", "cause")
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
        self._latency = LatencyHistogram(
            "nightjar_latency_seconds",
            "From an alert's publication in its topic to the commit of its result",
            "survey",
            LATENCY_BUCKETS_S,
        )
        self.registry.register(self._latency)
        self._lag = self._gauge(
            "lag_messages",
            "Messages between the committed position and the end of a partition",
            "topic",
            "partition",
        )
        self._models = self._gauge("model_info", "1 for each deployed model", *ModelLabels._fields)
        ProcessCollector(registry=self.registry)

    def serve(self, port: int, host: str) -> None:
        """Serve metrics and health checks on a port, from a background thread.

        Parameters
        ----------
        port, host
            Where to listen.

        Raises
        ------
        SettingsError
            The port cannot be listened on.
        """
        try:
            serve(self.registry, self.status, host, port)
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {host}:{port}: {error.strerror}; see NIGHTJAR_METRICS_PORT"
            ) from error

    def count_consumed(self, topic: str, partition: int, count: int) -> None:
        """Count the alerts in committed messages of one partition; a rejected message is one alert.

        Parameters
        ----------
        topic, partition
            Where the messages came from.
        count
            Number of alerts.
        """
        self._consumed.labels(topic, partition).inc(count)

    def count_outcome(
        self, survey: str, topic: str, partition: int, status: str, detail: str, count: int
    ) -> None:
        """Count alerts with the same outcome.

        Parameters
        ----------
        survey, topic, partition, status, detail
            As in `service.worker.publish.Outcome`.
        count
            Number of alerts.
        """
        self._alerts.labels(survey, topic, partition, status).inc(count)
        if status == "abstained":
            self._abstained.labels(survey, detail).inc(count)
        elif status == "rejected":
            self._rejected.labels(survey, detail).inc(count)

    def count_top_classes(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        """Count classified alerts by survey, model and most probable class.

        Parameters
        ----------
        counts
            (survey, model, class name) to number of alerts.
        """
        for (survey, model, class_name), count in counts.items():
            self._top_classes.labels(survey, model, class_name).inc(count)

    def count_outage(self, cause: str) -> None:
        """Count the start of an outage.

        Parameters
        ----------
        cause
            Name of the error's class.
        """
        self._outages.labels(cause).inc()

    def time_batch(self, duration: timedelta, n_messages: int) -> None:
        """Record the duration of a batch.

        Parameters
        ----------
        duration
            From the poll to the commit.
        n_messages
            Number of messages.
        """
        self._duration.observe(duration.total_seconds())
        self._size.observe(n_messages)

    def time_alerts(self, survey: str, latencies_s: NDArray[np.float64]) -> None:
        """Record the times from the publication of alerts to the commit of their results.

        Parameters
        ----------
        survey
            The survey of the alerts.
        latencies_s
            Shape (n,), seconds.
        """
        self._latency.observe(survey, latencies_s)

    def set_models(self, models: Iterable[ModelLabels]) -> None:
        """Set the deployed models.

        Parameters
        ----------
        models
            Labels of each model.
        """
        self._models.clear()
        named = list(models)
        for model in named:
            self._models.labels(*model).set(1)
        self.status.set_models(model._asdict() for model in named)

    def set_lag(self, lags: Mapping[tuple[str, int], int]) -> None:
        """Set the lag of each assigned partition, messages; other partitions disappear.

        Parameters
        ----------
        lags
            (topic, partition) to messages behind the end.
        """
        self.status.set_lag(lags)
        self._lag.clear()
        for (topic, partition), lag in lags.items():
            self._lag.labels(topic, partition).set(lag)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"nightjar_{name}", help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"nightjar_{name}", help_text, labels, registry=self.registry)
