"""The worker's metrics as Prometheus reads them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from service.worker.metrics import LATENCY_BUCKETS_S, ModelLabels, WorkerMetrics

LATENCIES = st.floats(0.0, 1e6) | st.sampled_from(LATENCY_BUCKETS_S)


def value(metrics: WorkerMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


@given(batches=st.lists(st.lists(LATENCIES), max_size=5))
def test_latencies_of_batches_give_the_histogram_of_single_ones(batches: list[list[float]]) -> None:
    metrics = WorkerMetrics()
    reference = CollectorRegistry()
    single = Histogram(
        "nightjar_latency_seconds", "", ("survey",), buckets=LATENCY_BUCKETS_S, registry=reference
    ).labels("ztf")
    metrics.time_alerts("ztf", np.array([]))
    for batch in batches:
        metrics.time_alerts("ztf", np.array(batch, float))
        for latency in batch:
            single.observe(latency)
    for bound in (*map(repr, LATENCY_BUCKETS_S), "+Inf"):
        labels = {"survey": "ztf", "le": bound}
        expected = reference.get_sample_value("nightjar_latency_seconds_bucket", labels)
        assert value(metrics, "nightjar_latency_seconds_bucket", **labels) == expected
    total = reference.get_sample_value("nightjar_latency_seconds_sum", {"survey": "ztf"})
    assert value(metrics, "nightjar_latency_seconds_sum", survey="ztf") == pytest.approx(total)


def test_latencies_of_surveys_are_apart() -> None:
    metrics = WorkerMetrics()
    metrics.time_alerts("ztf", np.array([0.1, 0.3]))
    metrics.time_alerts("lsst", np.array([5.0]))
    assert value(metrics, "nightjar_latency_seconds_count", survey="ztf") == 2
    assert value(metrics, "nightjar_latency_seconds_count", survey="lsst") == 1


def test_classes_are_counted_by_survey_and_model() -> None:
    metrics = WorkerMetrics()
    metrics.count_top_classes({("ztf", "ztf 1", "Ia"): 3, ("lsst", "lsst 2", "Ia"): 1})
    metrics.count_top_classes({("ztf", "ztf 1", "Ia"): 2})
    labels = {"survey": "ztf", "model": "ztf 1", "class_name": "Ia"}
    assert value(metrics, "nightjar_top_class_total", **labels) == 5


def test_models_that_are_replaced_disappear() -> None:
    metrics = WorkerMetrics()
    metrics.set_models([ModelLabels("ztf", "ztf", "1")])
    metrics.set_models([ModelLabels("ztf", "ztf", "2")])
    assert value(metrics, "nightjar_model_info", survey="ztf", model="ztf", version="1") is None
    assert value(metrics, "nightjar_model_info", survey="ztf", model="ztf", version="2") == 1


def test_partitions_that_went_to_another_worker_disappear() -> None:
    metrics = WorkerMetrics()
    metrics.set_lag({("a", 0): 5, ("a", 1): 7})
    metrics.set_lag({("a", 1): 6})
    assert value(metrics, "nightjar_lag_messages", topic="a", partition="0") is None
    assert value(metrics, "nightjar_lag_messages", topic="a", partition="1") == 6


def test_process_is_measured_too() -> None:
    assert b"process_resident_memory_bytes" in generate_latest(WorkerMetrics().registry)
