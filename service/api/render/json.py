"""Answers that are made without a model in between, because they are long or many."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

__all__ = ["json_bytes", "json_response"]


def json_bytes(value: Any) -> bytes:
    """Write JSON; a float32 as the shortest decimal that reads back as the same, as published."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def json_response(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON."""
    return Response(json_bytes(value), media_type="application/json", headers=dict(headers or {}))
