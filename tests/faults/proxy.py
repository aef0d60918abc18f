"""A bad connection: a TCP proxy that delays replies and cuts connections on request."""

import socket
import threading
import time
from contextlib import suppress
from typing import Self

from service.embedded.processes import LOOPBACK

__all__ = ["Proxy"]

CHUNK = 2**16


class Proxy:
    """Forwards connections to a local port, as a context manager.

    Parameters
    ----------
    target
        The port.

    Attributes
    ----------
    port
        The port it listens on.
    delay_s
        Delay of everything that the server sends.
    n_cut
        Number of connections cut so far.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server((LOOPBACK, 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self.port: int = self._listener.getsockname()[1]
        self.delay_s = 0.0
        self.n_cut = 0

    def cut(self) -> None:
        """Close every connection, possibly in the middle of a reply."""
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.n_cut += len(connections)

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _address = self._listener.accept()
                try:
                    server = socket.create_connection((LOOPBACK, self._target))
                except OSError:
                    client.close()  # the server is gone
                    continue
                with self._lock:
                    self._open |= {client, server}
                threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            replies = threading.Thread(target=self._forward, args=(server, client, True), daemon=True)
            replies.start()
            self._forward(client, server, False)
            replies.join()
        with self._lock:
            self._open -= {client, server}

    def _forward(self, source: socket.socket, target: socket.socket, are_replies: bool) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if are_replies and self.delay_s:
                    time.sleep(self.delay_s)
                target.sendall(data)
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        """Start listening."""
        self._acceptor.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Cut all connections."""
        with self._listener:
            self._listener.shutdown(socket.SHUT_RDWR)  # closing does not wake a thread that accepts
            self._acceptor.join()
        self.cut()
