"""Errors as problem documents (RFC 9457): one form for every answer that is not a success."""

from collections.abc import Sequence
from enum import Enum
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.errors import SettingsError, StoreUnavailableError

__all__ = [
    "MEDIA_TYPE",
    "Fault",
    "Problem",
    "ProblemError",
    "ProblemType",
    "documented",
    "install",
    "problem_response",
]

MEDIA_TYPE = "application/problem+json"

RETRY_AFTER_S = 5
"""What a client is asked to wait while Redis does not answer: about a restart of a small one."""

MOST_FAULTS = 20
"""Faults listed for one request: a light curve with a wrong column has as many as rows."""

log = structlog.get_logger(__name__)


class ProblemType(Enum):
    """The kinds of problem: name in the ``type`` URI, status, title."""

    INVALID_OBJECT_ID = ("invalid-object-id", 400, "Not an object id")
    INVALID_JSON = ("invalid-json", 400, "The body is not JSON")
    UNAUTHORIZED = ("unauthorized", 401, "A token is needed")
    WRITES_DISABLED = ("writes-disabled", 403, "This server takes no changes")
    UNKNOWN_OBJECT = ("unknown-object", 404, "No such object")
    UNKNOWN_FILTER = ("unknown-filter", 404, "No such filter")
    UNKNOWN_SCHEMA = ("unknown-schema", 404, "No such schema")
    NO_MODEL = ("no-model", 404, "No model for this survey")
    FILTER_EXISTS = ("filter-exists", 409, "There is another filter of that name, or no room for one")
    INVALID_REQUEST = ("invalid-request", 422, "The request does not fit its description")
    TOO_MANY_REQUESTS = ("too-many-requests", 429, "Too many requests")
    UNREADABLE_STATE = ("unreadable-state", 500, "What is stored cannot be read")
    FORMAT_UNAVAILABLE = ("format-unavailable", 501, "This server cannot write that format")
    INTERNAL = ("internal", 500, "The service failed")
    STREAM_UNAVAILABLE = ("stream-unavailable", 503, "The live stream takes nobody now")
    BUSY = ("busy", 503, "Too much to do")
    TIMED_OUT = ("timed-out", 504, "No answer in time")
    STORE_UNAVAILABLE = ("store-unavailable", 503, "The store of objects does not answer")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title

    @property
    def uri(self) -> str:
        """The ``type`` of the problem document."""
        return f"urn:nightjar:problem:{self.slug}"


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    location: str = Field(
        description="Where: body, path or query, and the field", examples=["body.observations.0.band"]
    )
    message: str = Field(description="What", examples=["Input should be 'u', 'g', 'r', 'i', 'z' or 'y'"])


class Problem(BaseModel):
    """A problem document (RFC 9457), served as ``application/problem+json``."""

    type: str = Field(
        description="URI of the kind of problem; about:blank where the status says all",
        examples=["urn:nightjar:problem:unknown-object"],
    )
    title: str = Field(description="The kind of problem, for people", examples=["No such object"])
    status: int = Field(description="HTTP status code", examples=[404])
    detail: str | None = Field(
        None, description="What happened here", examples=["no object ztf:ZTF21abiuvdk is known"]
    )
    instance: str | None = Field(
        None, description="Path of the request", examples=["/v1/objects/ztf:ZTF21abiuvdk"]
    )
    errors: list[Fault] | None = Field(None, description="What is wrong with the request, where that is it")


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
    """Make the response to one problem; `options` are ``errors`` and ``headers``."""
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
    """Give the ``responses`` of an endpoint for OpenAPI: these problems, and any other as the default."""
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
        for fault in faults[:MOST_FAULTS]
    ]
    detail = f"{len(faults)} thing{'s' * (len(faults) != 1)} wrong with the request"
    return problem_response(ProblemType.INVALID_REQUEST, detail, request.url.path, errors=errors)


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    """Answer what the framework itself refuses: unknown paths and methods."""
    problem = Problem(
        type="about:blank",  # the title then is the status's own phrase
        title=HTTPStatus(error.status_code).phrase,
        status=error.status_code,
        detail=error.detail,
        instance=request.url.path,
    )
    return _response(problem, dict(error.headers or {}))


async def _on_store_error(request: Request, error: StoreUnavailableError | SettingsError) -> Response:
    # The message names the store's address, which is the operator's business, not the client's.
    log.warning("store does not answer", path=request.url.path, error=str(error))
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    detail = "try again later"
    return problem_response(ProblemType.STORE_UNAVAILABLE, detail, request.url.path, headers=headers)


async def _on_unexpected(request: Request, _error: Exception) -> Response:
    # The server logs the traceback; the client is told nothing of our insides.
    return problem_response(ProblemType.INTERNAL, "this was not expected", request.url.path)
