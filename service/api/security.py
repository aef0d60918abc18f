"""Authorization of reads and changes by bearer tokens."""

import secrets
from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.api.context import ContextDependency
from service.api.problems import ProblemError, ProblemType
from service.settings import Settings

__all__ = ["Admin", "Reader", "needs_token", "require_admin", "require_reader"]

_bearer = HTTPBearer(
    auto_error=False,
    description="NIGHTJAR_API_ADMIN_TOKEN for changes; one of NIGHTJAR_API_READ_TOKENS for reading, where "
    "those are set",
)

Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


async def require_reader(context: ContextDependency, credentials: Credentials) -> None:
    """Accept a request with a valid token, or any request where the operator has set no read tokens.

    Raises
    ------
    ProblemError
        Read tokens are set, and the request carries no valid one.
    """
    tokens = _read_tokens(context.settings)
    if tokens and not _is_one_of(credentials, [*tokens, *_admin_tokens(context.settings)]):
        raise _unauthorized(credentials)


async def require_admin(context: ContextDependency, credentials: Credentials) -> None:
    """Accept a request with the operator's token.

    Raises
    ------
    ProblemError
        It carries none or a wrong one, or the operator has set none, which disables changes.
    """
    tokens = _admin_tokens(context.settings)
    if not tokens:
        detail = "changes need a token, and the operator has not set NIGHTJAR_API_ADMIN_TOKEN"
        raise ProblemError(ProblemType.WRITES_DISABLED, detail)
    if not _is_one_of(credentials, tokens):
        raise _unauthorized(credentials)


def needs_token(settings: Settings) -> bool:
    """Return whether reading needs a token."""
    return bool(_read_tokens(settings))


def _admin_tokens(settings: Settings) -> list[str]:
    token = settings.api_admin_token
    return [token.get_secret_value()] if token and token.get_secret_value() else []


def _read_tokens(settings: Settings) -> list[str]:
    given = settings.api_read_tokens.get_secret_value().split(",")
    return [token.strip() for token in given if token.strip()]


def _is_one_of(credentials: HTTPAuthorizationCredentials | None, tokens: Iterable[str]) -> bool:
    given = credentials.credentials.encode() if credentials else b""
    # As bytes: the function accepts only ASCII text. The number of tokens is no secret.
    return any(secrets.compare_digest(given, token.encode()) for token in tokens)


def _unauthorized(given: HTTPAuthorizationCredentials | None) -> ProblemError:
    detail = "the token does not permit this" if given else "send a token as Authorization: Bearer TOKEN"
    return ProblemError(ProblemType.UNAUTHORIZED, detail, headers={"WWW-Authenticate": "Bearer"})


Admin = Depends(require_admin)
"""Dependency of every endpoint that changes something."""

Reader = Depends(require_reader)
"""Dependency of every endpoint that reads objects."""
