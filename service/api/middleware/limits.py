"""Limits on the size, rate and number of requests."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import ProblemType, problem_response

__all__ = ["BodyLimitMiddleware", "RateLimitMiddleware", "TimeoutMiddleware"]

CONTENT_TOO_LARGE = 413

RETRY_AFTER_S = 1
"""Wait asked of clients while the server is busy."""

# Monitoring must reach the service when others flood it.
ALWAYS_SERVED = frozenset({"/healthz", "/readyz", "/metrics"})

MAX_CLIENTS = 100_000
"""Clients whose rate is tracked; beyond that, the least recent are dropped."""


class BodyLimitMiddleware:
    """Refuses a body as soon as more of it was read than is allowed, whatever its header says.

    Parameters
    ----------
    app
        The application.
    max_bytes
        Greatest size of a body.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        n_bytes = 0

        async def count() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self._max_bytes:
                detail = f"body exceeds {self._max_bytes} bytes"
                raise HTTPException(CONTENT_TOO_LARGE, detail, headers={"Connection": "close"})
            return message

        await self._app(scope, count, send)


class RateLimitMiddleware:
    """Limits the rate of requests of each client, by a token bucket.

    Parameters
    ----------
    app
        The application.
    rate_hz
        Sustained requests per second and client address; 0 for no limit.
    burst
        Requests at once after a pause.
    clock
        Returns seconds.
    """

    def __init__(
        self, app: ASGIApp, rate_hz: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._rate_hz = rate_hz
        self._burst = float(burst)
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}  # address: requests left, as of when

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse a request."""
        if scope["type"] == "http" and self._rate_hz and scope["path"] not in ALWAYS_SERVED:
            wait_s = self._take((scope.get("client") or ("",))[0])
            if wait_s:
                detail = f"more than {self._rate_hz:g} requests per second"
                headers = {"Retry-After": str(int(wait_s) + 1)}
                answer = problem_response(
                    ProblemType.TOO_MANY_REQUESTS, detail, scope["path"], headers=headers
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _take(self, address: str) -> float:
        """Count a request, and return the seconds to wait until it is allowed, 0 where it is."""
        now_s = self._clock()
        left, then_s = self._left.pop(address, (self._burst, now_s))
        left = min(self._burst, left + (now_s - then_s) * self._rate_hz)
        is_served = left >= 1.0
        self._left[address] = (left - is_served, now_s)
        if len(self._left) > MAX_CLIENTS:
            del self._left[next(iter(self._left))]
        return 0.0 if is_served else (1.0 - left) / self._rate_hz


class TimeoutMiddleware:
    """Answers in place of an application that takes too long, and refuses requests beyond a maximum.

    An endpoint cannot be stopped; its late answer is discarded. A response that has begun may take as long as
    it likes: it may be a stream.

    Parameters
    ----------
    app
        The application.
    time_limit
        Longest time until the response begins.
    max_requests
        Greatest number of requests whose responses have not begun.
    """

    def __init__(self, app: ASGIApp, time_limit: timedelta, max_requests: int) -> None:
        self._app = app
        self._limit_s = time_limit.total_seconds()
        self._max_requests = max_requests
        self._waiting = 0
        self._answers: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or scope["path"] in ALWAYS_SERVED:
            await self._app(scope, receive, send)
        elif self._waiting >= self._max_requests:
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            detail = f"{self._waiting} requests in progress"
            await problem_response(ProblemType.BUSY, detail, scope["path"], headers=headers)(
                scope, receive, send
            )
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_waiting, is_late = True, False

        def begin() -> None:
            nonlocal is_waiting
            self._waiting -= is_waiting
            is_waiting = False

        def give_up() -> None:
            nonlocal is_late
            is_late = is_waiting
            if is_late:
                begin()
                detail = f"no answer within {self._limit_s:g} s"
                answer = problem_response(ProblemType.TIMED_OUT, detail, scope["path"])
                task = asyncio.ensure_future(answer(scope, receive, send))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)

        async def forward(message: Message) -> None:
            if not is_late:
                begin()
                await send(message)

        self._waiting += 1
        timer = asyncio.get_running_loop().call_later(self._limit_s, give_up)
        try:
            await self._app(scope, receive, forward)
        finally:
            timer.cancel()
            begin()
