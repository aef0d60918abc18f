"""HTTP as it is read: by a parser in C, with a bound on what it may gather."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["MOST_HEAD_BYTES", "BoundedProtocol"]

MOST_HEAD_BYTES = 64 * 2**10
"""Of a request's line and headers, as the parser in Python bounds them (h11); this one has no bound."""


class HeadTooLargeError(Exception):
    """A request has more of a head than is read; the parser makes it its own error."""


class BoundedProtocol(HttpToolsProtocol):
    """Ends a connection that sends a head without end, in one line or in many; so too behind a body."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0  # lines that are complete
        self._line_bytes = 0  # received since the last of them, or since the last piece of a body

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        self._line_bytes += len(data)
        super().data_received(data)
        if self._line_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request header too large.")

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(len(name) + len(value))
        self._line_bytes = 0
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._line_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._line_bytes = 0
        super().on_message_complete()

    def _count(self, n_bytes: int) -> None:
        self._head_bytes += n_bytes
        if self._head_bytes > MOST_HEAD_BYTES:
            raise HeadTooLargeError
