"""The search index in Redis: sorted sets, and a summary of each object.

=========================  ================================================================================
``nj:s:{ztf:ZTF21...}``     summary of one object, `service.core.state.summary`; with the hash tag of its
                           state, so that one script can write both
``nj:i:t:ztf``             sorted set: object -> time of its latest alert, MJD TAI
``nj:i:p:ztf``             sorted set: object -> nested HEALPix pixel of its latest alert
``nj:i:c:ztf:Ia``          sorted set: object -> probability of the class
``nj:i``                   set of the names of the sorted sets
=========================  ================================================================================

One command per sorted set and batch. Each set is one key, so it is on one node of a cluster.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from service.core.alerts import Survey
from service.core.search.criteria import IndexEntry, ScoreRange
from service.core.state.summary import IndexName
from service.redis.connection import Command, Connection
from service.redis.errors import translate, translated

__all__ = ["RedisIndex", "summary_key"]

NAMES_KEY = "nj:i"


class RedisIndex:
    """Objects by time, position and class; safe to share between threads.

    Parameters
    ----------
    connection
        To a server or a cluster.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, entries: Mapping[IndexName, Mapping[str, float]]) -> None:
        """Write objects into indexes, all in one round trip.

        Parameters
        ----------
        entries
            Of each index the objects' names, without the survey, and scores.
        """
        commands: list[Command] = []
        for index, scores in entries.items():
            flat: list[Any] = [None] * (2 * len(scores))
            flat[::2], flat[1::2] = scores.values(), scores.keys()
            commands.append(("ZADD", _key(index), *flat))
        # The names are written each time: a server that lost its data gets them back with the rest.
        if commands:
            self._send([("SADD", NAMES_KEY, *map(_key, entries)), *commands])

    def forget(self, keys: Sequence[str]) -> None:
        """Remove objects from the indexes by time and position.

        Parameters
        ----------
        keys
            `service.core.alerts.object_key` of each.
        """
        by_survey: dict[str, list[str]] = {}
        for key in keys:
            survey, _, name = key.partition(":")
            by_survey.setdefault(survey, []).append(name)
        self._send(
            [
                ("ZREM", _key((kind, survey)), *names)
                for survey, names in by_survey.items()
                for kind in ("t", "p")
            ]
        )

    def remove(self, index: IndexName, keys: Sequence[str]) -> None:
        """Remove objects from one index.

        Parameters
        ----------
        index
            Its name.
        keys
            `service.core.alerts.object_key` of each.
        """
        if keys:
            self._send([("ZREM", _key(index), *(key.partition(":")[2] for key in keys))])

    def summaries(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the stored summaries of objects.

        Parameters
        ----------
        keys
            Shape (n,).

        Returns
        -------
        list of bytes or None
            Shape (n,); None for each object without one.
        """
        if not keys:
            return []
        with translated(self._connection.address):
            return self._connection.get_many([summary_key(key) for key in keys])

    def ranked(self, spans: Sequence[ScoreRange]) -> list[list[IndexEntry]]:
        """Return objects between two scores, from several indexes in one round trip.

        Parameters
        ----------
        spans
            Shape (n,).

        Returns
        -------
        list of list of IndexEntry
            Shape (n,), each in descending order of score.
        """
        options = "BYSCORE", "REV", "LIMIT"
        replies = self._send(
            [
                (
                    "ZRANGE",
                    _key(span.index),
                    span.maximum,
                    span.minimum,
                    *options,
                    span.skip,
                    span.count,
                    "WITHSCORES",
                )
                for span in spans
            ]
        )
        return [
            [IndexEntry(float(score), f"{span.index[1]}:{name.decode()}") for name, score in _pairs(reply)]
            for span, reply in zip(spans, replies, strict=True)
        ]

    def count(self, index: IndexName, most: float, least: float) -> int:
        """Return the number of objects that an index has between two scores.

        Parameters
        ----------
        index
            Its name.
        most, least
            Largest and smallest score.
        """
        [reply] = self._send([("ZCOUNT", _key(index), least, most)])
        return int(reply)

    def within(
        self, surveys: Sequence[Survey], ranges: Sequence[tuple[int, int]], *, limit: int
    ) -> list[str]:
        """Return the keys of the objects in some ranges of pixels.

        Parameters
        ----------
        surveys
            Of the objects.
        ranges
            First pixel and the one after the last, nested HEALPix.
        limit
            Largest number of objects per survey and range.
        """
        queries = [(survey.value, start, stop) for survey in surveys for start, stop in ranges]
        replies = self._send(
            [
                ("ZRANGE", _key(("p", survey)), start, f"({stop}", "BYSCORE", "LIMIT", 0, limit)
                for survey, start, stop in queries
            ]
        )
        return [
            f"{survey}:{name.decode()}"
            for (survey, _, _), reply in zip(queries, replies, strict=True)
            for name in reply
        ]

    def scan(self, index: IndexName, cursor: int, *, count: int) -> tuple[int, list[str]]:
        """Return some keys of an index.

        Parameters
        ----------
        index
            Its name.
        cursor
            0 to start, then as returned.
        count
            Approximate number of keys.

        Returns
        -------
        int
            The next cursor; 0 at the end.
        list of str
            `service.core.alerts.object_key` of each; one may occur twice during a scan.
        """
        [reply] = self._send([("ZSCAN", _key(index), cursor, "COUNT", count)])
        return int(reply[0]), [f"{index[1]}:{name.decode()}" for name, _ in _pairs(reply[1])]

    def names(self) -> list[IndexName]:
        """Return the names of all indexes."""
        [reply] = self._send([("SMEMBERS", NAMES_KEY)])
        return sorted(tuple(name.decode().split(":", 4)[2:]) for name in reply)

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        if not commands:
            return []
        with translated(self._connection.address):
            replies = self._connection.send(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise translate(reply, self._connection.address)
        return replies


def summary_key(key: str) -> str:
    """Return the Redis key of an object's summary.

    Parameters
    ----------
    key
        `service.core.alerts.object_key` of the object.
    """
    return f"nj:s:{{{key}}}"


def _key(index: IndexName) -> str:
    return f"nj:i:{':'.join(index)}"


def _pairs(reply: Any) -> list[tuple[bytes, Any]]:
    """Return members with scores, which protocol 2 sends flat and protocol 3, or redis-py, in pairs."""
    if reply and not isinstance(reply[0], bytes):
        return [(pair[0], pair[1]) for pair in reply]
    return list(zip(reply[::2], reply[1::2], strict=True))
