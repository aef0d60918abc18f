"""Endpoints of the web page."""

from html import escape
from http import HTTPStatus
from string import Template

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from service.api.context import ContextDependency
from service.api.page.assets import assets, etag_of
from service.api.security import needs_token
from service.settings import Settings

__all__ = ["router"]

# Everything comes from this server, and no script inside a document is run.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_REVALIDATED = "no-cache"  # cached, and revalidated before each use
_IMMUTABLE = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@router.get("/")
async def get_live_page(request: Request, context: ContextDependency) -> Response:
    """Return the live table of candidates."""
    return _document(request, "live.html", context.settings)


@router.get("/objects/{object_id}")
async def get_object_page(object_id: str, request: Request, context: ContextDependency) -> Response:
    """Return the page of an object; its script reads the id from the address."""
    del object_id
    return _document(request, "object.html", context.settings)


@router.get("/favicon.ico")
async def get_icon(request: Request) -> Response:
    """Return the icon, which browsers request here for documents that name none."""
    return await get_asset("", "icon.svg", request)


@router.get("/static/{version}/{path:path}")
async def get_asset(version: str, path: str, request: Request) -> Response:
    """Return a file of the page.

    A request for another version, from a page that was open while the server was updated, gets the present
    file, without permission to cache it for long.
    """
    asset = assets().by_path.get(path)
    if asset is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "the page has no such file")
    caching = _IMMUTABLE if version == assets().version else _REVALIDATED
    headers = {**_HEADERS, "ETag": asset.etag, "Cache-Control": caching, "Vary": "Accept-Encoding"}
    if _is_known(request, asset.etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    body = asset.body
    if asset.compressed and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = asset.compressed
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=asset.media_type, headers=headers)


def _document(request: Request, name: str, settings: Settings) -> Response:
    """Return a document with the version of its files, where to subscribe, and if reading needs a token."""
    texts = assets().documents
    values = {
        "version": assets().version,
        "brokers": escape(settings.public_brokers),
        "topic": escape(settings.output_topic),
        "access": "token" if needs_token(settings) else "open",
    }
    header = Template(texts["header.html"]).substitute(values)
    footer = Template(texts["footer.html"]).substitute(values)
    body = Template(texts[name]).substitute(values, header=header, footer=footer).encode()
    headers = {**_HEADERS, "ETag": etag_of(body), "Cache-Control": _REVALIDATED}
    if _is_known(request, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, media_type="text/html; charset=utf-8", headers=headers)


def _is_known(request: Request, etag: str) -> bool:
    """Return whether the browser has the current file; proxies that compress mark tags as weak."""
    known = request.headers.get("If-None-Match", "").split(",")
    return etag in {tag.strip().removeprefix("W/") for tag in known}
