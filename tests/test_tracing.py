"""A trace of each batch, its steps within it; nothing at all where none is asked for."""

import time
from collections.abc import Callable

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from service.settings import Settings
from service.tracing import BatchTracer
from service.wiring.stores import object_store
from service.wiring.worker import batch_processor
from service.worker.loop import Worker
from service.worker.metrics import WorkerMetrics
from service.worker.trace import NO_TRACE
from tests.integration.conftest import models
from tests.support.streams import simulated_packets, source_messages
from tests.worker.test_worker import AWAY, Stage, StageProcessor

__all__ = ["models"]


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> BatchTracer:
    return BatchTracer(SimpleSpanProcessor(exporter), "worker-1")


def parent_name(span: ReadableSpan, spans: tuple[ReadableSpan, ...]) -> str:
    if span.parent is None:
        return ""
    return next(one.name for one in spans if one.context.span_id == span.parent.span_id)


def test_each_batch_is_a_trace_of_its_steps(exporter: InMemorySpanExporter, tracer: BatchTracer) -> None:
    stage = Stage()
    Worker(stage, stage, StageProcessor(stage), WorkerMetrics(), stage.stop, tracer).run()
    spans = exporter.get_finished_spans()
    batches = [span for span in spans if span.name == "batch"]
    assert len(batches) == 3
    assert len({span.context.trace_id for span in batches}) == 3
    for name in ("process", "produce", "commit"):
        assert [parent_name(span, spans) for span in spans if span.name == name] == ["batch"] * 3
    assert [dict(span.attributes or {}) for span in batches] == [{"nightjar.count": 2}] * 3
    assert spans[0].resource.attributes["service.instance.id"] == "worker-1"


def test_a_batch_that_failed_says_why(exporter: InMemorySpanExporter, tracer: BatchTracer) -> None:
    stage = Stage({"process": [AWAY]})
    Worker(stage, stage, StageProcessor(stage), WorkerMetrics(), stage.stop, tracer).run()
    failed = [span for span in exporter.get_finished_spans() if span.status.status_code is StatusCode.ERROR]
    assert {span.name for span in failed} == {"batch", "process"}
    assert failed[0].events[0].attributes is not None
    assert failed[0].events[0].attributes["exception.message"] == "Redis is away"


def test_processing_shows_where_its_time_goes(
    exporter: InMemorySpanExporter,
    tracer: BatchTracer,
    redis_url: str,
    settings_factory: Callable[..., Settings],
    models: dict[str, str],
) -> None:
    settings = settings_factory(None, redis_url, ztf_topics=("ztf",), lsst_topics=("lsst",), **models)
    made = batch_processor(settings, object_store(settings), None, tracer)
    made.prepare()
    exporter.clear()
    made.process(source_messages(simulated_packets()[:20]))
    names = [span.name for span in exporter.get_finished_spans()]
    assert names == ["decode", "load", "classify", "save", "encode"]
    counts = [dict(span.attributes or {})["nightjar.count"] for span in exporter.get_finished_spans()]
    assert counts[0] == counts[-1] == 20


def test_without_a_tracer_a_span_costs_next_to_nothing() -> None:
    def per_span_s() -> float:
        started_s = time.perf_counter()
        for _ in range(1000):
            with NO_TRACE.span("batch", 500):
                pass
        return (time.perf_counter() - started_s) / 1000

    # Eight of them in a batch of hundreds of alerts: a thousandth of its time even at a hundred times this.
    assert min(per_span_s() for _ in range(20)) < 5e-6
