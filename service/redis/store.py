"""The store of objects in Redis.

====================  =====================================================================
``nj:{ztf:ZTF21...}``  state of one object, `service.core.state.object_state`, without its archived rows; the
                      braces are a hash tag, so that a cluster keeps all keys of one object on one node
``nj:o:{ztf:...}``     archived rows of that object, if it has any: its oldest
``nj:{ztf:...}:0123`` shadow results of the model with that digest, in the same form
``nj:models``         hash: digest as 16 hex digits -> JSON of `ModelInfo`
``nj:filters``        hash: name -> JSON of `service.core.search.filters.FilterSpec`
====================  =====================================================================

The keys of the search index: `service.redis.index`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from datetime import timedelta
from itertools import groupby
from typing import Any, Self

import orjson
from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from service.core.alerts import Survey
from service.core.models.info import ModelInfo
from service.core.ports.store import StateWrite, StoreUsage
from service.core.state.layout import has_archived_rows
from service.errors import SettingsError
from service.redis.cluster import CLUSTER_SCHEMES, ClusterConnection
from service.redis.compare_and_set import CompareAndSet
from service.redis.connection import Command, Connection, Credentials, ServerConnection
from service.redis.errors import translate, translated
from service.redis.filters import RedisFilters
from service.redis.index import RedisIndex, summary_key

__all__ = ["RedisStore"]

MODELS_KEY = "nj:models"

NO_LOGIN = Credentials()

_SCAN_COUNT = 1000

_PIPELINE_WRITES = 1000
"""Writes sent before their replies are read; with values of some 10 kB, at most 10 MB in flight."""


class RedisStore:
    """Objects in Redis; safe to share between threads.

    A command is sent once: the caller decides whether to retry, since only the caller knows what a lost
    reply means.

    Parameters
    ----------
    connection
        To a server or a cluster; see `connect`.
    expiry
        A value expires this long after its last write.
    replicas
        Number of replicas that must have received a write, or it counts as not saved.
    """

    def __init__(self, connection: Connection, *, expiry: timedelta, replicas: int = 0) -> None:
        self._connection = connection
        self._index = RedisIndex(connection)
        self._filters = RedisFilters(connection)
        self._address = connection.address
        self._replicas = replicas
        self._compare_and_set = CompareAndSet(max(1, round(expiry / timedelta(milliseconds=1))))
        self._registered: dict[str, bytes] = {}
        self._suffix = ""

    @property
    def index(self) -> RedisIndex:
        """The search index."""
        return self._index

    @property
    def filters(self) -> RedisFilters:
        """The stored filters."""
        return self._filters

    @property
    def _client(self) -> Redis | RedisCluster:
        return self._connection.client

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        access: Credentials = NO_LOGIN,
        timeout: timedelta,
        expiry: timedelta,
        replicas: int = 0,
    ) -> Self:
        """Return a store on a server or a cluster, without contacting it yet.

        Parameters
        ----------
        url
            ``redis://``, ``rediss://`` (TLS) or ``unix://``, with a database number or none; for a cluster
            ``redis+cluster://`` or ``rediss+cluster://`` with some of its nodes, separated by commas.
        access
            Name, password and certificates, if the URL contains none.
        timeout
            Longest wait for a connection and for one reply.
        expiry
            A value expires this long after its last write.
        replicas
            Number of replicas that must have received a write, or it counts as not saved.

        Raises
        ------
        SettingsError
            Unsupported Redis URL.
        """
        try:
            connection = _connection(url, access, timeout.total_seconds())
        except ValueError as error:
            raise SettingsError(f"NIGHTJAR_REDIS_URL cannot be used: {error}") from error
        return cls(connection, expiry=expiry, replicas=replicas)

    def for_model(self, digest: int) -> Self:
        """Return the store of a model's shadow results, over the same connections.

        Parameters
        ----------
        digest
            Of the model.
        """
        shadow = copy(self)
        shadow._suffix = f":{digest:016x}"
        return shadow

    def keys(self, survey: Survey) -> Iterator[list[str]]:
        """Yield the keys of a survey's objects in chunks, in any order; a key may occur twice.

        Parameters
        ----------
        survey
            Of the objects.
        """
        pattern = f"nj:{{{survey.value}:*}}{self._suffix}"
        with translated(self._address):
            for server in self._connection.servers():
                cursor = -1
                while cursor:
                    reply: Any = server.scan(max(cursor, 0), match=pattern, count=_SCAN_COUNT)
                    cursor, names = reply
                    yield [name.decode()[len("nj:{") : -len("}" + self._suffix)] for name in names]

    def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the whole values of many objects.

        In one round trip, and a second one if some have archived rows.

        Parameters
        ----------
        keys
            Shape (n,).

        Returns
        -------
        list of bytes or None
            Shape (n,); None for each object that is not stored.
        """
        values = self.load_recent(keys)
        archived = [index for index, value in enumerate(values) if has_archived_rows(value)]
        if not archived:
            return values
        # The recent part is read again together with the archived rows: both must be of one write.
        names = [(self._state_key(keys[index]), self._archived_rows_key(keys[index])) for index in archived]
        with translated(self._address):
            pairs = self._connection.get_pairs(names)
        for index, (recent, rows) in zip(archived, pairs, strict=True):
            values[index] = recent + (rows or b"") if has_archived_rows(recent) else recent
        return values

    def load_recent(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of many objects without their archived rows, in one round trip.

        Parameters
        ----------
        keys
            Shape (n,).

        Returns
        -------
        list of bytes or None
            Shape (n,); None for each object that is not stored.
        """
        if not keys:
            return []
        with translated(self._address):
            return self._connection.get_many([self._state_key(key) for key in keys])

    def save(self, writes: Sequence[StateWrite]) -> list[bool]:
        """Write many objects, each unless another writer changed it since it was read.

        The registered models are written again with them: a server that has lost its data and receives new
        objects would otherwise not know their classes.

        Parameters
        ----------
        writes
            Shape (n,); a key may occur only once.

        Returns
        -------
        list of bool
            Shape (n,); False for each write that lost the race.
        """
        written: list[bool] = []
        for start in range(0, len(writes), _PIPELINE_WRITES):
            written += self._save(writes[start : start + _PIPELINE_WRITES])
        return written

    def _save(self, writes: Sequence[StateWrite]) -> list[bool]:
        size = self._connection.objects_per_command
        # Either all writes of one command have a summary, or none has.
        groups = [list(group) for _, group in groupby(writes, lambda write: bool(write.summary))]
        parts = [group[start : start + size] for group in groups for start in range(0, len(group), size)]
        commands: list[Command] = [("HSET", MODELS_KEY, *item) for item in self._registered.items()]
        n_models = len(commands)
        commands += [
            self._compare_and_set.command(part, self._state_key, self._archived_rows_key) for part in parts
        ]
        with translated(self._address):
            replies = self._connection.send(commands, replicas=self._replicas)
            unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if unknown:  # a server is new, was restarted, or its scripts were flushed
                for server in self._connection.servers():
                    server.script_load(self._compare_and_set.script)
                repeated = self._connection.send([commands[i] for i in unknown], replicas=self._replicas)
                for i, reply in zip(unknown, repeated, strict=True):
                    replies[i] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise translate(reply, self._address)
        return [written == 1 for reply in replies[n_models:] for written in reply]

    def expiries(self, keys: Sequence[str]) -> list[int]:
        """Return when objects expire.

        Parameters
        ----------
        keys
            Shape (n,).

        Returns
        -------
        list of int
            Shape (n,), Unix milliseconds; 0 for never or not stored.
        """
        replies = self._send_all([("PEXPIRETIME", self._state_key(key)) for key in keys])
        return [max(reply, 0) for reply in replies]

    def expire_at(self, times_ms: Sequence[tuple[str, int]]) -> None:
        """Set when objects expire.

        Parameters
        ----------
        times_ms
            Key and Unix milliseconds of each; 0 for never.
        """
        self._send_all(
            [
                ("PEXPIREAT", name, time_ms) if time_ms else ("PERSIST", name)
                for key, time_ms in times_ms
                for name in self._names(key)
            ]
        )

    def _names(self, key: str) -> tuple[str, ...]:
        """Return the names of all values of an object; shadow results have no summary."""
        names = (self._state_key(key), self._archived_rows_key(key))
        return names if self._suffix else (*names, summary_key(key))

    def _send_all(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands and raise the first error among the replies."""
        if not commands:
            return []
        with translated(self._address):
            replies = self._connection.send(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise translate(reply, self._address)
        return replies

    def register_model(self, model: ModelInfo) -> None:
        """Store a model's description, permanently.

        Parameters
        ----------
        model
            Named by stored classifications.
        """
        value = orjson.dumps(model.fields())
        self._registered[f"{model.digest:016x}"] = value
        with translated(self._address):
            self._client.hset(MODELS_KEY, f"{model.digest:016x}", value)

    def models(self) -> Mapping[int, ModelInfo]:
        """Return all models ever registered, by digest."""
        with translated(self._address):
            stored = self._client.hgetall(MODELS_KEY)
        models = (
            ModelInfo.from_fields(int(field, 16), orjson.loads(value)) for field, value in stored.items()
        )
        return {model.digest: model for model in models}

    def ping(self) -> None:
        """Check that each server answers."""
        with translated(self._address):
            for server in self._connection.servers():
                server.ping()

    def usage(self) -> StoreUsage:
        """Return how full the servers are, summed."""
        used_bytes = limit_bytes = 0
        with translated(self._address):
            for server in self._connection.servers():
                memory: dict[str, Any] = server.info("memory")
                used_bytes += memory["used_memory"]
                limit_bytes += memory["maxmemory"]
        objects = sum(self._index.count(("t", survey), math.inf, -math.inf) for survey in Survey)
        return StoreUsage(objects, used_bytes, limit_bytes)

    def _state_key(self, key: str) -> str:
        return f"nj:{{{key}}}{self._suffix}"

    def _archived_rows_key(self, key: str) -> str:
        return f"nj:o:{{{key}}}{self._suffix}"

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()


def _connection(url: str, access: Credentials, timeout_s: float) -> Connection:
    if url.partition("://")[0] in CLUSTER_SCHEMES:
        return ClusterConnection(url, access=access, timeout_s=timeout_s)
    client = Redis.from_url(
        url,
        **access.options(url),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
    return ServerConnection(client)
