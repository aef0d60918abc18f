"""What a browser may fetch of the page."""

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

# Everything comes from this server, and nothing that stands in a document is run.
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
_ASKED_EVERY_TIME = "no-cache"  # a browser keeps it, and asks whether it changed
_KEPT = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@router.get("/")
async def get_live_page(request: Request, context: ContextDependency) -> Response:
    """Show the live table of candidates."""
    return _document(request, "live.html", context.settings)


@router.get("/objects/{object_id}")
async def get_object_page(object_id: str, request: Request, context: ContextDependency) -> Response:
    """Show one object; its script reads from the address which."""
    del object_id
    return _document(request, "object.html", context.settings)


@router.get("/favicon.ico")
async def get_icon(request: Request) -> Response:
    """Return the icon, which browsers request here if a document names none."""
    return await get_asset("", "icon.svg", request)


@router.get("/static/{version}/{path:path}")
async def get_asset(version: str, path: str, request: Request) -> Response:
    """Return a file of the page.

    One that is asked for under another version, by a page that was open while the server changed, is given
    too, but not to be kept.
    """
    asset = assets().by_path.get(path)
    if asset is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "the page has no such file")
    kept = _KEPT if version == assets().version else _ASKED_EVERY_TIME
    headers = {**_HEADERS, "ETag": asset.etag, "Cache-Control": kept, "Vary": "Accept-Encoding"}
    if _is_known(request, asset.etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    body = asset.body
    if asset.compressed and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = asset.compressed
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=asset.media_type, headers=headers)


def _document(request: Request, name: str, settings: Settings) -> Response:
    """Fill in a document: the version of its files, where to subscribe, and whether to ask for a token."""
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
    headers = {**_HEADERS, "ETag": etag_of(body), "Cache-Control": _ASKED_EVERY_TIME}
    if _is_known(request, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, media_type="text/html; charset=utf-8", headers=headers)


def _is_known(request: Request, etag: str) -> bool:
    """Tell whether the browser has it; a proxy that compresses marks our tags as weak."""
    known = request.headers.get("If-None-Match", "").split(",")
    return etag in {one.strip().removeprefix("W/") for one in known}
