"""The live stream, resumed after every cut where it was cut."""

import time
import warnings
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import orjson

from service.client.errors import MissedResultsWarning, NoAnswerError
from service.client.events import Event, read_events
from service.client.http import FIRST_WAIT_S, LONGEST_WAIT_S, Transport
from service.client.models import Candidate

__all__ = ["follow"]

PATH = "/v1/stream"
SILENCE = timedelta(seconds=60)
"""The server sends a heartbeat every few seconds; so long without one, and the connection is dead."""


def follow(transport: Transport, params: Mapping[str, Any], retries: int) -> Iterator[Candidate]:
    """Give results as they come, for ever; each once, though the connection is lost in between.

    A server that stops, or that drops this reader as too slow, is asked again from where it was left.

    Parameters
    ----------
    retries
        How often in a row a connection may fail to be made.

    Raises
    ------
    NoAnswerError
        The server stays away.
    ApiError
        What is asked for is wrong, or the stored filter was removed.

    Warns
    -----
    MissedResultsWarning
        The connection was lost for longer than results are kept.
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
                raise NoAnswerError(f"the stream is lost: {error}") from error
        time.sleep(min(FIRST_WAIT_S * 2**failures, LONGEST_WAIT_S))


def _results(event: Event) -> Iterator[Candidate]:
    match event.kind:
        case "classification":
            yield Candidate.model_validate(orjson.loads(event.data))
        case "gap":
            missed = orjson.loads(event.data)["offsets"]
            warnings.warn(f"{missed} results are not kept any more", MissedResultsWarning, stacklevel=3)
