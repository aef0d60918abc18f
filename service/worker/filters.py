"""Stored filters: results that pass one go to its topic, exactly once."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from service.core.ports.messages import SOURCE_HEADER, OutgoingMessage, SourceMessage
from service.core.ports.store import ObjectStore
from service.core.records.published import parse_record
from service.core.records.result_batch import ResultBatch, Vocabulary, result_batch
from service.core.search.filters import FilterSpec
from service.errors import InputError
from service.worker.publish import BatchResult

__all__ = ["FilterProcessor"]

log = structlog.get_logger(__name__)

REFRESH_INTERVAL_S = 2.0


class FilterProcessor:
    """Copies results, byte for byte, to the topics of the filters that they pass.

    Parameters
    ----------
    store
        Filters, and the states of objects.
    make_topic
        Creates a topic where it is missing.
    """

    def __init__(self, store: ObjectStore, make_topic: Callable[[str], None]) -> None:
        self._store = store
        self._make_topic = make_topic
        self._vocabulary = Vocabulary()
        self._topics: set[str] = set()
        self._refreshed_s = 0.0

    def prepare(self) -> None:
        """Read the filters, and create their topics.

        Raises
        ------
        TransientError
            The store or the broker does not answer.
        """
        self._filters()

    def idle(self) -> None:
        """Look for new filters every few seconds: subscribers wait for their topics.

        Raises
        ------
        TransientError
            The store or the broker does not answer.
        """
        if time.monotonic() - self._refreshed_s >= REFRESH_INTERVAL_S:
            self._filters()

    def process(self, messages: Sequence[SourceMessage]) -> BatchResult:
        """Return what is to be published; safe to be repeated with the same messages.

        Parameters
        ----------
        messages
            Records of the output topic.

        Raises
        ------
        TransientError
            The store or the broker does not answer.
        """
        filters = self._filters()
        outgoing = self._matches(messages, filters) if filters else []
        consumed = Counter((message.topic, message.partition) for message in messages)
        return BatchResult(outgoing, consumed, Counter(), Counter(), {})

    def _filters(self) -> list[FilterSpec]:
        """Read the filters, for every batch: a new filter applies from the next batch on."""
        filters = self._store.filters.all()
        self._refreshed_s = time.monotonic()
        for spec in filters:
            if spec.topic not in self._topics:
                self._make_topic(spec.topic)
                self._topics.add(spec.topic)
                log.info("applying filter", filter=spec.name, topic=spec.topic)
        return filters

    def _matches(
        self, messages: Sequence[SourceMessage], filters: Sequence[FilterSpec]
    ) -> list[OutgoingMessage]:
        read, records = [], []
        for message in messages:
            try:
                records.append(parse_record(message.value or b""))
                read.append(message)
            except InputError:
                log.warning("skipping record that is not a result", source=message.source)
        batch = result_batch(records, self._store.load, self._vocabulary)
        return [match for spec in filters for match in _passing(spec, read, batch)]


def _passing(
    spec: FilterSpec, messages: Sequence[SourceMessage], batch: ResultBatch
) -> list[OutgoingMessage]:
    return [
        OutgoingMessage(
            spec.topic,
            message.key,
            message.value,
            [("filter", spec.name.encode()), (SOURCE_HEADER, message.source.encode())],
        )
        for message, passes in zip(messages, spec.mask(batch).tolist(), strict=True)
        if passes
    ]
