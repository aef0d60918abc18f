"""What the API asks of its process and of the network."""

import gc
import os
import socket

from service.errors import SettingsError
from service.settings import Settings

__all__ = ["freeze_garbage_collector", "listen", "pin_to_core", "url_of"]

BACKLOG = 2048


def pin_to_core(core: int) -> None:
    """Run on one core from now on.

    Parameters
    ----------
    core
        Number of the core.

    Raises
    ------
    SettingsError
        The core is not available to this process, or the system does not support CPU affinity.
    """
    try:
        os.sched_setaffinity(0, {core})
    except (AttributeError, OSError) as error:
        raise SettingsError(f"cannot run on core {core}, see NIGHTJAR_API_CPU_AFFINITY: {error}") from error


def freeze_garbage_collector() -> None:
    """Exempt objects that live as long as the process, the compiler's above all, from garbage collection.

    Traversing them took 80 ms, every few thousand requests, during which no request was answered.
    """
    gc.collect()
    gc.freeze()


def listen(settings: Settings) -> socket.socket:
    """Open the port.

    Parameters
    ----------
    settings
        Name host and port.

    Returns
    -------
    socket
        Created as TCP explicitly: only then does asyncio set TCP_NODELAY, without which small answers wait.

    Raises
    ------
    SettingsError
        The address cannot be used.
    """
    host, port = settings.api_host, settings.api_port
    listener = None
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise SettingsError(
            f"cannot listen on {host}:{port}: {error.strerror}; see NIGHTJAR_API_HOST and NIGHTJAR_API_PORT"
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket.

    Parameters
    ----------
    listener
        As `listen` returns it.
    """
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"
