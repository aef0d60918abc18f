"""Requests over HTTP, retried where that may help."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import httpx
from pydantic_core import from_json

from .errors import ApiError, NoAnswerError, NotFoundError

__all__ = ["Transport"]

# The server, or a proxy in front of it, is starting, busy or restarting. No request of ours changes anything,
# so each may be repeated.
RETRIED = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 10.0


class Transport:
    """Sends requests and reads the JSON of the answers.

    Parameters
    ----------
    url
        Base URL of the API.
    timeout
        Longest wait for a connection, and for each piece of an answer.
    retries
        How often a request is repeated.
    token
        Sent with every request; empty for none.
    """

    def __init__(self, url: str, timeout: timedelta, retries: int, token: str = "") -> None:
        self._timeout_s = timeout.total_seconds()
        headers = {"User-Agent": "nightjar-client"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx.Client(base_url=url, timeout=self._timeout_s, headers=headers)
        self._retries = retries

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Return the answer to a GET request.

        Raises
        ------
        NoAnswerError, ApiError
            See `errors`.
        """
        return self._send(lambda: self._client.get(path, params=params))

    def post(self, path: str, body: Any) -> Any:
        """Return the answer to a POST request; raises as `get` does."""
        return self._send(lambda: self._client.post(path, json=body))

    @contextmanager
    def lines(
        self, path: str, params: Mapping[str, Any], headers: Mapping[str, str], silence: timedelta
    ) -> Iterator[Iterator[str]]:
        """Open an answer that does not end, and return its lines as they arrive.

        Parameters
        ----------
        silence
            Time without a line after which the connection counts as lost.

        Raises
        ------
        httpx.TransportError
            The connection could not be made, or was lost; the caller decides what to do.
        NoAnswerError, ApiError
            The server answered with an error.
        """
        timeout = httpx.Timeout(self._timeout_s, read=silence.total_seconds())
        with self._client.stream("GET", path, params=params, headers=headers, timeout=timeout) as response:
            if response.status_code != HTTPStatus.OK:
                response.read()
                raise _error(response)
            yield response.iter_lines()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _send(self, send: Callable[[], httpx.Response]) -> Any:
        for attempt in range(self._retries + 1):
            wait_s = min(FIRST_WAIT_S * 2**attempt, LONGEST_WAIT_S)
            try:
                response = send()
            except httpx.TransportError as error:
                failure: ApiError | NoAnswerError = NoAnswerError(f"{self._client.base_url}: {error}")
            else:
                if response.status_code not in RETRIED:
                    return _content(response)
                failure = _error(response)
                wait_s = min(_retry_after_s(response, wait_s), LONGEST_WAIT_S)
            if attempt < self._retries:
                # Clients that failed together do not come back together.
                time.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311
        raise failure


def _content(response: httpx.Response) -> Any:
    if response.is_success:
        return from_json(response.content)
    raise _error(response)


def _error(response: httpx.Response) -> ApiError | NoAnswerError:
    try:
        problem = from_json(response.content)
    except ValueError:
        problem = {}
    problem = problem if isinstance(problem, dict) else {}
    if response.status_code in RETRIED:
        return NoAnswerError(f"{response.url}: {problem.get('title', response.reason_phrase)}")
    if response.status_code == HTTPStatus.NOT_FOUND:
        return NotFoundError(response.status_code, problem)
    return ApiError(response.status_code, problem)


def _retry_after_s(response: httpx.Response, default_s: float) -> float:
    """Return the wait that the server asks for; a date, which some proxies send, is ignored."""
    try:
        return float(response.headers.get("Retry-After", ""))
    except ValueError:
        return default_s
