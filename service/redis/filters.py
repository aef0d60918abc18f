"""Named filters in Redis: hash ``nj:filters``, name to JSON."""

from typing import Any

import orjson

from service.core.search.filters import FilterSpec, read_filter, write_filter
from service.redis.connection import Connection
from service.redis.errors import translated

__all__ = ["RedisFilters"]

FILTERS_KEY = "nj:filters"


class RedisFilters:
    """Filters in Redis; safe to be shared between threads.

    Parameters
    ----------
    link
        To a server or a cluster.
    """

    def __init__(self, link: Connection) -> None:
        self._link = link

    def all(self) -> list[FilterSpec]:
        """Read every filter, by name."""
        with translated(self._link.address):
            stored: Any = self._link.client.hgetall(FILTERS_KEY)
        return sorted(
            (read_filter(orjson.loads(value)) for value in stored.values()), key=lambda one: one.name
        )

    def put(self, spec: FilterSpec) -> bool:
        """Write a filter; whether it is new."""
        with translated(self._link.address):
            return bool(self._link.client.hset(FILTERS_KEY, spec.name, orjson.dumps(write_filter(spec))))

    def remove(self, name: str) -> bool:
        """Take a filter away; whether there was one."""
        with translated(self._link.address):
            return bool(self._link.client.hdel(FILTERS_KEY, name))
