"""Reads of single objects, coalesced into one round trip to the store."""

import asyncio
from collections.abc import Sequence

import anyio.to_thread

from service.core.ports.store import ObjectStore
from service.errors import ServiceError

__all__ = ["BatchLoader"]

Pending = tuple[Sequence[str], asyncio.Future[list[bytes | None]]]

MAX_BATCH = 100
"""Requests in one round trip; with objects of a thousand observations these are 3 MB."""


class BatchLoader:
    """Reads objects for coroutines, in a thread.

    Handing a request to a thread and back costs as much as everything else that is done for one object. So
    only one round trip is under way at a time, and requests that arrive meanwhile share the next.

    Parameters
    ----------
    store
        May be used from many threads.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._pending: list[Pending] = []
        self._task: asyncio.Task[None] | None = None

    async def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the stored values of objects, None for each that is not stored.

        Parameters
        ----------
        keys
            A few: those that one request names.

        Raises
        ------
        StoreUnavailableError, SettingsError
            As `ObjectStore.load` raises them.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[bytes | None]] = loop.create_future()
        self._pending.append((keys, future))
        if self._task is None:
            self._task = loop.create_task(self._read())
        try:
            return await future
        except _BatchFailedError:
            # A cluster may answer for these keys though it does not for those of other requests.
            return await anyio.to_thread.run_sync(self._store.load, keys)

    async def _read(self) -> None:
        """Read until no request is pending."""
        while self._pending:
            batch, self._pending = self._pending[:MAX_BATCH], self._pending[MAX_BATCH:]
            await self._read_batch(batch)
        self._task = None

    async def _read_batch(self, batch: Sequence[Pending]) -> None:
        keys = [key for requested, _ in batch for key in requested]
        loop = asyncio.get_running_loop()
        try:
            values = await loop.run_in_executor(None, self._store.load, keys)
        except Exception as error:  # noqa: BLE001  raised where it is awaited
            self._fail(batch, error if len(batch) == 1 else _BatchFailedError())
            return
        start = 0
        for requested, future in batch:
            if not future.done():
                future.set_result(values[start : start + len(requested)])
            start += len(requested)

    def _fail(self, batch: Sequence[Pending], error: Exception) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(error)


class _BatchFailedError(ServiceError):
    """A round trip for several requests failed."""
