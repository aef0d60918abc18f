"""Reads the output topic once, and sends each result to every client that asked for it."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from threading import Event, Thread

import structlog

from service.api.live.batches import ReplayBuffer, ResultEventEncoder, ResultEvents, StreamQuery
from service.api.live.client import EndReason, StreamClient
from service.backoff import Backoff
from service.core.ports.result_feed import FeedChunk, Positions, ResultFeed
from service.core.ports.store import ObjectStore
from service.core.search.filters import FilterSpec, FilterStore
from service.errors import BrokerUnavailableError, ServiceError

__all__ = ["Broadcaster"]

INITIAL_DELAY = timedelta(seconds=0.5)
MAXIMUM_DELAY = timedelta(seconds=5)
FILTERS_AGE_S = 2.0
"""Longest time until a new filter applies."""

GROWTH_AGE_S = 5.0
"""Longest time until new partitions of the topic are noticed."""

log = structlog.get_logger(__name__)


class Broadcaster:
    """One reader, in its own thread, and the clients, in the server's event loop.

    It starts with the first client. The thread encodes each result once; the loop selects once per batch and
    distinct query, and sends the same bytes to all clients of a query.

    Parameters
    ----------
    feed
        The output topic.
    store
        States of objects, and filters.
    replay_size
        Results kept in memory for clients that reconnect, some 1.5 kB each.
    """

    def __init__(self, feed: ResultFeed, store: ObjectStore, *, replay_size: int) -> None:
        self._feed = feed
        self._store = store
        self._replay_size = replay_size
        self._encoder = ResultEventEncoder(self._load)
        self._clients: dict[StreamQuery, set[StreamClient]] = {}
        self._positions: dict[int, int] = {}
        self._replay_buffer = ReplayBuffer(replay_size, {})
        self._ready = asyncio.Event()
        self._stop = Event()
        self._check_now = Event()
        self._checked_s = time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._filters = FilterCache(store.filters)

    @property
    def encoder(self) -> ResultEventEncoder:
        """Encodes records, also for replays from Kafka."""
        return self._encoder

    @property
    def positions(self) -> Positions:
        """Positions up to which results have been sent; for use in the event loop."""
        return dict(self._positions)

    @property
    def replay_buffer(self) -> ReplayBuffer:
        """The latest results; for use in the event loop."""
        return self._replay_buffer

    @property
    def n_clients(self) -> int:
        """Number of clients."""
        return sum(map(len, self._clients.values()))

    def filters(self, *, refresh: bool = False) -> Sequence[FilterSpec]:
        """Return the stored filters, at most a few seconds old or, with `refresh`, as of now.

        Parameters
        ----------
        refresh
            Read them from the store.
        """
        return self._filters.get(refresh=refresh)

    async def ready(self, timeout_s: float) -> None:
        """Start reading unless it has started, and wait until the end of the topic is reached.

        Raises
        ------
        BrokerUnavailableError
            It is not reached in time.
        """
        if self._thread is None and not self._stop.is_set():
            self._loop = asyncio.get_running_loop()
            self._thread = Thread(target=self._run, name="live", daemon=True)
            self._thread.start()
        try:
            await asyncio.wait_for(self._ready.wait(), timeout_s)
        except TimeoutError:
            raise BrokerUnavailableError("the output topic cannot be read") from None

    def join(self, client: StreamClient) -> None:
        """Send a client all new results from now on; in the event loop.

        Parameters
        ----------
        client
            The client.
        """
        if self._stop.is_set():
            client.end(EndReason.STOPPING)
        self._clients.setdefault(client.query, set()).add(client)

    def leave(self, client: StreamClient) -> None:
        """Stop sending to a client; in the event loop.

        Parameters
        ----------
        client
            The client.
        """
        group = self._clients.get(client.query)
        if group is not None:
            group.discard(client)
            if not group:
                del self._clients[client.query]

    def close(self) -> None:
        """End the streams of all clients with a last event, and stop reading; in the event loop."""
        self._stop.set()
        for group in self._clients.values():
            for client in group:
                client.end(EndReason.STOPPING)

    def _load(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        try:
            return self._store.load(keys)
        except ServiceError:
            # Better a result without its magnitude than none.
            return [None] * len(keys)

    def _run(self) -> None:
        """Read until stopped; in the thread."""
        backoff = Backoff(INITIAL_DELAY, MAXIMUM_DELAY)
        while not self._stop.is_set():
            try:
                self._follow(backoff)
            except BrokerUnavailableError as error:
                if not backoff.failures:
                    log.warning("live stream waiting for Kafka", cause=str(error))
                self._stop.wait(backoff.next_s())
            except Exception:
                log.exception("live stream failed, restarting")
                self._stop.wait(MAXIMUM_DELAY.total_seconds())
        self._feed.close()

    def _follow(self, backoff: Backoff) -> None:
        """Read from the present positions, at first shortly before the end, until partitions are added."""
        extents = self._feed.extents()
        starts = self._starts(extents)
        progress = ReadProgress(dict(starts), {part: extent.stop for part, extent in extents.items()})
        self._in_loop(partial(self._start, starts))
        self._feed.open(starts)
        while not self._stop.is_set() and not self._has_grown():
            chunk = self._feed.poll()
            backoff.reset()
            batch = self._encoder.encode(chunk.records, progress.positions, self.filters())
            progress.update(chunk)
            self._in_loop(partial(self._broadcast, batch, progress))

    def _starts(self, extents: Mapping[int, range]) -> dict[int, int]:
        """Return the positions to start at; a new partition is read from its beginning."""
        n_back = -(-self._replay_size // max(len(extents), 1))
        starts = {
            part: self._positions.get(part, 0 if self._positions else extent.stop - n_back)
            for part, extent in extents.items()
        }
        return {part: max(extent.start, starts[part]) for part, extent in extents.items()}

    def _has_grown(self) -> bool:
        """Return whether there are new partitions; checked every few seconds, or on request."""
        if time.monotonic() - self._checked_s < GROWTH_AGE_S and not self._check_now.is_set():
            return False
        self._check_now.clear()
        self._checked_s = time.monotonic()
        return self._feed.has_grown()

    def check_partitions(self) -> None:
        """Check for new partitions at once: a client has heard of one from another server."""
        self._check_now.set()

    def _start(self, starts: Positions) -> None:
        if not self._positions:
            self._replay_buffer = ReplayBuffer(self._replay_size, starts)
        self._replay_buffer.add_partitions(starts)
        self._positions = {**starts, **self._positions}

    def _broadcast(self, batch: ResultEvents, progress: "ReadProgress") -> None:
        """Send a batch to the clients that asked for any of it; in the event loop."""
        self._positions = dict(progress.positions)
        if batch.offsets:
            self._replay_buffer.add(batch)
            for query, group in self._clients.items():
                indices = batch.select(query, self._encoder.vocabulary)
                if indices:
                    events = batch.events(indices)
                    for client in group:
                        client.push(events)
        if progress.is_current:
            self._ready.set()
        self._end_removed()

    def _end_removed(self) -> None:
        names = self._filters.names()
        for query, group in self._clients.items():
            if query.filter_name and names is not None and query.filter_name not in names:
                for client in group:
                    client.end(EndReason.REMOVED)

    def _in_loop(self, call: Callable[[], None]) -> None:
        """Call in the event loop and wait for it, so that reading is never far ahead of sending."""

        async def run() -> None:
            call()

        if self._loop is not None and not self._loop.is_closed():
            done = asyncio.run_coroutine_threadsafe(run(), self._loop)
            while not self._stop.is_set():
                try:
                    done.result(timeout=1.0)
                    return
                except TimeoutError:
                    continue


class ReadProgress:
    """How far the topic has been read.

    Parameters
    ----------
    positions
        Partition to the offset of the next record; advanced as records are read.
    ends
        Ends of the partitions when reading began.
    """

    def __init__(self, positions: dict[int, int], ends: Positions) -> None:
        self.positions = positions
        self._unfinished = {part for part, end in ends.items() if positions[part] < end}

    def update(self, chunk: FeedChunk) -> None:
        """Note which partitions were read to their end; there may be no record right before it.

        Parameters
        ----------
        chunk
            The result of one poll.
        """
        for partition, end in chunk.ends.items():
            self.positions[partition] = max(self.positions.get(partition, 0), end)
            self._unfinished.discard(partition)

    @property
    def is_current(self) -> bool:
        """Whether everything that was there at the beginning has been read."""
        return not self._unfinished


class FilterCache:
    """Stored filters, read again after a few seconds.

    Parameters
    ----------
    store
        Storage of the filters.
    """

    def __init__(self, store: FilterStore) -> None:
        self._store = store
        self._known: Sequence[FilterSpec] | None = None
        self._read_s = float("-inf")

    def get(self, *, refresh: bool = False) -> Sequence[FilterSpec]:
        """Return them; the previous ones where the store does not answer."""
        if refresh or time.monotonic() - self._read_s > FILTERS_AGE_S:
            self._read_s = time.monotonic()
            try:
                self._known = self._store.all()
            except ServiceError as error:
                log.warning("filters not refreshed", cause=str(error))
        return self._known or ()

    def names(self) -> frozenset[str] | None:
        """Return their names; None where they were never read."""
        return None if self._known is None else frozenset(spec.name for spec in self._known)
