"""One client of the live stream: what waits for it, and why its stream ends."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from enum import Enum

from service.api.live.batches import StreamQuery
from service.api.render.json import json_bytes

__all__ = ["EndReason", "StreamClient"]


class EndReason(Enum):
    """Why the service ends a stream: what the last message says."""

    SLOW = "too slow: more was waiting for this client than is kept; come back with Last-Event-ID"
    STOPPING = "the server stops; come back with Last-Event-ID"
    REMOVED = "the filter was removed"


class StreamClient:
    """What waits for one client; to be used in the event loop.

    Parameters
    ----------
    wanted
        What it asked for.
    most_bytes
        Waiting at most; a client that lets more come together is dropped.
    on_drop
        Called when that happens.
    """

    def __init__(self, wanted: StreamQuery, *, most_bytes: int, on_drop: Callable[[], None]) -> None:
        self.wanted = wanted
        self._on_drop = on_drop
        self.ended: EndReason | None = None
        self._most_bytes = most_bytes
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._news = asyncio.Event()

    def push(self, events: bytes) -> None:
        """Add events; where they are too many, forget all that waits and end the stream."""
        if self.ended is not None:
            return
        if self._waiting_bytes + len(events) > self._most_bytes:
            self._waiting.clear()
            self.end(EndReason.SLOW)
            self._on_drop()
            return
        self._waiting.append(events)
        self._waiting_bytes += len(events)
        self._news.set()

    def end(self, why: EndReason) -> None:
        """End the stream, after what waits."""
        self.ended = self.ended or why
        self._news.set()

    async def events(self, heartbeat_s: float, position: Callable[[], str]) -> AsyncIterator[bytes]:
        """Give what waits and what comes, until the stream ends.

        Parameters
        ----------
        heartbeat_s
            Give a sign of life after so long without an event.
        position
            Gives the id of now: everything before it was pushed here.
        """
        while True:
            if not self._waiting and self.ended is None:
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), heartbeat_s)
                except TimeoutError:
                    # An id without an event moves the client's Last-Event-ID, and nothing else.
                    yield f": heartbeat\nid: {position()}\n\n".encode()
            if self._waiting:
                events = b"".join(self._waiting)
                self._waiting.clear()
                self._waiting_bytes = 0
                yield events
            elif self.ended is not None:
                yield b"event: end\ndata: " + json_bytes({"reason": self.ended.value}) + b"\n\n"
                return
