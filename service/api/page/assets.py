"""Files of the page, read once, with their entity tags."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

__all__ = ["Asset", "Assets", "assets", "etag_of"]

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
MIN_COMPRESSED_BYTES = 1400  # what fits into one network packet is not compressed


@dataclass(frozen=True, slots=True)
class Asset:
    """One file.

    Attributes
    ----------
    body, compressed
        Its bytes, and the same gzipped; None where that saves nothing.
    media_type
        ``Content-Type`` of the file.
    etag
        Entity tag of the bytes.
    """

    body: bytes
    compressed: bytes | None
    media_type: str
    etag: str


@dataclass(frozen=True, slots=True)
class Assets:
    """All files.

    Attributes
    ----------
    version
        Digest of all files: part of every path, so that browsers may cache them without limit.
    by_path
        Files by path, such as ``live.js`` and ``vendor/uPlot.min.css``.
    documents
        Templates of documents, by name.
    """

    version: str
    by_path: dict[str, Asset]
    documents: dict[str, str]


@cache
def assets() -> Assets:
    """Return all files of the page."""
    root = files("service.api.page")
    by_path = {
        f"{prefix}{item.name}": _asset(item)
        for directory, prefix in (("static", ""), ("vendor", "vendor/"))
        for item in sorted((root / directory).iterdir(), key=lambda item: item.name)
        if _suffix(item) in MEDIA_TYPES
    }
    documents = {
        item.name: item.read_text(encoding="utf-8") for item in root.iterdir() if _suffix(item) == ".html"
    }
    digest = hashlib.sha256()
    for path, asset in by_path.items():
        digest.update(f"{path}\0{asset.etag}\0".encode())
    return Assets(digest.hexdigest()[:12], by_path, documents)


def etag_of(body: bytes) -> str:
    """Return the entity tag of some bytes."""
    return f'"{hashlib.sha256(body).hexdigest()[:20]}"'


def _asset(item: Traversable) -> Asset:
    body = item.read_bytes()
    compressed = gzip.compress(body, mtime=0) if len(body) >= MIN_COMPRESSED_BYTES else None
    return Asset(body, compressed, MEDIA_TYPES[_suffix(item)], etag_of(body))


def _suffix(item: Traversable) -> str:
    return f".{item.name.rpartition('.')[2]}"
