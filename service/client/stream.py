"""The live stream, resumed after every interruption."""

import time
import warnings
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
from pydantic_core import from_json

from .errors import MissedResultsWarning, NoAnswerError
from .events import Event, read_events
from .http import FIRST_WAIT_S, LONGEST_WAIT_S, Transport
from .models import LiveResult

__all__ = ["follow"]

PATH = "/v1/stream"
SILENCE = timedelta(seconds=60)
"""The server sends a heartbeat every few seconds; after this time without one the connection is dead."""


def follow(transport: Transport, params: Mapping[str, Any], retries: int) -> Iterator[LiveResult]:
    """Iterate over results as they arrive, without end; each once, even if the connection is lost in between.

    After an interruption, or where the server drops this client as too slow, the stream resumes at the last
    event.

    Parameters
    ----------
    retries
        How often in a row connecting may fail.

    Raises
    ------
    NoAnswerError
        The server does not answer.
    ApiError
        The parameters are invalid, or the stored filter was removed.

    Warns
    -----
    MissedResultsWarning
        Results published during an interruption are no longer available.
    """
    last_id, failures = "", 0
    while True:
        try:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
            with transport.lines(PATH, params, headers, SILENCE) as lines:
                for event in read_events(lines, last_id):
                    failures, last_id = 0, event.last_id
                    yield from _results(event)
        except (httpx.TransportError, NoAnswerError) as error:
            failures += 1
            if failures > retries:
                raise NoAnswerError(f"live stream lost: {error}") from error
        time.sleep(min(FIRST_WAIT_S * 2**failures, LONGEST_WAIT_S))


def _results(event: Event) -> Iterator[LiveResult]:
    match event.kind:
        case "classification":
            yield LiveResult.model_validate(from_json(event.data))
        case "gap":
            missed = from_json(event.data)["offsets"]
            warnings.warn(
                f"{missed} results were missed and are no longer available",
                MissedResultsWarning,
                stacklevel=3,
            )
