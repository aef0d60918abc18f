"""Objects that are asked for at one time, read from the store in one round trip."""

import asyncio
from collections.abc import Sequence

import anyio.to_thread

from service.core.ports.store import ObjectStore
from service.errors import ServiceError

__all__ = ["BatchLoader"]

Waiting = tuple[Sequence[str], asyncio.Future[list[bytes | None]]]

MOST_AT_ONCE = 100
"""Requests in one round trip; with objects of a thousand observations these are 3 MB."""


class BatchLoader:
    """Reads objects for coroutines, in a thread.

    To hand a request to a thread and back costs as much as all that is done with the object. So only one
    round trip is under way at a time, and what is asked for meanwhile goes into the next.

    Parameters
    ----------
    store
        Safe to be used from many threads.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._waiting: list[Waiting] = []
        self._reading: asyncio.Task[None] | None = None

    async def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read the values of objects, None for each that is not stored.

        Parameters
        ----------
        keys
            A few: what one request names.

        Raises
        ------
        StoreUnavailableError, SettingsError
            As of `ObjectStore.load`.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[bytes | None]] = loop.create_future()
        self._waiting.append((keys, future))
        if self._reading is None:
            self._reading = loop.create_task(self._read())
        try:
            return await future
        except _FailedTogetherError:
            # A cluster may hold these keys though it does not answer for those of others.
            return await anyio.to_thread.run_sync(self._store.load, keys)

    async def _read(self) -> None:
        """Read until nobody waits."""
        while self._waiting:
            together, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            await self._read_together(together)
        self._reading = None

    async def _read_together(self, waiting: Sequence[Waiting]) -> None:
        keys = [key for wanted, _ in waiting for key in wanted]
        loop = asyncio.get_running_loop()
        try:
            values = await loop.run_in_executor(None, self._store.load, keys)
        except Exception as error:  # noqa: BLE001  raised where it is awaited
            self._fail(waiting, error if len(waiting) == 1 else _FailedTogetherError())
            return
        start = 0
        for wanted, future in waiting:
            if not future.done():
                future.set_result(values[start : start + len(wanted)])
            start += len(wanted)

    def _fail(self, waiting: Sequence[Waiting], error: Exception) -> None:
        for _, future in waiting:
            if not future.done():
                future.set_exception(error)


class _FailedTogetherError(ServiceError):
    """A round trip for several requests failed."""
