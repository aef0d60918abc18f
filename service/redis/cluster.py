"""Redis Cluster: each key's commands go to the node that has its slot, to all nodes in one round trip.

redis-py keeps the map of slots and the connections. Its own pipeline is not used: it tries again by itself
where a reply was lost, one command at a time, and it cannot wait for replicas on the connection that wrote.
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
"""Schemes of a cluster's URL, and those that redis-py knows them by."""

DEFAULT_PORT = 6379

# While slots move, a command may be sent on a few times before it arrives: to the new node, back to the
# old one that a stale map still names, and on again.
MOST_REDIRECTIONS = 5

# Where the key stands in a command that does not begin with it.
KEY_PLACES = {"EVALSHA": 3, "EVAL": 3}


class ClusterConnection:
    """A cluster of Redis servers; the map of slots is read when it is first needed.

    Parameters
    ----------
    url
        ``redis+cluster://`` or ``rediss+cluster://`` (TLS), with any number of nodes separated by commas;
        those that answer name the others.
    access
        Used where the URL carries no name or password.
    timeout_s
        Longest wait for a connection and for one reply.

    Raises
    ------
    ValueError
        The URL cannot be used.
    """

    objects_per_command = 1  # two objects have their keys in two slots

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
        """The client, with a map of slots that is as good as we know."""
        with self._lock:
            if self._client is not None and self._is_stale:
                self._refresh(self._client)
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _refresh(self, client: RedisCluster) -> None:
        """Read the map anew; where no node that we know answers, begin again from those of the URL."""
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
            # The API can serve the objects of the nodes that are there.
            require_full_coverage=False,
            protocol=2,
            **self._options,
        )

    def get_many(self, keys: Sequence[str]) -> list[Any]:
        """Read many values; by one command each, since one for several would have to stay within a slot."""
        return self._read_all([("GET", key) for key in keys])

    def get_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[Any, Any]]:
        """Read pairs of values, by one command for each pair."""
        return [tuple(both) for both in self._read_all([("MGET", *pair) for pair in pairs])]

    def _read_all(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands of which none may fail."""
        replies = self.send(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def send(self, commands: Sequence[Command], *, replicas: int = 0) -> list[Any]:
        """Send many commands, to all nodes before the first reply is read.

        A command that a node redirects was not executed there and is sent on.
        """
        client = self.client
        replies: list[Any] = [None] * len(commands)
        try:
            route_of: dict[ClusterNode, list[int]] = {}
            for index, command in enumerate(commands):
                route_of.setdefault(route(client, command), []).append(index)
            self._round(commands, route_of, replies, replicas)
            for _ in range(MOST_REDIRECTIONS):
                if not self._redirected(client, commands, replies, replicas):
                    break
        except (RedisError, RedisClusterException):
            self._is_stale = True  # a node may have failed, and another taken its place
            raise
        self._is_stale |= any(isinstance(reply, (AskError, ClusterDownError)) for reply in replies)
        return replies

    def _round(
        self,
        commands: Sequence[Command],
        route_of: dict[ClusterNode, list[int]],
        replies: list[Any],
        replicas: int,
        prefix: Sequence[Command] = (),
    ) -> None:
        """Send each node its commands, then read the replies of each."""
        suffix: list[Command] = [("WAIT", replicas, self._wait_ms)] if replicas else []
        with ExitStack() as stack:
            connections = []
            for node, members in route_of.items():
                connection = stack.enter_context(borrowed(node.redis_connection))
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

    def _redirected(
        self, client: RedisCluster, commands: Sequence[Command], replies: list[Any], replicas: int
    ) -> bool:
        """Send on what was redirected; whether there was anything."""
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
            self._round(commands, moved, replies, replicas)
        # ASKING holds for the one command behind it.
        for node, index in asked:
            self._round(commands, {node: [index]}, replies, replicas, prefix=[("ASKING",)])
        return bool(moved or asked)

    def _node_of(self, client: RedisCluster, reply: AskError) -> ClusterNode:
        nodes: Any = client.nodes_manager
        if reply.node_addr not in {(node.host, node.port) for node in nodes.nodes_cache.values()}:
            nodes.initialize()  # it has joined since we read the map
        found: ClusterNode | None = nodes.get_node(host=reply.host, port=reply.port)
        if found is None:
            raise reply
        return found

    def servers(self) -> list[Redis]:
        """Give a client of each node that has slots."""
        client: Any = self.client
        return [client.get_redis_connection(node) for node in client.get_primaries()]

    def close(self) -> None:
        """Give up the connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None


def read_url(url: str) -> tuple[str, list[tuple[str, int]]]:
    """Take a cluster's URL apart.

    Returns
    -------
    str
        The URL of its first node, as redis-py reads it.
    list of (str, int)
        Host and port of every node.

    Raises
    ------
    ValueError
        It has no nodes, a port that is none, or a database, of which a cluster has only number 0.
    """
    parts = urlsplit(url)
    credentials, at, hosts = parts.netloc.rpartition("@")
    nodes = [_read_node(text) for text in hosts.split(",") if text]
    if not nodes:
        raise ValueError("it names no node")
    if parts.path.strip("/") not in {"", "0"}:
        raise ValueError("a cluster has no databases but number 0")
    host, port = nodes[0]
    first = f"{credentials}{at}{f'[{host}]' if ':' in host else host}:{port}"
    return urlunsplit((CLUSTER_SCHEMES[parts.scheme], first, "/0", parts.query, "")), nodes


def _node(host: str, port: int) -> ClusterNode:
    made: Any = ClusterNode  # which has no types
    node: ClusterNode = made(host, port)
    return node


def _read_node(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"{text} is no node")
    return parts.hostname, parts.port or DEFAULT_PORT


def route(client: RedisCluster, command: Command) -> ClusterNode:
    """Give the node that has a command's key.

    Raises
    ------
    SlotNotCoveredError
        No node has it at present.
    """
    key = command[KEY_PLACES.get(command[0], 1)]
    slot = key_slot(key if isinstance(key, bytes) else key.encode())
    return client.nodes_manager.get_node_from_slot(slot)


@contextmanager
def borrowed(server: Redis | None) -> Iterator[Any]:
    """Take a connection out of a node's pool, and put it back."""
    if server is None:
        raise RedisClusterException("a node has no connections yet")
    pool: Any = server.connection_pool
    connection = pool.get_connection()
    try:
        yield connection
    except BaseException:
        connection.disconnect()  # there may be replies in it that nobody will read
        raise
    finally:
        pool.release(connection)


def _read(connection: Any) -> Any:
    """Read one reply; a server's error is one too."""
    try:
        return connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error
