"""What a client may be told instead of an answer.

::

    ServiceError
    └── ClientError
        ├── NoAnswerError       the server cannot be reached, or is not ready, after every retry
        └── ApiError            the server says what is wrong with the request
            └── NotFoundError   there is no such object, or filter

    UserWarning
    └── MissedResultsWarning    results came while a stream was cut that are not kept any more
"""

from typing import Any

from service.errors import ServiceError

__all__ = ["ApiError", "ClientError", "MissedResultsWarning", "NoAnswerError", "NotFoundError"]

SHOWN_FAULTS = 3


class ClientError(ServiceError):
    """Anything the client raises on purpose."""


class NoAnswerError(ClientError):
    """The server cannot be reached, or is not ready, after every retry."""


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
        faults = [f"{one['location']}: {one['message']}" for one in problem.get("errors") or ()]
        title = problem.get("title", f"status {status}")
        super().__init__(
            "; ".join([f"{title}: {problem.get('detail', '')}".rstrip(": "), *faults[:SHOWN_FAULTS]])
        )


class NotFoundError(ApiError):
    """The server has no such object, or filter."""


class MissedResultsWarning(UserWarning):
    """Results came while a stream was cut that are not kept any more; it goes on with those that are."""
