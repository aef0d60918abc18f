"""Connections to Redis: to one server here, to a cluster in `service.redis.cluster`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from redis import Redis, RedisCluster
from redis.exceptions import TimeoutError  # noqa: A004  redis-py's name

__all__ = ["Command", "Connection", "Credentials", "ServerConnection", "require_replicas"]

Command = tuple[Any, ...]
"""A command's name and arguments, as sent; it names one key, or several of one hash tag if
`Connection.objects_per_command` is 1."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How the service and Redis authenticate each other.

    Attributes
    ----------
    username, password
        Used if the URL contains none; empty for none.
    ca_file
        PEM file of the trusted certificate authorities; None for those of the system.
    certificate_file, key_file
        PEM files of the client certificate, if the server requires one.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def options(self, url: str) -> dict[str, Any]:
        """Return redis-py's options for a server or a cluster.

        Parameters
        ----------
        url
            Its scheme says whether to encrypt.

        Raises
        ------
        ValueError
            There are certificates, but the URL's scheme is not encrypted.
        """
        login = {"username": self.username or None, "password": self.password or None}
        files = {
            "ssl_ca_certs": self.ca_file,
            "ssl_certfile": self.certificate_file,
            "ssl_keyfile": self.key_file,
        }
        certificates = {name: str(path) for name, path in files.items() if path}
        if not url.startswith("rediss"):
            if certificates:
                raise ValueError("certificates need rediss:// instead of redis://")
            return login
        return login | certificates | {"ssl_cert_reqs": "required", "ssl_check_hostname": True}


class Connection(Protocol):
    """A connection to one server or many; safe to share between threads, raises redis-py's own errors.

    Attributes
    ----------
    address
        For messages; never with a password.
    objects_per_command
        Largest number of objects whose keys one command may name.
    """

    address: str
    objects_per_command: int

    @property
    def client(self) -> Redis | RedisCluster:
        """The client, for single commands."""

    def get_many(self, keys: Sequence[str]) -> list[Any]:
        """Return many values in one round trip; None for each that is not stored.

        Parameters
        ----------
        keys
            Shape (n,).
        """

    def get_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[Any, Any]]:
        """Return pairs of values, each pair as of one moment.

        Parameters
        ----------
        pairs
            Keys; those of a pair have the same hash tag.
        """

    def send(self, commands: Sequence[Command], *, replicas: int = 0) -> list[Any]:
        """Send many commands in one round trip; an error reply is returned as an exception.

        Parameters
        ----------
        commands
            Each is sent once.
        replicas
            Number of replicas that must have received the writes before this returns.

        Returns
        -------
        list
            Shape (n,), unprocessed replies: integers, bytes, None, lists, or exceptions.

        Raises
        ------
        ConnectionError, TimeoutError
            A server does not answer. Any of the commands may have been executed.
        """

    def servers(self) -> list[Redis]:
        """Return a client of each server that holds a part of the keys."""

    def close(self) -> None:
        """Close the connections."""


class ServerConnection:
    """One Redis server.

    Parameters
    ----------
    client
        Returns bytes, not strings, and does not retry.
    """

    # Each command and each reply has an overhead; with this many objects Redis is busy for half a
    # millisecond, during which it serves no other client.
    objects_per_command = 50

    def __init__(self, client: Redis) -> None:
        options = client.get_connection_kwargs()
        self.address = f"{options.get('host', options.get('path'))}:{options.get('port', '')}".rstrip(":")
        self.client = client
        self._wait_ms = round(1000 * (options.get("socket_timeout") or 2.0) / 2)

    def get_many(self, keys: Sequence[str]) -> list[Any]:
        """Return many values by one command."""
        values: list[Any] = self.client.mget(keys)
        return values

    def get_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[Any, Any]]:
        """Return pairs of values by one command."""
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
        """Return the one client."""
        return [self.client]

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


def require_replicas(reply: Any, replicas: int) -> None:
    """Check a server's reply to WAIT.

    Parameters
    ----------
    reply
        Number of replicas that received the writes, or an exception.
    replicas
        Number of replicas required.

    Raises
    ------
    TimeoutError
        Fewer replicas than required have received the writes.
    """
    if isinstance(reply, Exception):
        raise reply
    if reply < replicas:
        raise TimeoutError(f"{reply} of {replicas} replicas have received the writes")
