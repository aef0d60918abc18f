"""Requests per second that one API process answers for one object.

Run as ``python -m tests.benchmarks api [--json] [--quick]``; the last line is one JSON object. The object
has 20 observations and 10 classifications. First as many requests as 16 connections can make, then half of
that rate, evenly, for the latencies: each is counted from the time at which the request was due, so that
a server that falls behind does not look fast. Who asks runs in a process of its own, on the same cores;
``asker_share`` and ``api_share`` say what part of a core each of the two took while as many requests were
made as can be: the one that is near 1 is the one that was measured.
The baseline is the smallest answer that the same server gives, ``/healthz``. The server keeps to one core
(``NIGHTJAR_API_CPU_AFFINITY``); names that end in ``_any_core`` are of one that does not. Names that begin
with ``cone_`` are of a search by position among a million objects, as the benchmark ``search`` measures it.
"""

import asyncio
import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from service.embedded.processes import LOOPBACK, ChildProcess, accepts_connections, free_port
from service.embedded.redis import EmbeddedRedis
from service.settings import Settings
from service.wiring.stores import object_store
from tests.benchmarks import search
from tests.benchmarks._report import options, publish, say
from tests.benchmarks._states import put, remembered, stored_states
from tests.support.command import command_line

CONNECTIONS = 16
PATH = "/v1/objects/lsst:1"
HEALTH = "/healthz"
PATIENCE_S = 120.0


async def asked(port: int, path: str, seconds: float, rate_hz: float) -> dict[str, float]:
    """Ask over several connections; at a rate of 0 each asks again at once."""
    latencies_s: list[float] = []
    started_s, own_s = time.perf_counter(), time.process_time()
    due_s = iter(np.arange(0, seconds, 1 / rate_hz).tolist()) if rate_hz else None

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        request = f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\n\r\n".encode()
        while (now_s := time.perf_counter() - started_s) < seconds:
            if due_s is not None:
                due = next(due_s, None)
                if due is None:
                    break
                await asyncio.sleep(max(due - now_s, 0))
                now_s = due
            writer.write(request)
            await answer(reader)
            latencies_s.append(time.perf_counter() - started_s - now_s)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    wall_s = time.perf_counter() - started_s
    own_share = (time.process_time() - own_s) / wall_s
    p50_ms, p99_ms = (np.percentile(latencies_s, [50, 99]) * 1000).tolist()
    return {
        "requests_per_s": len(latencies_s) / wall_s,
        "p50_ms": p50_ms,
        "p99_ms": p99_ms,
        "own_share": own_share,
    }


async def answer(reader: asyncio.StreamReader) -> None:
    """Read one answer to its end."""
    head = await reader.readuntil(b"\r\n\r\n")
    status, *lines = head.decode().lower().split("\r\n")
    if " 200 " not in status:
        raise RuntimeError(status)
    length = next(line for line in lines if line.startswith("content-length:"))
    await reader.readexactly(int(length.partition(":")[2]))


def ask(port: int, path: str, seconds: float, rate_hz: float = 0.0) -> dict[str, float]:
    """Ask from a process of its own."""
    with TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "tests.benchmarks.api", "ask", str(port), path, str(seconds)]
        child = ChildProcess("who asks", [*command, str(rate_hz)], Path(directory) / "log")
        child.start()
        if child.wait(timedelta(seconds=seconds + PATIENCE_S)):
            raise child.failure("ended early")
        result: dict[str, float] = json.loads(child.output().splitlines()[-1])
    say(f"{path}: {result}")
    return result


def measure(redis: EmbeddedRedis, core: int, seconds: float) -> dict[str, float]:
    """Start an API and ask it: the health answer, then the object."""
    port = free_port()
    environment = {
        "NIGHTJAR_REDIS_URL": redis.url,
        "NIGHTJAR_API_PORT": str(port),
        "NIGHTJAR_API_RATE_HZ": "0",
        "NIGHTJAR_API_CPU_AFFINITY": str(core),
    }
    with TemporaryDirectory() as directory:
        api = ChildProcess("api", command_line("api"), Path(directory) / "log", environment)
        api.start()
        deadline = time.monotonic() + PATIENCE_S
        while not accepts_connections(port):
            if not api.running or time.monotonic() > deadline:
                raise api.failure("does not listen")
            time.sleep(0.1)
        ask(port, PATH, 2.0)  # the warm-up
        health = ask(port, HEALTH, seconds)
        process = psutil.Process(api.pid)
        used_s = cpu_s(process)
        most = ask(port, PATH, seconds)
        used_s = cpu_s(process) - used_s
        half = ask(port, PATH, seconds, most["requests_per_s"] / 2)
        api.stop()
    return {
        "requests_per_s": round(most["requests_per_s"]),
        "p99_ms": round(half["p99_ms"], 2),
        "p50_ms": round(half["p50_ms"], 2),
        "asked_per_s": round(half["requests_per_s"]),
        "p99_ms_at_most": round(most["p99_ms"], 2),
        "cpu_us_per_request": round(used_s / seconds / most["requests_per_s"] * 1e6),
        "api_share": round(used_s / seconds, 2),
        "asker_share": round(most["own_share"], 2),
        "health_requests_per_s": round(health["requests_per_s"]),
    }


def cpu_s(process: psutil.Process) -> float:
    """Give the processor time of a process so far, seconds."""
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Measure a process that keeps to the last core, and one that goes where it is put."""
    chosen = options(__doc__)
    seconds = 5.0 if chosen.quick else 20.0
    with EmbeddedRedis() as redis:
        objects = object_store(Settings(redis_url=redis.url))
        put(objects, [remembered(state) for state in stored_states(1, 20)])
        objects.close()
        kept = measure(redis, (os.cpu_count() or 1) - 1, seconds)
        free = measure(redis, -1, seconds)
    searched = search.headline(search.measure(search.QUICK_OBJECTS if chosen.quick else search.OBJECTS))
    publish(kept | {f"{name}_any_core": value for name, value in free.items()} | searched)


if __name__ == "__main__":
    if sys.argv[1:2] == ["ask"]:
        found = asyncio.run(asked(int(sys.argv[2]), sys.argv[3], float(sys.argv[4]), float(sys.argv[5])))
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        main()
