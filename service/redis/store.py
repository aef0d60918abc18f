"""The store of objects in Redis.

====================  =====================================================================
``nj:{ztf:ZTF21...}``  state of one object, `service.core.state.object_state`, without its archived rows; the
                      braces are a hash tag, so that a cluster keeps all keys of one object on one node
``nj:o:{ztf:...}``     settled rows of that object, where it has some: its oldest
``nj:{ztf:...}:0123`` what the model of that digest said of the object aside, in the same form
``nj:models``         hash: digest as 16 hex digits -> JSON of `ModelInfo`
``nj:filters``        hash: name -> JSON of `service.core.search.filters.FilterSpec`
====================  =====================================================================

The index of objects has keys of its own: `service.redis.index`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import asdict
from datetime import timedelta
from hashlib import sha1
from importlib.resources import files
from itertools import groupby
from typing import Any, Self

import orjson
from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from service.core.alerts import Survey
from service.core.ports.store import ModelInfo, StateWrite, StoreUsage
from service.core.records.encoding import Classifier
from service.core.state.layout import has_archived_rows, recent_length, stored_counter
from service.errors import SettingsError
from service.redis.cluster import CLUSTER_SCHEMES, ClusterConnection
from service.redis.connection import Command, Connection, Credentials, ServerConnection
from service.redis.errors import translate, translated
from service.redis.filters import RedisFilters
from service.redis.index import RedisIndex, summary_key

__all__ = ["RedisStore"]

MODELS_KEY = "nj:models"

NO_LOGIN = Credentials()

# Of the letters that the script knows.
NO_ROWS = "-"
BRINGS_ROWS = "sa"

_KEYS_AT_A_TIME = 1000

_PIPELINE_WRITES = 1000
"""Writes sent before their replies are read; with values of some 10 kB, 10 MB on their way at most."""


class RedisStore:
    """Objects in Redis; safe to share between threads.

    A command is sent once: who calls decides whether to try again, since only they know what a lost
    reply means to them.

    Parameters
    ----------
    link
        To a server or a cluster; see `connect`.
    expiry
        A value is forgotten this long after its last write.
    replicas
        So many replicas must have what was saved, or it counts as not saved.
    """

    def __init__(self, link: Connection, *, expiry: timedelta, replicas: int = 0) -> None:
        self._link = link
        self._index = RedisIndex(link)
        self._filters = RedisFilters(link)
        self._address = link.address
        self._replicas = replicas
        self._expiry_ms = max(1, round(expiry / timedelta(milliseconds=1)))
        self._script = (files("service.redis") / "compare_and_set.lua").read_bytes()
        self._script_sha = sha1(self._script, usedforsecurity=False).hexdigest()
        self._registered: dict[str, bytes] = {}
        self._suffix = ""

    @property
    def index(self) -> RedisIndex:
        """Finds objects by what they are."""
        return self._index

    @property
    def filters(self) -> RedisFilters:
        """Keeps named filters."""
        return self._filters

    @property
    def _client(self) -> Redis | RedisCluster:
        return self._link.client

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
        """Make a store for a server or a cluster, without talking to it yet.

        Parameters
        ----------
        url
            ``redis://``, ``rediss://`` (TLS) or ``unix://``, with a database number or none; for a cluster
            ``redis+cluster://`` or ``rediss+cluster://`` with some of its nodes, separated by commas.
        access
            Name, password and certificates, where the URL carries none.
        timeout
            Longest wait for a connection and for one reply.
        expiry
            A value is forgotten this long after its last write.
        replicas
            So many replicas must have what was saved, or it counts as not saved.

        Raises
        ------
        SettingsError
            The URL is none that Redis clients know.
        """
        try:
            link = _link(url, access, timeout.total_seconds())
        except ValueError as error:
            raise SettingsError(f"NIGHTJAR_REDIS_URL cannot be used: {error}") from error
        return cls(link, expiry=expiry, replicas=replicas)

    def for_model(self, digest: int) -> Self:
        """Give the store of what one model said aside, over the same connections."""
        other = copy(self)
        other._suffix = f":{digest:016x}"
        return other

    def keys(self, survey: Survey) -> Iterator[list[str]]:
        """Give the keys of a survey's objects, some at a time, in any order; a key may come twice."""
        pattern = f"nj:{{{survey.value}:*}}{self._suffix}"
        with translated(self._address):
            for server in self._link.servers():
                cursor = -1
                while cursor:
                    answer: Any = server.scan(max(cursor, 0), match=pattern, count=_KEYS_AT_A_TIME)
                    cursor, found = answer
                    yield [key.decode()[len("nj:{") : -len("}" + self._suffix)] for key in found]

    def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read the whole values of many objects, None for each that is not stored.

        In one round trip, and a second one where some have settled rows.
        """
        values = self.load_recent(keys)
        long = [place for place, value in enumerate(values) if has_archived_rows(value)]
        if not long:
            return values
        # The head is read again with them: both have to be of one write.
        names = [(self._state_key(keys[place]), self._archived_rows_key(keys[place])) for place in long]
        with translated(self._address):
            pairs = self._link.get_pairs(names)
        for place, (head, rows) in zip(long, pairs, strict=True):
            values[place] = head + (rows or b"") if has_archived_rows(head) else head
        return values

    def load_recent(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read the values of many objects without their settled rows, in one round trip."""
        if not keys:
            return []
        with translated(self._address):
            return self._link.get_many([self._state_key(key) for key in keys])

    def save(self, writes: Sequence[StateWrite]) -> list[bool]:
        """Write many objects, each unless another writer changed it since it was read.

        The models registered here are written again with them: a server that has lost its data and got
        new objects would otherwise not know what their classes are.

        Returns
        -------
        list of bool
            Shape (n,); False for each write that lost its race.
        """
        written: list[bool] = []
        for start in range(0, len(writes), _PIPELINE_WRITES):
            written += self._compare_and_set(writes[start : start + _PIPELINE_WRITES])
        return written

    def _compare_and_set(self, writes: Sequence[StateWrite]) -> list[bool]:
        size = self._link.objects_per_command
        # All of one command have a summary, or none has.
        alike = [list(group) for _, group in groupby(writes, lambda write: bool(write.summary))]
        parts = [group[start : start + size] for group in alike for start in range(0, len(group), size)]
        commands: list[Command] = [("HSET", MODELS_KEY, *item) for item in self._registered.items()]
        n_models = len(commands)
        commands += [self._write_command(part) for part in parts]
        with translated(self._address):
            replies = self._link.send(commands, replicas=self._replicas)
            unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if unknown:  # a server is new, was restarted, or its scripts were flushed
                for server in self._link.servers():
                    server.script_load(self._script)
                again = self._link.send([commands[i] for i in unknown], replicas=self._replicas)
                for i, reply in zip(unknown, again, strict=True):
                    replies[i] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise translate(reply, self._address)
        return [one == 1 for reply in replies[n_models:] for one in reply]

    def _write_command(self, writes: Sequence[StateWrite]) -> Command:
        keys = [self._state_key(write.key) for write in writes]
        heads = [_head(write.blob) for write in writes]
        columns = zip(heads, writes, strict=True)
        arguments = [part for head, write in columns for part in (head, stored_counter(write.replaces))]
        if writes[0].summary:
            keys += [summary_key(write.key) for write in writes]
            arguments += [write.summary for write in writes]
        fates = [_fate(write, len(head)) for head, write in zip(heads, writes, strict=True)]
        letters = "".join(letter for letter, _ in fates)
        if letters.strip(NO_ROWS):
            keys += [self._archived_rows_key(write.key) for write in writes]
            arguments += [rows for letter, rows in fates if letter in BRINGS_ROWS]
        fixed = (self._expiry_ms, len(writes), int(bool(writes[0].summary)), letters)
        return ("EVALSHA", self._script_sha, len(keys), *keys, *fixed, *arguments)

    def expiries(self, keys: Sequence[str]) -> list[int]:
        """Say when objects will be forgotten: Unix time in milliseconds, 0 for never or not stored."""
        replies = self._send_all([("PEXPIRETIME", self._state_key(key)) for key in keys])
        return [max(reply, 0) for reply in replies]

    def expire_at(self, times_ms: Sequence[tuple[str, int]]) -> None:
        """Let objects be forgotten at a Unix time in milliseconds; at 0 never."""
        self._send_all(
            [
                ("PEXPIREAT", name, time_ms) if time_ms else ("PERSIST", name)
                for key, time_ms in times_ms
                for name in self._names(key)
            ]
        )

    def _names(self, key: str) -> tuple[str, ...]:
        """Name all values of an object; what was said aside has no summary."""
        own = (self._state_key(key), self._archived_rows_key(key))
        return own if self._suffix else (*own, summary_key(key))

    def _send_all(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands of which none may fail."""
        if not commands:
            return []
        with translated(self._address):
            replies = self._link.send(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise translate(reply, self._address)
        return replies

    def register_model(self, model: ModelInfo) -> None:
        """Remember a model for as long as the store lives."""
        value = orjson.dumps({"survey": model.survey, **asdict(model.classifier)})
        self._registered[f"{model.digest:016x}"] = value
        with translated(self._address):
            self._client.hset(MODELS_KEY, f"{model.digest:016x}", value)

    def models(self) -> Mapping[int, ModelInfo]:
        """Read all models ever registered, by digest."""
        with translated(self._address):
            stored = self._client.hgetall(MODELS_KEY)
        models = (_read_model(int(field, 16), orjson.loads(value)) for field, value in stored.items())
        return {model.digest: model for model in models}

    def ping(self) -> None:
        """Ask each server for a sign of life."""
        with translated(self._address):
            for server in self._link.servers():
                server.ping()

    def usage(self) -> StoreUsage:
        """Ask how full the servers are together."""
        used_bytes = limit_bytes = 0
        with translated(self._address):
            for server in self._link.servers():
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
        """Give up the connections."""
        self._link.close()


def _head(blob: bytes) -> bytes:
    return blob[: recent_length(blob)] if has_archived_rows(blob) else blob


def _fate(write: StateWrite, end: int) -> tuple[str, bytes]:
    """Say what becomes of an object's settled rows, as the script has it, and which rows that takes."""
    if not has_archived_rows(write.blob):
        return ("d" if has_archived_rows(write.replaces) else NO_ROWS), b""
    if len(write.blob) > end:
        return "s", write.blob[end:]
    return ("a", write.archived_rows) if write.archived_rows else ("k", b"")


def _link(url: str, access: Credentials, timeout_s: float) -> Connection:
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


def _read_model(digest: int, value: dict[str, Any]) -> ModelInfo:
    classes = tuple((int(number), str(name)) for number, name in value["classes"])
    classifier = Classifier(value["name"], value["version"], value["feature_version"], classes)
    return ModelInfo(digest, Survey(value["survey"]), classifier)
