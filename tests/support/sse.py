"""A plain client of server-sent events, hundreds of which fit into one loop."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

__all__ = ["EventReader", "Received", "listening"]

LIMIT_BYTES = 2**22


@dataclass(frozen=True, slots=True)
class Received:
    """One event, or an id alone."""

    event: str
    event_id: str
    data: Any


class EventReader:
    """Reads one stream.

    Attributes
    ----------
    last_id
        Of the last event or heartbeat.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.last_id = ""

    async def next(self) -> Received:
        """Wait for an event; heartbeats are passed over."""
        while True:
            block = await self._block()
            if block.get("id"):
                self.last_id = block["id"]
            if "data" in block:
                return Received(block.get("event", ""), block.get("id", ""), json.loads(block["data"]))

    async def take(self, count: int, *, timeout_s: float = 60.0) -> list[Received]:
        """Wait for so many events."""
        async with asyncio.timeout(timeout_s):
            return [await self.next() for _ in range(count)]

    async def until(
        self, condition: Callable[[Received], bool], *, timeout_s: float = 60.0
    ) -> list[Received]:
        """Read events up to one that fulfils a condition."""
        found: list[Received] = []
        async with asyncio.timeout(timeout_s):
            while not found or not condition(found[-1]):
                found.append(await self.next())
        return found

    async def beat(self) -> None:
        """Wait for a block of any kind."""
        block = await self._block()
        self.last_id = block.get("id", self.last_id)

    async def _block(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        while (line := (await self._line())) != "" or not fields:
            name, _, value = line.partition(": ")
            fields[name] = value
        return fields

    async def _line(self) -> str:
        """Read a line of the body; the sizes of chunks stand on lines of their own."""
        while True:
            line = (await self._reader.readuntil(b"\n")).decode()
            if line.endswith("\r\n"):
                continue  # a chunk's size, or its end
            return line.rstrip("\n")


@asynccontextmanager
async def listening(url: str, last_id: str = "", **parameters: Any) -> AsyncIterator[EventReader]:
    """Connect to the stream of a server."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=LIMIT_BYTES)
    query = f"?{urlencode(parameters)}" if parameters else ""
    head = [f"GET /v1/stream{query} HTTP/1.1", f"Host: {parts.netloc}"]
    head += [f"Last-Event-ID: {last_id}"] if last_id else []
    try:
        writer.write("\r\n".join([*head, "", ""]).encode())
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        if b" 200 " not in answer.split(b"\r\n")[0]:
            raise ConnectionError(answer.decode() + (await reader.read(2000)).decode())
        yield EventReader(reader)
    finally:
        writer.close()
