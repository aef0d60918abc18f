"""Spans of batches as OpenTelemetry's."""

from contextlib import AbstractContextManager
from importlib.metadata import version

from service.errors import SettingsError

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
except ImportError as error:
    raise SettingsError(
        "NIGHTJAR_OTLP_ENDPOINT needs OpenTelemetry: pip install 'nightjar[tracing]'"
    ) from error

__all__ = ["BatchTracer", "otlp_tracer"]


class BatchTracer:
    """Gives each span to OpenTelemetry; errors that leave a span are recorded in it.

    Parameters
    ----------
    processor
        Takes the spans that have ended.
    worker
        Name of this worker.
    """

    def __init__(self, processor: SpanProcessor, worker: str) -> None:
        resource = Resource.create(
            {
                SERVICE_NAME: "nightjar-worker",
                SERVICE_VERSION: version("nightjar"),
                SERVICE_INSTANCE_ID: worker,
            }
        )
        # Ends with the process, and then sends what it still has.
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("nightjar")

    def span(self, name: str, count: int = 0) -> AbstractContextManager[object]:
        """Time what is done in the context, as a part of the span around it."""
        return self._tracer.start_as_current_span(name, attributes={"nightjar.count": count})


def otlp_tracer(endpoint: str, worker: str) -> BatchTracer:
    """Send spans to a collector, OTLP over HTTP, from a thread of its own; those it does not take are lost.

    Parameters
    ----------
    endpoint
        URL, with its path.
    worker
        Name of this worker.
    """
    return BatchTracer(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)), worker)
