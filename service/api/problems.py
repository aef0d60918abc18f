"""Errors as problem documents (RFC 9457): one form for every error response."""

from collections.abc import Sequence
from enum import Enum
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.client.schemas.problems import Fault, Problem
from service.errors import SettingsError, StoreUnavailableError

__all__ = [
    "MEDIA_TYPE",
    "ProblemError",
    "ProblemType",
    "documented",
    "install",
    "problem_response",
]

MEDIA_TYPE = "application/problem+json"

RETRY_AFTER_S = 5
"""Wait asked of clients while Redis does not answer: about the restart of a small one."""

MAX_FAULTS = 20
"""Errors listed for one request: a light curve with an invalid column has one per row."""

log = structlog.get_logger(__name__)


class ProblemType(Enum):
    """The kinds of problem: name in the ``type`` URI, status, title."""

    INVALID_OBJECT_ID = ("invalid-object-id", 400, "Invalid object id")
    INVALID_JSON = ("invalid-json", 400, "Invalid JSON")
    UNAUTHORIZED = ("unauthorized", 401, "Token required")
    WRITES_DISABLED = ("writes-disabled", 403, "Changes disabled")
    UNKNOWN_OBJECT = ("unknown-object", 404, "Unknown object")
    UNKNOWN_FILTER = ("unknown-filter", 404, "Unknown filter")
    UNKNOWN_SCHEMA = ("unknown-schema", 404, "Unknown schema")
    NO_MODEL = ("no-model", 404, "No model for this survey")
    FILTER_EXISTS = ("filter-exists", 409, "Filter exists, or too many filters")
    INVALID_REQUEST = ("invalid-request", 422, "Invalid request")
    TOO_MANY_REQUESTS = ("too-many-requests", 429, "Too many requests")
    UNREADABLE_STATE = ("unreadable-state", 500, "Unreadable state")
    FORMAT_UNAVAILABLE = ("format-unavailable", 501, "Format unavailable")
    INTERNAL = ("internal", 500, "Internal error")
    STREAM_UNAVAILABLE = ("stream-unavailable", 503, "Live stream unavailable")
    BUSY = ("busy", 503, "Server busy")
    TIMED_OUT = ("timed-out", 504, "Request timed out")
    STORE_UNAVAILABLE = ("store-unavailable", 503, "Object store unavailable")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title

    @property
    def uri(self) -> str:
        """The ``type`` of the problem document."""
        return f"urn:nightjar:problem:{self.slug}"


class ProblemError(Exception):
    """Ends a request with a problem document."""

    def __init__(
        self,
        kind: ProblemType,
        detail: str,
        *,
        errors: Sequence[Fault] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = list(errors)
        self.headers = headers


def problem_response(kind: ProblemType, detail: str, path: str, **options: Any) -> Response:
    """Return the response for a problem; `options` are ``errors`` and ``headers``."""
    problem = Problem(
        type=kind.uri,
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=path,
        errors=options.get("errors") or None,
    )
    return _response(problem, options.get("headers"))


def documented(*kinds: ProblemType) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of an endpoint for OpenAPI: these problems, and any other as the default."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    named: dict[int | str, dict[str, Any]] = {
        kind.status: {"description": kind.title, "content": content} for kind in kinds
    }
    return named | {"default": {"description": "Any other error", "content": content}}


def install(app: FastAPI) -> None:
    """Make every error of an app a problem document."""
    app.exception_handler(ProblemError)(_on_problem)
    app.exception_handler(RequestValidationError)(_on_invalid_request)
    app.exception_handler(HTTPException)(_on_http_exception)
    app.exception_handler(StoreUnavailableError)(_on_store_error)
    app.exception_handler(SettingsError)(_on_store_error)
    app.exception_handler(Exception)(_on_unexpected)


def _response(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    return Response(
        problem.model_dump_json(exclude_none=True),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


async def _on_problem(request: Request, error: ProblemError) -> Response:
    path = request.url.path
    return problem_response(error.kind, error.detail, path, errors=error.errors, headers=error.headers)


async def _on_invalid_request(request: Request, error: RequestValidationError) -> Response:
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        reason = faults[0].get("ctx", {}).get("error", faults[0]["msg"])
        return problem_response(ProblemType.INVALID_JSON, str(reason), request.url.path)
    errors = [
        Fault(location=".".join(map(str, fault["loc"])), message=fault["msg"].removeprefix("Value error, "))
        for fault in faults[:MAX_FAULTS]
    ]
    detail = f"{len(faults)} validation error{'s' * (len(faults) != 1)}"
    return problem_response(ProblemType.INVALID_REQUEST, detail, request.url.path, errors=errors)


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    """Answer errors of the framework: unknown paths and methods."""
    problem = Problem(
        type="about:blank",  # the title is then the phrase of the status
        title=HTTPStatus(error.status_code).phrase,
        status=error.status_code,
        detail=error.detail,
        instance=request.url.path,
    )
    return _response(problem, dict(error.headers or {}))


async def _on_store_error(request: Request, error: StoreUnavailableError | SettingsError) -> Response:
    # The message names the store's address, which concerns the operator, not the client.
    log.warning("object store unavailable", path=request.url.path, error=str(error))
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    detail = "try again later"
    return problem_response(ProblemType.STORE_UNAVAILABLE, detail, request.url.path, headers=headers)


async def _on_unexpected(request: Request, _error: Exception) -> Response:
    # The server logs the traceback; clients learn nothing of the internals.
    return problem_response(ProblemType.INTERNAL, "internal error", request.url.path)
