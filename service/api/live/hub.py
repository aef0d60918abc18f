"""Reads the topic of results once, and hands each result to every client that asked for it."""

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
"""A new filter applies after so long at the latest."""

GROWTH_AGE_S = 5.0
"""New partitions of the topic are noticed after so long at the latest."""

log = structlog.get_logger(__name__)


class Broadcaster:
    """The one reader, in a thread of its own, and the clients, in the server's event loop.

    It starts with the first client. Results are made ready for sending in the thread, once each; the loop
    asks once per batch and distinct wish what passes, and gives all clients of that wish the same bytes.

    Parameters
    ----------
    feed
        The topic of results.
    store
        States of objects, and filters.
    ring_events
        Results kept in memory for clients that come back, some 1.5 kB each.
    """

    def __init__(self, feed: ResultFeed, store: ObjectStore, *, ring_events: int) -> None:
        self._feed = feed
        self._store = store
        self._most = ring_events
        self._maker = ResultEventEncoder(self._load)
        self._clients: dict[StreamQuery, set[StreamClient]] = {}
        self._positions: dict[int, int] = {}
        self._ring = ReplayBuffer(ring_events, {})
        self._ready = asyncio.Event()
        self._stop = Event()
        self._is_behind = Event()
        self._looked_s = time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._filters = FilterCache(store.filters)

    @property
    def maker(self) -> ResultEventEncoder:
        """Makes batches of records, for those who read on their own."""
        return self._maker

    @property
    def positions(self) -> Positions:
        """How far the results have been handed out; to be asked in the event loop."""
        return dict(self._positions)

    @property
    def ring(self) -> ReplayBuffer:
        """The latest results; to be asked in the event loop."""
        return self._ring

    @property
    def n_clients(self) -> int:
        """How many clients there are."""
        return sum(map(len, self._clients.values()))

    def filters(self, *, anew: bool = False) -> Sequence[FilterSpec]:
        """Give the named filters, as of a moment ago or, where asked to, as of now."""
        return self._filters.get(anew=anew)

    async def ready(self, patience_s: float) -> None:
        """Start reading if nobody has, and wait until the present is reached.

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
            await asyncio.wait_for(self._ready.wait(), patience_s)
        except TimeoutError:
            raise BrokerUnavailableError("the topic of results cannot be read") from None

    def join(self, client: StreamClient) -> None:
        """Hand a client all that comes from now on; in the event loop."""
        if self._stop.is_set():
            client.end(EndReason.STOPPING)
        self._clients.setdefault(client.wanted, set()).add(client)

    def leave(self, client: StreamClient) -> None:
        """Hand a client nothing more; in the event loop."""
        group = self._clients.get(client.wanted)
        if group is not None:
            group.discard(client)
            if not group:
                del self._clients[client.wanted]

    def close(self) -> None:
        """End the streams of all clients with a last message, and the reading; in the event loop."""
        self._stop.set()
        for group in self._clients.values():
            for client in group:
                client.end(EndReason.STOPPING)

    def _load(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        try:
            return self._store.load(keys)
        except ServiceError:
            # A result is worth more than its magnitude.
            return [None] * len(keys)

    def _run(self) -> None:
        """Read until told to stop; in the thread."""
        backoff = Backoff(INITIAL_DELAY, MAXIMUM_DELAY)
        while not self._stop.is_set():
            try:
                self._follow(backoff)
            except BrokerUnavailableError as error:
                if not backoff.failures:
                    log.warning("live stream waits for Kafka", cause=str(error))
                self._stop.wait(backoff.next_s())
            except Exception:
                log.exception("live stream failed and starts anew")
                self._stop.wait(MAXIMUM_DELAY.total_seconds())
        self._feed.close()

    def _follow(self, backoff: Backoff) -> None:
        """Read from where we were, at first from a little before the end, until there are new partitions."""
        spans = self._feed.extents()
        starts = self._starts(spans)
        reading = ReadProgress(dict(starts), {part: span.stop for part, span in spans.items()})
        self._in_loop(partial(self._begin, starts))
        self._feed.open(starts)
        while not self._stop.is_set() and not self._has_grown():
            chunk = self._feed.poll()
            backoff.reset()
            batch = self._maker.make(chunk.records, reading.positions, self.filters())
            reading.note(chunk)
            self._in_loop(partial(self._hand_out, batch, reading))

    def _starts(self, spans: Mapping[int, range]) -> dict[int, int]:
        """Say where to begin; a partition that was not there before is read from its beginning."""
        back = -(-self._most // max(len(spans), 1))
        ours = {
            part: self._positions.get(part, 0 if self._positions else span.stop - back)
            for part, span in spans.items()
        }
        return {part: max(span.start, ours[part]) for part, span in spans.items()}

    def _has_grown(self) -> bool:
        """Look for new partitions, now and then or when somebody knows of one."""
        if time.monotonic() - self._looked_s < GROWTH_AGE_S and not self._is_behind.is_set():
            return False
        self._is_behind.clear()
        self._looked_s = time.monotonic()
        return self._feed.has_grown()

    def look(self) -> None:
        """Look for new partitions at once: somebody has been told of one by another server."""
        self._is_behind.set()

    def _begin(self, starts: Positions) -> None:
        if not self._positions:
            self._ring = ReplayBuffer(self._most, starts)
        self._ring.begin(starts)
        self._positions = {**starts, **self._positions}

    def _hand_out(self, batch: ResultEvents, reading: "ReadProgress") -> None:
        """Give a batch to all that asked for something in it; in the event loop."""
        self._positions = dict(reading.positions)
        if batch.places:
            self._ring.add(batch)
            for wanted, group in self._clients.items():
                chosen = batch.select(wanted, self._maker.vocabulary)
                if chosen:
                    events = batch.events(chosen)
                    for client in group:
                        client.push(events)
        if reading.is_present:
            self._ready.set()
        self._end_removed()

    def _end_removed(self) -> None:
        names = self._filters.names()
        for wanted, group in self._clients.items():
            if wanted.filter_name and names is not None and wanted.filter_name not in names:
                for client in group:
                    client.end(EndReason.REMOVED)

    def _in_loop(self, call: Callable[[], None]) -> None:
        """Do something in the event loop, and wait for it: who reads is never far ahead of who sends."""

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
    """How far one reading of the topic has come.

    Parameters
    ----------
    positions
        Partition to the offset of the next record; moved as records come.
    present
        Where the partitions ended when the reading began.
    """

    def __init__(self, positions: dict[int, int], present: Positions) -> None:
        self.positions = positions
        self._behind = {part for part, end in present.items() if positions[part] < end}

    def note(self, chunk: FeedChunk) -> None:
        """Take up which partitions were read to their end; there may be no record just before it."""
        for partition, end in chunk.ends.items():
            self.positions[partition] = max(self.positions.get(partition, 0), end)
            self._behind.discard(partition)

    @property
    def is_present(self) -> bool:
        """Whether all that there was at the beginning has been read."""
        return not self._behind


class FilterCache:
    """Named filters, read anew after a while.

    Parameters
    ----------
    store
        Where they are kept.
    """

    def __init__(self, store: FilterStore) -> None:
        self._store = store
        self._known: Sequence[FilterSpec] | None = None
        self._read_s = float("-inf")

    def get(self, *, anew: bool = False) -> Sequence[FilterSpec]:
        """Give them; those of before where the store does not answer."""
        if anew or time.monotonic() - self._read_s > FILTERS_AGE_S:
            self._read_s = time.monotonic()
            try:
                self._known = self._store.all()
            except ServiceError as error:
                log.warning("filters not read", cause=str(error))
        return self._known or ()

    def names(self) -> frozenset[str] | None:
        """Give their names; None where they were never read."""
        return None if self._known is None else frozenset(spec.name for spec in self._known)
