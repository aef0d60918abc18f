"""Errors of the client.

::

    Exception
    └── ClientError
        ├── NoAnswerError       the server, or Kafka, cannot be reached or is not ready, after every retry
        ├── ApiError            the server refuses the request
        │   └── NotFoundError   there is no such object, or filter
        └── RecordError         a topic holds something else than classifications

    UserWarning
    └── MissedResultsWarning    results published during an interruption are no longer available
"""

from typing import Any

__all__ = [
    "ApiError",
    "ClientError",
    "MissedResultsWarning",
    "NoAnswerError",
    "NotFoundError",
    "RecordError",
]

MAX_SHOWN_FAULTS = 3


class ClientError(Exception):
    """Anything the client raises on purpose."""


class NoAnswerError(ClientError):
    """The server, or Kafka, cannot be reached or is not ready, after every retry."""


class ApiError(ClientError):
    """The server refuses a request.

    Attributes
    ----------
    status
        HTTP status.
    problem
        The problem document (RFC 9457); empty where a proxy answered something else.
    """

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.problem = problem
        faults = [f"{fault['location']}: {fault['message']}" for fault in problem.get("errors") or ()]
        title = problem.get("title", f"status {status}")
        super().__init__(
            "; ".join([f"{title}: {problem.get('detail', '')}".rstrip(": "), *faults[:MAX_SHOWN_FAULTS]])
        )


class NotFoundError(ApiError):
    """There is no such object, or filter."""


class RecordError(ClientError):
    """A topic holds something else than classifications, or Avro without fastavro to read it."""


class MissedResultsWarning(UserWarning):
    """Results published during an interruption are no longer available; the stream continues after them."""
