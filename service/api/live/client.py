"""One client of the live stream: the events queued for it, and why its stream ends."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from enum import Enum

from service.api.live.batches import StreamQuery
from service.api.render.json import json_bytes

__all__ = ["EndReason", "StreamClient"]


class EndReason(Enum):
    """Why the server ends a stream; the ``detail`` of the last event."""

    SLOW = "client too slow: its buffer is full; reconnect with Last-Event-ID"
    STOPPING = "server shutting down; reconnect with Last-Event-ID"
    REMOVED = "the stored filter was removed"


class StreamClient:
    """The events queued for one client; for use in the event loop.

    Parameters
    ----------
    query
        Which results it receives.
    max_bytes
        Size of the queue; a client that lets it fill up is dropped.
    on_drop
        Called when that happens.
    """

    def __init__(self, query: StreamQuery, *, max_bytes: int, on_drop: Callable[[], None]) -> None:
        self.query = query
        self._on_drop = on_drop
        self.ended: EndReason | None = None
        self._max_bytes = max_bytes
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._changed = asyncio.Event()

    def push(self, events: bytes) -> None:
        """Queue events; where they exceed the limit, drop the queue and end the stream.

        Parameters
        ----------
        events
            Server-sent events, encoded.
        """
        if self.ended is not None:
            return
        if self._queued_bytes + len(events) > self._max_bytes:
            self._queue.clear()
            self.end(EndReason.SLOW)
            self._on_drop()
            return
        self._queue.append(events)
        self._queued_bytes += len(events)
        self._changed.set()

    def end(self, reason: EndReason) -> None:
        """End the stream after the queued events.

        Parameters
        ----------
        reason
            Sent to the client as the last event.
        """
        self.ended = self.ended or reason
        self._changed.set()

    async def events(self, heartbeat_s: float, position: Callable[[], str]) -> AsyncIterator[bytes]:
        """Iterate over queued and new events until the stream ends.

        Parameters
        ----------
        heartbeat_s
            Interval of heartbeats where there are no events.
        position
            Returns the present id: everything before it was pushed here.
        """
        while True:
            if not self._queue and self.ended is None:
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), heartbeat_s)
                except TimeoutError:
                    # An id without an event only moves the client's Last-Event-ID.
                    yield f": heartbeat\nid: {position()}\n\n".encode()
            if self._queue:
                events = b"".join(self._queue)
                self._queue.clear()
                self._queued_bytes = 0
                yield events
            elif self.ended is not None:
                yield b"event: end\ndata: " + json_bytes({"detail": self.ended.value}) + b"\n\n"
                return
