"""Entity tags, by which clients revalidate cached answers (RFC 9110, section 8.8)."""

import hashlib
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Annotated

from fastapi import Header
from starlette.responses import Response

from service.core.state.object_state import ObjectState

__all__ = ["IfNoneMatch", "conditional_response", "state_tag", "with_etag"]

IfNoneMatch = Annotated[
    str | None,
    Header(max_length=1000, description="Entity tags of cached answers; 304 where one is current"),
]

REVALIDATE = "no-cache"
"""May be cached, and is revalidated before each use."""


def state_tag(state: ObjectState, *form: str) -> str:
    """Return the entity tag of an answer about an object without making the answer.

    Parameters
    ----------
    state
        State of the object.
    form
        Whatever else the answer depends on.
    """
    checksum = zlib.crc32(state.observations.tobytes(), zlib.crc32(state.history.packed))
    parts = (_version(), f"{state.counter:x}", f"{checksum:08x}", *form)
    return f'"{"-".join(parts)}"'


@cache
def _version() -> str:
    """Return the version; cached, since looking it up reads files, slower than all else of an answer."""
    return version("nightjar")


def conditional_response(
    if_none_match: str | None, tag: str, make: Callable[[Mapping[str, str]], Response]
) -> Response:
    """Return an answer, or 304 where the client has it already.

    Parameters
    ----------
    if_none_match
        Tags of the answers that the client has.
    tag
        Tag of the answer.
    make
        Makes the answer with the headers it is given.
    """
    headers = {"ETag": tag, "Cache-Control": REVALIDATE}
    given = _tags(if_none_match)
    return Response(status_code=304, headers=headers) if tag in given or "*" in given else make(headers)


def with_etag(response: Response, if_none_match: str | None, *, cache_control: str = REVALIDATE) -> Response:
    """Return an answer tagged by a digest of its bytes, or 304 where the client has it already.

    Parameters
    ----------
    response
        The complete answer.
    if_none_match
        Entity tags that the client has.
    cache_control
        Value of the header.
    """
    tag = f'"{hashlib.blake2b(bytes(response.body), digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": cache_control}
    response.headers.update(headers)
    given = _tags(if_none_match)
    return Response(status_code=304, headers=headers) if tag in given else response


def _tags(if_none_match: str | None) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
