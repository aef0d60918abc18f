"""Redis Cluster: each command goes to the node that has its key's slot, to all nodes in one round trip.

redis-py maintains the slot map and the connections. Its own pipeline is not used: when a reply is lost it
retries on its own, one command at a time, and it cannot wait for replicas on the connection that wrote.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from service.redis.connection import Command, Credentials, require_replicas

__all__ = ["CLUSTER_SCHEMES", "ClusterConnection", "route"]

CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
"""Schemes of a cluster's URL, and redis-py's names for them."""

DEFAULT_PORT = 6379

# While slots migrate, a command may be redirected a few times before it arrives: to the new node, back to
# the old one that a stale map still names, and on again.
MAX_REDIRECTIONS = 5

# Index of the key in a command whose first argument is not the key.
KEY_INDEX = {"EVALSHA": 3, "EVAL": 3}


class ClusterConnection:
    """A cluster of Redis servers; the slot map is read when it is first needed.

    Parameters
    ----------
    url
        ``redis+cluster://`` or ``rediss+cluster://`` (TLS), with any number of nodes separated by commas;
        those that answer report the others.
    access
        Used if the URL contains no name or password.
    timeout_s
        Longest wait for a connection and for one reply.

    Raises
    ------
    ValueError
        Unsupported Redis URL.
    """

    objects_per_command = 1  # the keys of two objects are in two slots

    def __init__(self, url: str, *, access: Credentials, timeout_s: float) -> None:
        self._url, self._nodes = read_url(url)
        self._options: dict[str, Any] = {
            **access.options(url),
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
        }
        self._wait_ms = round(1000 * timeout_s / 2)
        self.address = ",".join(f"{host}:{port}" for host, port in self._nodes)
        self._lock = Lock()
        self._client: RedisCluster | None = None
        self._is_stale = False

    @property
    def client(self) -> RedisCluster:
        """The client, with a slot map that is not known to be stale."""
        with self._lock:
            if self._client is not None and self._is_stale:
                self._refresh(self._client)
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _refresh(self, client: RedisCluster) -> None:
        """Reload the slot map; if no known node answers, start again from the nodes of the URL."""
        self._is_stale = False
        try:
            client.nodes_manager.initialize()
        except (RedisError, RedisClusterException):
            self._client = None
            client.close()

    def _connect(self) -> RedisCluster:
        return RedisCluster(
            url=self._url,
            startup_nodes=[_node(host, port) for host, port in self._nodes],
            retry=Retry(NoBackoff(), 1),
            # The API can serve the objects of the nodes that are available.
            require_full_coverage=False,
            protocol=2,
            **self._options,
        )

    def get_many(self, keys: Sequence[str]) -> list[Any]:
        """Return many values, by one command each: the keys of one command must be in one slot."""
        return self._read_all([("GET", key) for key in keys])

    def get_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[Any, Any]]:
        """Return pairs of values, by one command for each pair."""
        return [tuple(values) for values in self._read_all([("MGET", *pair) for pair in pairs])]

    def _read_all(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands and raise the first error among the replies."""
        replies = self.send(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def send(self, commands: Sequence[Command], *, replicas: int = 0) -> list[Any]:
        """Send many commands, to all nodes before the first reply is read.

        A command that a node redirects was not executed there and is sent to the node that it names.

        Parameters
        ----------
        commands
            Each is sent once, redirections aside.
        replicas
            As for `service.redis.connection.Connection.send`.
        """
        client = self.client
        replies: list[Any] = [None] * len(commands)
        try:
            route_of: dict[ClusterNode, list[int]] = {}
            for index, command in enumerate(commands):
                route_of.setdefault(route(client, command), []).append(index)
            self._round_trip(commands, route_of, replies, replicas)
            for _ in range(MAX_REDIRECTIONS):
                if not self._resend_redirected(client, commands, replies, replicas):
                    break
        except (RedisError, RedisClusterException):
            self._is_stale = True  # a node may have failed and been replaced
            raise
        self._is_stale |= any(isinstance(reply, (AskError, ClusterDownError)) for reply in replies)
        return replies

    def _round_trip(
        self,
        commands: Sequence[Command],
        route_of: dict[ClusterNode, list[int]],
        replies: list[Any],
        replicas: int,
        prefix: Sequence[Command] = (),
    ) -> None:
        """Send all nodes their commands, then read the replies of each."""
        suffix: list[Command] = [("WAIT", replicas, self._wait_ms)] if replicas else []
        with ExitStack() as stack:
            connections = []
            for node, members in route_of.items():
                connection = stack.enter_context(pooled_connection(node.redis_connection))
                sent = [*prefix, *(commands[index] for index in members), *suffix]
                connection.send_packed_command(connection.pack_commands(sent))
                connections.append((connection, members))
            for connection, members in connections:
                for _ in prefix:
                    _read(connection)
                for index in members:
                    replies[index] = _read(connection)
                if replicas:
                    require_replicas(_read(connection), replicas)

    def _resend_redirected(
        self, client: RedisCluster, commands: Sequence[Command], replies: list[Any], replicas: int
    ) -> bool:
        """Resend redirected commands; return whether there were any."""
        moved: dict[ClusterNode, list[int]] = {}
        asked: list[tuple[ClusterNode, int]] = []
        for index, reply in enumerate(replies):
            if isinstance(reply, MovedError):
                client.nodes_manager.move_slot(reply)
                self._is_stale = True
                moved.setdefault(route(client, commands[index]), []).append(index)
            elif isinstance(reply, AskError):
                asked.append((self._node_of(client, reply), index))
        if moved:
            self._round_trip(commands, moved, replies, replicas)
        # ASKING applies only to the command that follows it.
        for node, index in asked:
            self._round_trip(commands, {node: [index]}, replies, replicas, prefix=[("ASKING",)])
        return bool(moved or asked)

    def _node_of(self, client: RedisCluster, reply: AskError) -> ClusterNode:
        nodes: Any = client.nodes_manager
        if reply.node_addr not in {(node.host, node.port) for node in nodes.nodes_cache.values()}:
            nodes.initialize()  # it has joined since the map was read
        node: ClusterNode | None = nodes.get_node(host=reply.host, port=reply.port)
        if node is None:
            raise reply
        return node

    def servers(self) -> list[Redis]:
        """Return a client of each node that has slots."""
        client: Any = self.client
        return [client.get_redis_connection(node) for node in client.get_primaries()]

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None


def read_url(url: str) -> tuple[str, list[tuple[str, int]]]:
    """Parse a cluster's URL.

    Parameters
    ----------
    url
        As for `ClusterConnection`.

    Returns
    -------
    str
        The URL of the first node, as redis-py expects it.
    list of (str, int)
        Host and port of every node.

    Raises
    ------
    ValueError
        The URL has no nodes, an invalid port, or a database other than number 0, a cluster's only one.
    """
    parts = urlsplit(url)
    credentials, at, hosts = parts.netloc.rpartition("@")
    nodes = [_read_node(text) for text in hosts.split(",") if text]
    if not nodes:
        raise ValueError("it names no nodes")
    if parts.path.strip("/") not in {"", "0"}:
        raise ValueError("a cluster has only database 0")
    host, port = nodes[0]
    first = f"{credentials}{at}{f'[{host}]' if ':' in host else host}:{port}"
    return urlunsplit((CLUSTER_SCHEMES[parts.scheme], first, "/0", parts.query, "")), nodes


def _node(host: str, port: int) -> ClusterNode:
    untyped: Any = ClusterNode  # its constructor has no type hints
    node: ClusterNode = untyped(host, port)
    return node


def _read_node(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"{text} is not host:port")
    return parts.hostname, parts.port or DEFAULT_PORT


def route(client: RedisCluster, command: Command) -> ClusterNode:
    """Return the node that has a command's key.

    Parameters
    ----------
    client
        Of the cluster.
    command
        As it will be sent.

    Raises
    ------
    SlotNotCoveredError
        No node has the slot at present.
    """
    key = command[KEY_INDEX.get(command[0], 1)]
    slot = key_slot(key if isinstance(key, bytes) else key.encode())
    return client.nodes_manager.get_node_from_slot(slot)


@contextmanager
def pooled_connection(server: Redis | None) -> Iterator[Any]:
    """Take a connection from a node's pool for the duration of the context.

    Parameters
    ----------
    server
        The node's client; None before the cluster's client has connected to it.

    Raises
    ------
    RedisClusterException
        There is no client.
    """
    if server is None:
        raise RedisClusterException("a node has no connections yet")
    pool: Any = server.connection_pool
    connection = pool.get_connection()
    try:
        yield connection
    except BaseException:
        connection.disconnect()  # it may contain replies that will not be read
        raise
    finally:
        pool.release(connection)


def _read(connection: Any) -> Any:
    """Read one reply; an error reply is returned as an exception."""
    try:
        return connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error
