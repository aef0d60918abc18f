"""A server that answers what a test tells it to, request by request."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Recorded", "answer", "answering"]


@dataclass
class Recorded:
    """What was asked.

    Attributes
    ----------
    url
        Where the server is.
    requests
        Heads of the requests, as sent.
    """

    url: str
    requests: list[str] = field(default_factory=list)


def answer(status: int, body: str, *headers: str, kind: str = "application/json") -> bytes:
    """Write an HTTP answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "Connection: close", *headers, "", body]).encode()


@contextmanager
def answering(answers: Sequence[bytes]) -> Iterator[Recorded]:
    """Answer each connection with the next of `answers`, byte for byte, and close it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        recorded = Recorded(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def serve() -> None:
            for one in answers:
                connection, _ = listener.accept()
                with connection:
                    recorded.requests.append(connection.recv(65536).decode())
                    connection.sendall(one)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield recorded
        thread.join(timeout=10)
