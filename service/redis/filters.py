"""Named filters in Redis: hash ``nj:filters``, name to JSON."""

from typing import Any

import orjson

from service.core.search.filters import FilterSpec, read_filter, write_filter
from service.redis.connection import Connection
from service.redis.errors import translated

__all__ = ["RedisFilters"]

FILTERS_KEY = "nj:filters"


class RedisFilters:
    """Filters in Redis; safe to share between threads.

    Parameters
    ----------
    connection
        To a server or a cluster.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> list[FilterSpec]:
        """Return every filter, sorted by name."""
        with translated(self._connection.address):
            stored: Any = self._connection.client.hgetall(FILTERS_KEY)
        filters = (read_filter(orjson.loads(value)) for value in stored.values())
        return sorted(filters, key=lambda spec: spec.name)

    def put(self, spec: FilterSpec) -> bool:
        """Store a filter; return whether it is new.

        Parameters
        ----------
        spec
            Replaces a filter of the same name.
        """
        with translated(self._connection.address):
            return bool(
                self._connection.client.hset(FILTERS_KEY, spec.name, orjson.dumps(write_filter(spec)))
            )

    def remove(self, name: str) -> bool:
        """Remove a filter; return whether it existed.

        Parameters
        ----------
        name
            Of the filter.
        """
        with translated(self._connection.address):
            return bool(self._connection.client.hdel(FILTERS_KEY, name))
