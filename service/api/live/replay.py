"""What a client missed: from memory where that reaches back so far, else from Kafka."""

import asyncio
from collections.abc import AsyncIterator
from itertools import islice

from service.api.live.batches import ResultEvents, StreamQuery
from service.api.live.client import StreamClient
from service.api.live.hub import Broadcaster
from service.api.render.json import json_bytes
from service.core.ports.result_feed import FeedRecord, ResultFeed, write_positions

__all__ = ["CatchUp"]

AT_ONCE = 4
"""Each replay has a Kafka client with threads of its own; the others wait."""

CHUNK = 500
BEHIND_PATIENCE_S = 2.0


class CatchUp:
    """Brings clients up to the present.

    Parameters
    ----------
    hub
        Hands out what comes.
    feed
        The topic of results.
    """

    def __init__(self, hub: Broadcaster, feed: ResultFeed) -> None:
        self._hub = hub
        self._feed = feed
        self._room = asyncio.Semaphore(AT_ONCE)

    async def catch_up(self, client: StreamClient, positions: dict[int, int]) -> AsyncIterator[bytes]:
        """Give what a client missed since some positions, then let the hub hand it what comes.

        Nothing is left out or given twice in between: the last part is read from memory in the same step
        of the event loop in which the client joins.
        """
        await self._reach(positions)
        while not self._hub.ring.covers(positions):
            async with self._room:
                async for events in self._from_kafka(client.wanted, positions):
                    yield events
        events = b"".join(self._from_memory(client.wanted, positions))
        self._hub.join(client)
        if events:
            yield events

    async def _reach(self, positions: dict[int, int]) -> None:
        """Wait until the hub is where the client was; a position that is not reached lies in no topic."""
        for _ in range(int(BEHIND_PATIENCE_S / 0.1)):
            here = self._hub.positions
            if all(here.get(partition, 0) >= offset for partition, offset in positions.items()):
                return
            if positions.keys() - here.keys():
                self._hub.look()
            await asyncio.sleep(0.1)
        here = self._hub.positions
        positions.update({part: min(offset, here.get(part, 0)) for part, offset in positions.items()})

    def _from_memory(self, wanted: StreamQuery, positions: dict[int, int]) -> list[bytes]:
        found = []
        for batch, new in self._hub.ring.since(positions):
            passing = set(batch.select(wanted, self._hub.maker.vocabulary))
            found += _events(batch, new, passing, positions)
        return found

    async def _from_kafka(self, wanted: StreamQuery, positions: dict[int, int]) -> AsyncIterator[bytes]:
        """Read up to where the hub is now."""
        there = await asyncio.to_thread(self._feed.extents)
        lost = sum(max(span.start - positions.get(part, span.start), 0) for part, span in there.items())
        if lost:
            yield b"event: gap\ndata: " + json_bytes({"offsets": lost}) + b"\n\n"
        starts = {part: max(positions.get(part, 0), span.start) for part, span in there.items()}
        now = self._hub.positions
        ranges = {part: range(start, max(now.get(part, start), start)) for part, start in starts.items()}
        records = self._feed.read(ranges)
        while chunk := await asyncio.to_thread(lambda: list(islice(records, CHUNK))):
            yield await asyncio.to_thread(self._chosen, chunk, wanted, positions)
        positions.update({partition: span.stop for partition, span in ranges.items()})

    def _chosen(self, chunk: list[FeedRecord], wanted: StreamQuery, positions: dict[int, int]) -> bytes:
        maker = self._hub.maker
        batch = maker.make(chunk, positions, self._hub.filters())
        return batch.events(batch.select(wanted, maker.vocabulary))


def _events(batch: ResultEvents, new: list[int], passing: set[int], positions: dict[int, int]) -> list[bytes]:
    """Give the events that are new and pass, each with the id of where this client then stands."""
    found = []
    for i in new:
        partition, offset = batch.places[i]
        positions[partition] = offset + 1
        if i in passing:
            found.append(f"id: {write_positions(positions)}\n".encode() + batch.payloads[i])
    return found
