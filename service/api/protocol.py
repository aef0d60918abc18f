"""HTTP parsed in C, with a limit on the size of a request's head."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["MAX_HEAD_BYTES", "BoundedProtocol"]

MAX_HEAD_BYTES = 64 * 2**10
"""Limit of a request's line and headers, the same as in h11; httptools itself has none."""


class HeadTooLargeError(Exception):
    """The head of a request is too large; the parser turns this into its own error."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection that sends an endless head, in one line or in many, also after a body."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0  # of complete lines
        self._line_bytes = 0  # received since the last complete line, or the last part of a body

    def data_received(self, data: bytes) -> None:
        """Parse received bytes."""
        self._line_bytes += len(data)
        super().data_received(data)
        if self._line_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request header too large.")

    def on_message_begin(self) -> None:
        """Note the beginning of a request."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count a part of the path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._count(len(name) + len(value))
        self._line_bytes = 0
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Note a part of the body."""
        self._line_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        self._line_bytes = 0
        super().on_message_complete()

    def _count(self, n_bytes: int) -> None:
        self._head_bytes += n_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            raise HeadTooLargeError
