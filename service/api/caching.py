"""Answers that clients may keep: tags that say whether one is still the same (RFC 9110, section 8.8)."""

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
    Header(max_length=1000, description="Tags of answers at hand; 304 where one still holds"),
]

REVALIDATE = "no-cache"
"""May be kept, and is asked about before each use."""


def state_tag(state: ObjectState, *form: str) -> str:
    """Give the tag of what is said of an object, without saying it.

    Parameters
    ----------
    state
        Of the object.
    form
        What else the answer depends on.
    """
    checksum = zlib.crc32(state.observations.tobytes(), zlib.crc32(state.history.packed))
    parts = (_version(), f"{state.counter:x}", f"{checksum:08x}", *form)
    return f'"{"-".join(parts)}"'


@cache
def _version() -> str:
    """Give our version; to look it up reads files, which took longer than all else of an answer."""
    return version("nightjar")


def conditional_response(
    if_none_match: str | None, tag: str, make: Callable[[Mapping[str, str]], Response]
) -> Response:
    """Answer, unless the client has the answer already.

    Parameters
    ----------
    if_none_match
        Tags the client has.
    tag
        Of the answer.
    make
        Makes it, with these headers.
    """
    headers = {"ETag": tag, "Cache-Control": REVALIDATE}
    given = {one.strip().removeprefix("W/") for one in (if_none_match or "").split(",")}
    return Response(status_code=304, headers=headers) if tag in given or "*" in given else make(headers)


def with_etag(response: Response, if_none_match: str | None, *, cache_control: str = REVALIDATE) -> Response:
    """Tag an answer by its own bytes, and send them only to those who do not have them."""
    tag = f'"{hashlib.blake2b(bytes(response.body), digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": cache_control}
    response.headers.update(headers)
    given = {one.strip().removeprefix("W/") for one in (if_none_match or "").split(",")}
    return Response(status_code=304, headers=headers) if tag in given else response
