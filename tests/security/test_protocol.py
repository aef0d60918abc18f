"""What is read of a request before anything is known of it has a bound, and one meaning."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest

from service.api.app import create_app
from service.api.protocol import MAX_HEAD_BYTES
from service.embedded.redis import EmbeddedRedis
from service.settings import Settings
from tests.api.conftest import connect, serve

PIECE = 4096
FAR_TOO_MUCH = 512 * MAX_HEAD_BYTES  # the kernel takes some MB on both sides before anyone reads them
WANTED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST /v1/objects/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def client(redis_server: EmbeddedRedis) -> Iterator[httpx.Client]:
    with ExitStack() as stack:
        store = connect(redis_server.url)
        stack.callback(store.close)
        yield stack.enter_context(serve(create_app(Settings(), store, {})))


def exchange(client: httpx.Client, begin: bytes, piece: bytes = b"") -> tuple[int, int]:
    """Send the begin of a request and then pieces without end; gives the status and how much was taken."""
    with socket.create_connection(
        (client.base_url.host, client.base_url.port or 80), timeout=10
    ) as connection:
        connection.sendall(begin)
        n_sent = len(begin)
        with suppress(ConnectionError):  # it was told to go
            while piece and n_sent < FAR_TOO_MUCH:
                connection.sendall(piece)
                n_sent += len(piece)
        head = b""
        with suppress(ConnectionError):
            while b"\r\n" not in head and (received := connection.recv(PIECE)):
                head += received
    return int(head.split(b" ")[1]) if head else 0, n_sent


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"GET /", b"a" * PIECE),
        (WANTED + b"X-Long: ", b"a" * PIECE),
        (WANTED + b"X", b"a" * PIECE),
        (WANTED, b"X-Many: 1\r\n" * 400),
        (CHUNKED + b"0\r\n", b"X-Many: 1\r\n" * 400),
        (CHUNKED + b"0\r\nX-Long: ", b"a" * PIECE),
        (CHUNKED + b"1;", b"a" * PIECE),
    ],
    ids=["path", "header", "name", "headers", "trailers", "trailer", "extension of a chunk"],
)
def test_head_without_end_is_not_read_on(client: httpx.Client, begin: bytes, piece: bytes) -> None:
    status, n_sent = exchange(client, begin, piece)

    assert status in {0, 400}  # the answer is lost where the client is still sending
    assert n_sent < FAR_TOO_MUCH
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("n_bytes", [MAX_HEAD_BYTES + 1, 4 * MAX_HEAD_BYTES])
def test_large_head_that_ends_is_refused(client: httpx.Client, n_bytes: int) -> None:
    path = b"GET /" + b"a" * n_bytes + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    header = WANTED + b"X-Long: " + b"a" * n_bytes + b"\r\n\r\n"

    for request in (path, header):
        assert exchange(client, request)[0] in {0, 400}


def test_large_body_in_small_pieces_is_no_large_head(client: httpx.Client) -> None:
    pieces = (b'{"ids": ["ZTF18aaaaaaa"', *[b" " * 100] * 2000, b"]}")

    for content in (iter(pieces), b"".join(pieces)):
        answer = client.post(
            "/v1/objects/lookup", content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 200
    assert client.get("/healthz", headers={"X-Long": "a" * 60_000}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n",
        b"Content-Length: 4 5\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"X-Header : 1\r\n",
        b"X-Header\r\n",
    ],
)
def test_request_that_may_be_read_in_two_ways_is_refused(client: httpx.Client, headers: bytes) -> None:
    request = b"POST /v1/objects/lookup HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n0\r\n\r\n"

    assert exchange(client, request)[0] == 400
