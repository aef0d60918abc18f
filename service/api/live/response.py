"""A response without end: server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

__all__ = ["EventStream"]

SEND_TIMEOUT_S = 60.0
"""Time after which a client that reads nothing, with all buffers full, is disconnected."""

log = structlog.get_logger(__name__)


class EventStream(Response):
    """Sends chunks of events as they arrive, until they end or the client disconnects.

    Parameters
    ----------
    events
        Chunks to send; closed in any case.
    on_end
        Called last.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], on_end: Callable[[], None]) -> None:
        # Proxies must forward events immediately; nginx buffers them unless told not to.
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        del scope  # the request was read before
        sending = asyncio.create_task(self._send(send))
        disconnected = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({sending, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            disconnected.cancel()
            sending.cancel()
            [outcome] = await asyncio.gather(sending, return_exceptions=True)
            self._on_end()
        if isinstance(outcome, Exception):
            raise outcome

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._events) as events:  # type: ignore[type-var]  # they are generators
            async for chunk in events:
                try:
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                except TimeoutError:
                    log.info("unresponsive live stream client disconnected")
                    return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
