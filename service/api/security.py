"""Who may change something: requests that carry the operator's token."""

import secrets
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.api.problems import ProblemError, ProblemType
from service.api.resources import Needs

__all__ = ["Admin", "require_admin"]

_bearer = HTTPBearer(auto_error=False, description="The operator's token: NIGHTJAR_API_ADMIN_TOKEN")


async def require_admin(
    needs: Needs, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> None:
    """Let a request pass that carries the operator's token.

    Raises
    ------
    ProblemError
        It carries none or a wrong one; or the operator has set none, and nothing may be changed.
    """
    token = needs.settings.api_admin_token
    expected = token.get_secret_value() if token else ""
    if not expected:
        detail = "the operator has set no token for changes: NIGHTJAR_API_ADMIN_TOKEN"
        raise ProblemError(ProblemType.WRITES_DISABLED, detail)
    given = credentials.credentials if credentials else ""
    # Compared as bytes: the function takes text only where it is ASCII.
    if not secrets.compare_digest(given.encode(), expected.encode()):
        detail = "send the token as Authorization: Bearer TOKEN"
        raise ProblemError(ProblemType.UNAUTHORIZED, detail, headers={"WWW-Authenticate": "Bearer"})


Admin = Depends(require_admin)
"""The dependency of every endpoint that changes something."""
