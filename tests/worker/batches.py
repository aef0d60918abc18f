"""Batches through a processor, and what comes of them."""

from collections.abc import Sequence
from typing import Any

import orjson

from service.core.alerts import Survey
from service.core.ports.messages import OutgoingMessage, SourceMessage
from service.decoding.decoder import RawMessage
from service.settings import Settings
from service.wiring.decoding import decoder
from service.worker.batch import BatchProcessor
from tests.support.service import without_timestamps
from tests.support.streams import simulated_packets, source_messages

__all__ = ["STREAM", "another_database", "object_with_alerts", "process", "read", "results"]

STREAM = source_messages(simulated_packets()[:200], partitions=4)


def results(batches: Sequence[Sequence[OutgoingMessage]]) -> dict[bytes, bytes]:
    """Map the place each result came from to its record without timestamps."""
    found: dict[bytes, bytes] = {}
    for batch in batches:
        for message in batch:
            source = dict(message.headers)["source"]
            assert source not in found
            found[source] = without_timestamps(message.value or b"")
    return found


def process(made: BatchProcessor, messages: Sequence[SourceMessage], size: int) -> dict[bytes, bytes]:
    return results([made.process(messages[i : i + size]).outgoing for i in range(0, len(messages), size)])


def read(message: OutgoingMessage) -> dict[str, Any]:
    record: dict[str, Any] = orjson.loads(message.value or b"")
    return record


def another_database(redis_url: str) -> str:
    return redis_url.removesuffix("/0") + "/1"


def object_with_alerts(count: int) -> list[SourceMessage]:
    """Give the messages of one object that has at least so many."""
    settings = Settings()
    alerts = decoder(settings).decode([RawMessage(m.value or b"", Survey.ZTF) for m in STREAM]).alerts
    names = list(alerts.object_id)
    name = max(set(names), key=names.count)
    own = [STREAM[int(m)] for m, n in zip(alerts.message, names, strict=True) if n == name]
    assert len(own) >= count
    return own
