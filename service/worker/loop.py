"""The worker's loop: poll a batch, process it, commit its results with its offsets."""

import gc
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from threading import Event
from typing import NamedTuple, Protocol

import structlog

from service.backoff import Backoff
from service.core.ports.messages import MessageSink, MessageSource, SourceMessage
from service.errors import TransientError
from service.worker.metrics import WorkerMetrics
from service.worker.outage import Outage
from service.worker.publish import BatchResult
from service.worker.trace import NO_TRACE, Tracer

__all__ = ["Worker"]

log = structlog.get_logger(__name__)

INITIAL_DELAY = timedelta(milliseconds=100)
# Short enough to resume soon after the end of an outage.
MAXIMUM_DELAY = timedelta(seconds=2)
LAG_INTERVAL = timedelta(seconds=1)
GARBAGE_THRESHOLD = 100_000  # allocations minus deallocations that trigger a collection


class Processor(Protocol):
    """Processes a batch: `service.worker.batch`, or `service.worker.filters`."""

    def prepare(self) -> None:
        """Prepare; may be repeated."""

    def process(self, messages: Sequence[SourceMessage]) -> BatchResult:
        """Process a batch; safe to be repeated with the same messages."""

    def idle(self) -> None:
        """Do periodic work while there are no messages; called every few milliseconds."""


class UncommittedBatch(NamedTuple):
    """A batch whose results may or may not be committed."""

    messages: Sequence[SourceMessage]
    result: BatchResult
    started_s: float


class Worker:
    """One member of the consumer group.

    Parameters
    ----------
    source, sink
        Where batches come from and results go, for instance Kafka.
    processor
        Processes batches.
    metrics
        Counts.
    stop
        Set from outside to end `run`: the current batch is committed, or aborted where it cannot be.
    tracer
        Times each batch and its steps.
    """

    def __init__(
        self,
        source: MessageSource,
        sink: MessageSink,
        processor: Processor,
        metrics: WorkerMetrics,
        stop: Event,
        tracer: Tracer = NO_TRACE,
    ) -> None:
        self._source = source
        self._sink = sink
        self._processor = processor
        self._metrics = metrics
        self._stop = stop
        self._tracer = tracer
        self._outage = Outage(metrics)
        self._holds_a_batch = False
        self._uncommitted: UncommittedBatch | None = None
        self._backoff = Backoff(INITIAL_DELAY, MAXIMUM_DELAY)
        self._lag_reported_s = 0.0

    def run(self) -> None:
        """Process batches until told to stop.

        1. Poll a batch.
        2. Decode, merge, classify and save it. What is saved is keyed by measurement and by alert, so
           doing this twice changes nothing and gives the same results.
        3. Begin a transaction.
        4. Produce the results and the dead letters.
        5. Put the source's offsets into the transaction.
        6. Commit. From here on the alerts have their results; after a failure anywhere before, the
           transaction is abandoned and everything since the last commit is done again.

        Raises
        ------
        FencedError
            The broker has fenced this producer: start again with new clients.
        FatalError
            No retry can help.
        """
        try:
            self._prepare()
            while not self._stop.is_set():
                try:
                    self._metrics.status.heartbeat()
                    started_s = time.monotonic()
                    messages = self._source.poll()
                    if messages:
                        with self._tracer.span("batch", len(messages)):
                            self._process(messages, started_s)
                    else:
                        self._processor.idle()
                    self._outage.record_success(by_commit=bool(messages))
                    self._report_lag()
                except TransientError as error:
                    self._wait_after(error)
                    self._retry_until_done(self._back_to_last_commit)
        finally:
            self._sink.close()
            self._source.close()

    def _process(self, messages: Sequence[SourceMessage], started_s: float) -> None:
        """Do steps 2 to 6 of `run`."""
        self._holds_a_batch = True
        with self._tracer.span("process", len(messages)):
            result = self._processor.process(messages)
        self._uncommitted = UncommittedBatch(messages, result, started_s)
        with self._tracer.span("produce", len(result.outgoing)):
            self._sink.begin()
            self._sink.produce(result.outgoing)
        with self._tracer.span("commit"):
            self._sink.send_offsets(self._source.positions(), self._on_wait)
            self._sink.commit(self._on_wait)
        self._source.mark_committed()
        self._record_commit()

    def _prepare(self) -> None:
        """Wait for the store and the broker, in this order, then join the group."""
        for step in (self._processor.prepare, self._source.check, self._sink.connect):
            self._retry_until_done(step)
        if not self._stop.is_set():
            self._outage.record_success(by_commit=True)
            self._freeze_collector()
            self._source.open()
            self._metrics.status.set_ready()
            log.info("ready")

    def _freeze_collector(self) -> None:
        """Exclude what lives as long as the process, above all the compiler, from garbage collection."""
        gc.collect()
        gc.freeze()
        # A batch makes thousands of objects, none in a cycle: at the default threshold of 700 the collector
        # scans them again and again, which took a fifth of a worker's time.
        gc.set_threshold(GARBAGE_THRESHOLD, *gc.get_threshold()[1:])

    def _retry_until_done(self, step: Callable[[], None]) -> None:
        """Repeat a step until it succeeds or the worker is told to stop."""
        while not self._stop.is_set():
            try:
                return step()
            except TransientError as error:
                self._wait_after(error)
        return None

    def _wait_after(self, error: TransientError) -> None:
        """Pause, longer after each failure since the last commit."""
        self._outage.record_failure(error, holds_a_batch=self._holds_a_batch)
        self._stop.wait(self._backoff.next_s())

    def _back_to_last_commit(self) -> None:
        self._sink.reset()
        is_committed = self._source.rewind()
        if is_committed:
            self._record_commit()  # only the response to the commit was lost
        self._sink.abort_hanging(is_committed=is_committed)
        self._uncommitted = None
        if is_committed:
            self._outage.record_success(by_commit=True)

    def _on_wait(self, error: TransientError) -> None:
        """Keep waiting for the broker, unless told to stop."""
        self._outage.record_failure(error, holds_a_batch=True)
        if self._stop.is_set():
            raise error

    def _record_commit(self) -> None:
        """Count the batch that was committed."""
        self._holds_a_batch = False
        self._backoff.reset()
        if self._uncommitted is None:
            return
        messages, result, started_s = self._uncommitted
        self._uncommitted = None
        for (topic, partition), count in result.consumed.items():
            self._metrics.count_consumed(topic, partition, count)
        for outcome, count in result.outcomes.items():
            self._metrics.count_outcome(*outcome, count)
        self._metrics.count_top_classes(result.top_classes)
        for survey, published_ms in result.published_ms.items():
            self._metrics.time_alerts(survey, time.time() - published_ms / 1000)
        self._metrics.time_batch(timedelta(seconds=time.monotonic() - started_s), len(messages))

    def _report_lag(self) -> None:
        now_s = time.monotonic()
        if now_s - self._lag_reported_s >= LAG_INTERVAL.total_seconds():
            self._lag_reported_s = now_s
            self._metrics.set_lag(self._source.lag())
