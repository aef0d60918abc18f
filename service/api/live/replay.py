"""Results that a client missed: from memory where it reaches back far enough, else from Kafka."""

import asyncio
from collections.abc import AsyncIterator
from itertools import islice

from service.api.live.batches import ResultEvents, StreamQuery
from service.api.live.broadcaster import Broadcaster
from service.api.live.client import StreamClient
from service.api.render.json import json_bytes
from service.core.ports.result_feed import FeedRecord, ResultFeed, write_positions

__all__ = ["CatchUp"]

MAX_REPLAYS = 4
"""Replays from Kafka at a time, since each has a Kafka client with its own threads; others wait."""

RECORDS_PER_READ = 500
AHEAD_TIMEOUT_S = 2.0


class CatchUp:
    """Brings clients up to the present.

    Parameters
    ----------
    broadcaster
        Sends new results.
    feed
        The output topic.
    """

    def __init__(self, broadcaster: Broadcaster, feed: ResultFeed) -> None:
        self._broadcaster = broadcaster
        self._feed = feed
        self._slots = asyncio.Semaphore(MAX_REPLAYS)

    async def catch_up(self, client: StreamClient, positions: dict[int, int]) -> AsyncIterator[bytes]:
        """Iterate over the events that a client missed since some positions, and join it to the broadcaster.

        Nothing is missed or sent twice in between: the last part is read from memory in the same step of the
        event loop in which the client joins.
        """
        await self._wait_until_reached(positions)
        while not self._broadcaster.replay_buffer.covers(positions):
            async with self._slots:
                async for events in self._from_kafka(client.query, positions):
                    yield events
        events = b"".join(self._from_memory(client.query, positions))
        self._broadcaster.join(client)
        if events:
            yield events

    async def _wait_until_reached(self, positions: dict[int, int]) -> None:
        """Wait until the broadcaster has reached the client's positions, which the topic holds."""
        for _ in range(int(AHEAD_TIMEOUT_S / 0.1)):
            here = self._broadcaster.positions
            if all(here.get(partition, 0) >= offset for partition, offset in positions.items()):
                return
            if positions.keys() - here.keys():
                self._broadcaster.check_partitions()
            await asyncio.sleep(0.1)
        here = self._broadcaster.positions
        positions.update({part: min(offset, here.get(part, 0)) for part, offset in positions.items()})

    def _from_memory(self, query: StreamQuery, positions: dict[int, int]) -> list[bytes]:
        events = []
        for batch, new in self._broadcaster.replay_buffer.since(positions):
            passing = set(batch.select(query, self._broadcaster.encoder.vocabulary))
            events += _events(batch, new, passing, positions)
        return events

    async def _from_kafka(self, query: StreamQuery, positions: dict[int, int]) -> AsyncIterator[bytes]:
        """Iterate over the events from Kafka up to the present position of the broadcaster."""
        extents = await asyncio.to_thread(self._feed.extents)
        lost = sum(max(span.start - positions.get(part, span.start), 0) for part, span in extents.items())
        if lost:
            yield b"event: gap\ndata: " + json_bytes({"offsets": lost}) + b"\n\n"
        starts = {part: max(positions.get(part, 0), span.start) for part, span in extents.items()}
        now = self._broadcaster.positions
        ranges = {part: range(start, max(now.get(part, start), start)) for part, start in starts.items()}
        records = self._feed.read(ranges)
        while chunk := await asyncio.to_thread(lambda: list(islice(records, RECORDS_PER_READ))):
            yield await asyncio.to_thread(self._selected, chunk, query, positions)
        positions.update({partition: span.stop for partition, span in ranges.items()})

    def _selected(self, chunk: list[FeedRecord], query: StreamQuery, positions: dict[int, int]) -> bytes:
        encoder = self._broadcaster.encoder
        batch = encoder.encode(chunk, positions, self._broadcaster.filters())
        return batch.events(batch.select(query, encoder.vocabulary))


def _events(batch: ResultEvents, new: list[int], passing: set[int], positions: dict[int, int]) -> list[bytes]:
    """Return the events that are new and pass, each with the id of this client's position after it."""
    events = []
    for i in new:
        partition, offset = batch.offsets[i]
        positions[partition] = offset + 1
        if i in passing:
            events.append(f"id: {write_positions(positions)}\n".encode() + batch.payloads[i])
    return events
