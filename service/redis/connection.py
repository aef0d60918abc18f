"""How commands reach Redis: one server here, a cluster in `service.redis.cluster`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from redis import Redis, RedisCluster
from redis.exceptions import TimeoutError  # noqa: A004  its own name

__all__ = ["Command", "Connection", "Credentials", "ServerConnection", "require_replicas"]

Command = tuple[Any, ...]
"""A command's name and arguments, as they are sent; it names one key, or several of one hash tag where
`Connection.objects_per_command` is 1."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to Redis, and how we know that it is Redis.

    Attributes
    ----------
    username, password
        Used where the URL carries none; empty for none.
    ca_file
        PEM file of whom to trust; None for whom the system trusts.
    certificate_file, key_file
        PEM files of our own certificate, where the server asks for one.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def options(self, url: str) -> dict[str, Any]:
        """Give redis-py's options for a server or a cluster.

        Raises
        ------
        ValueError
            There are certificates, and the URL says not to encrypt.
        """
        login = {"username": self.username or None, "password": self.password or None}
        files = {
            "ssl_ca_certs": self.ca_file,
            "ssl_certfile": self.certificate_file,
            "ssl_keyfile": self.key_file,
        }
        given = {name: str(path) for name, path in files.items() if path}
        if not url.startswith("rediss"):
            if given:
                raise ValueError("certificates need rediss:// instead of redis://")
            return login
        return login | given | {"ssl_cert_reqs": "required", "ssl_check_hostname": True}


class Connection(Protocol):
    """A way to one server or to many; safe to be shared between threads, raises redis-py's own errors.

    Attributes
    ----------
    address
        For messages; never with a password.
    objects_per_command
        Of how many objects one command may name the keys.
    """

    address: str
    objects_per_command: int

    @property
    def client(self) -> Redis | RedisCluster:
        """For commands one at a time, in whichever way the client sends them."""

    def get_many(self, keys: Sequence[str]) -> list[Any]:
        """Read many values, None for each that is not stored, in one round trip."""

    def get_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[Any, Any]]:
        """Read pairs of values, each pair of one hash tag and as of one moment."""

    def send(self, commands: Sequence[Command], *, replicas: int = 0) -> list[Any]:
        """Send many commands in one round trip; what a server answers with an error is an exception there.

        Parameters
        ----------
        commands
            Each is sent once.
        replicas
            Come back only when so many replicas have what was written.

        Returns
        -------
        list
            Shape (n,), replies as they come: integers, bytes, None, lists, or exceptions.

        Raises
        ------
        ConnectionError, TimeoutError
            A server does not answer. Any of the commands may have been executed.
        """

    def servers(self) -> list[Redis]:
        """Give a client of each server that holds a part of the keys."""

    def close(self) -> None:
        """Give up the connections."""


class ServerConnection:
    """One Redis server.

    Parameters
    ----------
    client
        Gives bytes, not strings, and does not retry.
    """

    # Each command and each reply has its price; with so many Redis serves nobody else for half a
    # millisecond.
    objects_per_command = 50

    def __init__(self, client: Redis) -> None:
        options = client.get_connection_kwargs()
        self.address = f"{options.get('host', options.get('path'))}:{options.get('port', '')}".rstrip(":")
        self.client = client
        self._wait_ms = round(1000 * (options.get("socket_timeout") or 2.0) / 2)

    def get_many(self, keys: Sequence[str]) -> list[Any]:
        """Read many values by one command."""
        values: list[Any] = self.client.mget(keys)
        return values

    def get_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[Any, Any]]:
        """Read pairs of values by one command."""
        values = self.get_many([key for pair in pairs for key in pair])
        return list(zip(values[::2], values[1::2], strict=True))

    def send(self, commands: Sequence[Command], *, replicas: int = 0) -> list[Any]:
        """Send many commands in one pipeline."""
        pipeline: Any = self.client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        if not replicas:
            return list(pipeline.execute(raise_on_error=False))
        pipeline.execute_command("WAIT", replicas, self._wait_ms)
        *replies, copies = pipeline.execute(raise_on_error=False)
        require_replicas(copies, replicas)
        return list(replies)

    def servers(self) -> list[Redis]:
        """Give the one client."""
        return [self.client]

    def close(self) -> None:
        """Give up the connections."""
        self.client.close()


def require_replicas(reply: Any, replicas: int) -> None:
    """Check what a server answered to WAIT.

    Raises
    ------
    TimeoutError
        Fewer replicas than asked for have what was written.
    """
    if isinstance(reply, Exception):
        raise reply
    if reply < replicas:
        raise TimeoutError(f"{reply} of {replicas} replicas have what was written")
