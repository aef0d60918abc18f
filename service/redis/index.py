"""The index of objects in Redis: sorted sets, and a summary beside each object's state.

=========================  ================================================================================
``nj:s:{ztf:ZTF21...}``     summary of one object, `service.core.state.summary`; with the hash tag of its
                           state, so that one script writes both
``nj:i:t:ztf``             sorted set: object -> time of its latest alert, MJD TAI
``nj:i:p:ztf``             sorted set: object -> nested HEALPix pixel of its latest alert
``nj:i:c:ztf:Ia``          sorted set: object -> probability of the class
``nj:i``                   set of the names of the sorted sets
=========================  ================================================================================

One command per sorted set and batch. Each set is one key and so on one node of a cluster.
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
    """Objects by time, position and class; safe to be shared between threads.

    Parameters
    ----------
    link
        To a server or a cluster.
    """

    def __init__(self, link: Connection) -> None:
        self._link = link
        self._named: set[str] = set()

    def add(self, places: Mapping[IndexName, Mapping[str, float]]) -> None:
        """Write where objects stand, all indexes in one round trip."""
        commands: list[Command] = []
        for index, scores in places.items():
            flat: list[Any] = [None] * (2 * len(scores))
            flat[::2], flat[1::2] = scores.values(), scores.keys()
            commands.append(("ZADD", _key(index), *flat))
        # The names are written again each time: a server that lost its data gets them back with the rest.
        if commands:
            self._send([("SADD", NAMES_KEY, *map(_key, places)), *commands])

    def forget(self, keys: Sequence[str]) -> None:
        """Take objects out of the indexes by time and position."""
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
        """Take objects out of one index."""
        if keys:
            self._send([("ZREM", _key(index), *(key.partition(":")[2] for key in keys))])

    def summaries(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read the stored summaries of objects."""
        if not keys:
            return []
        with translated(self._link.address):
            return self._link.get_many([summary_key(key) for key in keys])

    def ranked(self, spans: Sequence[ScoreRange]) -> list[list[IndexEntry]]:
        """Give objects between two scores, of several indexes in one round trip."""
        options = "BYSCORE", "REV", "LIMIT"
        replies = self._send(
            [
                (
                    "ZRANGE",
                    _key(one.index),
                    one.maximum,
                    one.minimum,
                    *options,
                    one.skip,
                    one.count,
                    "WITHSCORES",
                )
                for one in spans
            ]
        )
        return [
            [IndexEntry(float(score), f"{one.index[1]}:{name.decode()}") for name, score in _pairs(reply)]
            for one, reply in zip(spans, replies, strict=True)
        ]

    def count(self, index: IndexName, most: float, least: float) -> int:
        """Count the objects that an index has between two scores."""
        [reply] = self._send([("ZCOUNT", _key(index), least, most)])
        return int(reply)

    def within(
        self, surveys: Sequence[Survey], ranges: Sequence[tuple[int, int]], *, limit: int
    ) -> list[str]:
        """Give the keys of the objects in some ranges of pixels."""
        asked = [(survey.value, start, stop) for survey in surveys for start, stop in ranges]
        replies = self._send(
            [
                ("ZRANGE", _key(("p", survey)), start, f"({stop}", "BYSCORE", "LIMIT", 0, limit)
                for survey, start, stop in asked
            ]
        )
        return [
            f"{survey}:{name.decode()}"
            for (survey, _, _), reply in zip(asked, replies, strict=True)
            for name in reply
        ]

    def scan(self, index: IndexName, cursor: int, *, count: int) -> tuple[int, list[str]]:
        """Give some keys of an index."""
        [reply] = self._send([("ZSCAN", _key(index), cursor, "COUNT", count)])
        return int(reply[0]), [f"{index[1]}:{name.decode()}" for name, _ in _pairs(reply[1])]

    def names(self) -> list[IndexName]:
        """Give every index there is."""
        [reply] = self._send([("SMEMBERS", NAMES_KEY)])
        return sorted(tuple(name.decode().split(":", 4)[2:]) for name in reply)

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        if not commands:
            return []
        with translated(self._link.address):
            replies = self._link.send(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise translate(reply, self._link.address)
        return replies


def summary_key(key: str) -> str:
    """Give the key of an object's summary."""
    return f"nj:s:{{{key}}}"


def _key(index: IndexName) -> str:
    return f"nj:i:{':'.join(index)}"


def _pairs(reply: Any) -> list[tuple[bytes, Any]]:
    """Read members with scores, which protocol 2 sends flat and protocol 3, or redis-py, in pairs."""
    if reply and not isinstance(reply[0], bytes):
        return [(one[0], one[1]) for one in reply]
    return list(zip(reply[::2], reply[1::2], strict=True))
