"""A bound on the size of requests."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["MOST_BODY_BYTES", "BodyLimitMiddleware"]

MOST_BODY_BYTES = 2 * 2**20
"""A light curve of 5000 observations, generously written, takes 1 MB."""

CONTENT_TOO_LARGE = 413


class BodyLimitMiddleware:
    """Refuses a body as soon as more of it was read than is allowed, whatever its header promised."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        n_bytes = 0

        async def count() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > MOST_BODY_BYTES:
                detail = f"more than the {MOST_BODY_BYTES} bytes that are read"
                raise HTTPException(CONTENT_TOO_LARGE, detail, headers={"Connection": "close"})
            return message

        await self._app(scope, count, send)
