"""Bounds on what one request may be, and on how many there may be."""

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
"""What a client is asked to wait while we have more to do than we want."""

# Whoever watches over the service has to reach it when others flood it.
ALWAYS_SERVED = frozenset({"/healthz", "/readyz", "/metrics"})

MOST_CLIENTS = 100_000
"""Clients whose rate is remembered; beyond, those who have not come for longest are forgotten."""


class BodyLimitMiddleware:
    """Refuses a body as soon as more of it was read than is allowed, whatever its header promised.

    Parameters
    ----------
    app
        What to serve.
    most_bytes
        So many are read.
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        n_bytes = 0

        async def count() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self._most_bytes:
                detail = f"more than the {self._most_bytes} bytes that are read"
                raise HTTPException(CONTENT_TOO_LARGE, detail, headers={"Connection": "close"})
            return message

        await self._app(scope, count, send)


class RateLimitMiddleware:
    """Asks a client that sends more requests than it may to come again later: a token bucket for each.

    Parameters
    ----------
    app
        What to serve.
    rate_hz
        Requests a second for long, by the address of the client; 0 for any number.
    burst
        Requests at once, after a pause.
    clock
        Seconds.
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
        """Serve a request or refuse it."""
        if scope["type"] == "http" and self._rate_hz and scope["path"] not in ALWAYS_SERVED:
            wait_s = self._take((scope.get("client") or ("",))[0])
            if wait_s:
                detail = f"more than {self._rate_hz:g} requests a second"
                headers = {"Retry-After": str(int(wait_s) + 1)}
                answer = problem_response(
                    ProblemType.TOO_MANY_REQUESTS, detail, scope["path"], headers=headers
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _take(self, address: str) -> float:
        """Count a request; gives for how many seconds the client has to wait, 0 for not at all."""
        now_s = self._clock()
        left, then_s = self._left.pop(address, (self._burst, now_s))
        left = min(self._burst, left + (now_s - then_s) * self._rate_hz)
        is_served = left >= 1.0
        self._left[address] = (left - is_served, now_s)
        if len(self._left) > MOST_CLIENTS:
            del self._left[next(iter(self._left))]
        return 0.0 if is_served else (1.0 - left) / self._rate_hz


class TimeoutMiddleware:
    """Answers instead of an application that takes too long, and refuses what would only wait.

    What an endpoint does cannot be stopped; its answer is thrown away. An answer that has begun may go on
    as long as it likes: it may be a stream.

    Parameters
    ----------
    app
        What to serve.
    time_limit
        Until the answer begins.
    most_at_once
        Requests whose answers have not begun.
    """

    def __init__(self, app: ASGIApp, time_limit: timedelta, most_at_once: int) -> None:
        self._app = app
        self._limit_s = time_limit.total_seconds()
        self._most_at_once = most_at_once
        self._waiting = 0
        self._answers: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or scope["path"] in ALWAYS_SERVED:
            await self._app(scope, receive, send)
        elif self._waiting >= self._most_at_once:
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            detail = f"{self._waiting} requests are in work"
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
