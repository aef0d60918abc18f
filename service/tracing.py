"""Spans of batches, exported by OpenTelemetry."""

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
    """Records spans with OpenTelemetry; an exception that leaves a span is recorded in it.

    Parameters
    ----------
    processor
        Receives the spans that have ended.
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
        # Shuts down with the process, and then exports what is left.
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("nightjar")

    def span(self, name: str, count: int = 0) -> AbstractContextManager[object]:
        """Return a context that is timed as a child of the current span.

        Parameters
        ----------
        name
            Of the span.
        count
            Number of items processed, recorded as an attribute.
        """
        return self._tracer.start_as_current_span(name, attributes={"nightjar.count": count})


def otlp_tracer(endpoint: str, worker: str) -> BatchTracer:
    """Return a tracer that sends spans to a collector in the background; rejected spans are lost.

    Parameters
    ----------
    endpoint
        URL of the collector with its path, OTLP over HTTP.
    worker
        Name of this worker.
    """
    return BatchTracer(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)), worker)
