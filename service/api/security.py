"""Who may read and who may change something: requests that carry a token of the operator's."""

import secrets
from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.api.context import ContextDependency
from service.api.problems import ProblemError, ProblemType
from service.settings import Settings

__all__ = ["Admin", "Reader", "require_admin", "require_reader", "takes_token"]

_bearer = HTTPBearer(
    auto_error=False,
    description="A token of the operator's: NIGHTJAR_API_ADMIN_TOKEN to change something, "
    "NIGHTJAR_API_READ_TOKENS to read where those are set",
)

Given = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


async def require_reader(needs: ContextDependency, credentials: Given) -> None:
    """Let a request pass that carries a token, or any where the operator has set none.

    Raises
    ------
    ProblemError
        Tokens are set, and it carries none of them.
    """
    tokens = _read_tokens(needs.settings)
    if tokens and not _is_one_of(credentials, [*tokens, *_admin_tokens(needs.settings)]):
        raise _unauthorized(credentials)


async def require_admin(needs: ContextDependency, credentials: Given) -> None:
    """Let a request pass that carries the operator's token.

    Raises
    ------
    ProblemError
        It carries none or a wrong one; or the operator has set none, and nothing may be changed.
    """
    tokens = _admin_tokens(needs.settings)
    if not tokens:
        detail = "the operator has set no token for changes: NIGHTJAR_API_ADMIN_TOKEN"
        raise ProblemError(ProblemType.WRITES_DISABLED, detail)
    if not _is_one_of(credentials, tokens):
        raise _unauthorized(credentials)


def takes_token(settings: Settings) -> bool:
    """Say whether reading takes a token."""
    return bool(_read_tokens(settings))


def _admin_tokens(settings: Settings) -> list[str]:
    token = settings.api_admin_token
    return [token.get_secret_value()] if token and token.get_secret_value() else []


def _read_tokens(settings: Settings) -> list[str]:
    given = settings.api_read_tokens.get_secret_value().split(",")
    return [token.strip() for token in given if token.strip()]


def _is_one_of(credentials: HTTPAuthorizationCredentials | None, tokens: Iterable[str]) -> bool:
    given = credentials.credentials.encode() if credentials else b""
    # As bytes: the function takes text only where it is ASCII. How many tokens come before is no secret.
    return any(secrets.compare_digest(given, token.encode()) for token in tokens)


def _unauthorized(given: HTTPAuthorizationCredentials | None) -> ProblemError:
    detail = "the token is none that may do this" if given else "send a token as Authorization: Bearer TOKEN"
    return ProblemError(ProblemType.UNAUTHORIZED, detail, headers={"WWW-Authenticate": "Bearer"})


Admin = Depends(require_admin)
"""The dependency of every endpoint that changes something."""

Reader = Depends(require_reader)
"""The dependency of every endpoint that tells something of objects."""
