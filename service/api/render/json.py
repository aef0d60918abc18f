"""JSON written without a pydantic model, for answers that are long or many."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

__all__ = ["json_bytes", "json_response"]


def json_bytes(value: Any) -> bytes:
    """Return JSON; a float32 is the shortest decimal that reads back as the same, as in published records.

    Parameters
    ----------
    value
        JSON values, and NumPy scalars and arrays.
    """
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def json_response(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response in JSON.

    Parameters
    ----------
    value
        As of `json_bytes`.
    headers
        Further headers.
    """
    return Response(json_bytes(value), media_type="application/json", headers=dict(headers or {}))
