"""An answer that goes on: server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

__all__ = ["EventStream"]

SEND_PATIENCE_S = 60.0
"""A client that takes nothing for so long, with full buffers on the way, is given up."""

log = structlog.get_logger(__name__)


class EventStream(Response):
    """Sends chunks of events as they come, until they end or the client goes.

    Parameters
    ----------
    events
        What to send; closed at the end, whatever ends it.
    on_end
        Called last.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], on_end: Callable[[], None]) -> None:
        # A proxy must pass events on as they come; nginx holds them back unless told not to.
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        del scope  # the request was read before
        sending = asyncio.create_task(self._send(send))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
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
                    async with asyncio.timeout(SEND_PATIENCE_S):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                except TimeoutError:
                    log.info("a client of the live stream takes nothing and is given up")
                    return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    """Wait until the client goes."""
    while (await receive())["type"] != "http.disconnect":
        pass
