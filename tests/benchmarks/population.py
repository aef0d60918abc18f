"""Years of a survey's objects in a Redis whose days last a tenth of a second: memory, keys and expiry.

Run as ``python -m tests.benchmarks population [--json] [--quick] [--objects 20000]``; the last line is one
JSON object. Objects are born every day, get alerts for as long as they live (most a few, some for years),
and are forgotten 400 days after their last alert, by Redis itself. What is stored is what a worker stores:
state, summary, places in the index. After 900 days as many objects are there as leave; then are compared

``keys_ratio``
    Objects that Redis still has, by those that had an alert within the last 400 days.
``memory_ratio``
    Memory that Redis uses, by what the formulas of docs/sizing.md give for as many objects with as many
    observations and results.
``overhead_bytes_per_object``
    What keys, index and the server's own bookkeeping add to the bytes of state and summary.
``redis_us_per_alert``
    Processor time of the server, all of the above together.

Beside that, from the simulated alerts that come with the service: ``result_bytes``, the mean length of a
result; ``archive_bytes_per_value_byte``, what a state takes in Parquet; ``worker_memory_bytes``, resident
memory of this process after it has processed them with both models.

The days run faster where the machine is idle and slower where it is not; expiry is Redis' own clock, so the
simulated day is stretched to what was written in it.
"""

import argparse
import dataclasses
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
from redis import Redis

from service.archive.arrow_schema import table_of
from service.core.alerts import OBSERVATION, Survey
from service.core.ports.store import StateWrite
from service.core.state.history import History
from service.core.state.object_state import EMPTY_STATE, ObjectState, encode_state
from service.core.state.summary import index_entries, summarise
from service.embedded.redis import EmbeddedRedis
from service.redis.store import RedisStore
from service.settings import Settings
from service.tools.exporting import read_objects
from service.wiring.stores import object_store
from service.wiring.worker import batch_processor
from service.worker.index_sweep import IndexSweep
from tests.benchmarks._report import publish, say
from tests.support.objects import classification
from tests.support.sizing import measured, object_bytes
from tests.support.streams import simulated_packets, source_messages

DAYS = 900
EXPIRY_DAYS = 400
CLASS_NAMES = tuple(f"class {number}" for number in range(10))
# Two of the classes are probable enough to be in the index.
VECTOR = (0.7, 0.14, *(0.02 for _ in range(8)))
HIDDEN = 200
KEPT_RESULTS = 64
# A worker sweeps 8,640 times a day, for thousands of times as many objects.
SWEEPS_A_DAY = 1

# Lives: part of the objects, alerts a life (mean of a geometric distribution), days a life.
KINDS = ((0.6, 2.0, 20.0), (0.3, 15.0, 80.0), (0.1, 60.0, 500.0))


@dataclass(frozen=True, slots=True)
class Lives:
    """Alerts in order of time: day and object of each, and which of its object's it is."""

    day: np.ndarray[tuple[int], np.dtype[np.float64]]
    owner: np.ndarray[tuple[int], np.dtype[np.int64]]
    number: np.ndarray[tuple[int], np.dtype[np.int64]]


def make_lives(births_per_day: float, generator: np.random.Generator) -> Lives:
    """Draw the lives of all objects that are born within `DAYS`."""
    n_objects = int(births_per_day * DAYS)
    kind = generator.choice(len(KINDS), n_objects, p=[part for part, _, _ in KINDS])
    counts = generator.geometric(1.0 / np.array([mean for _, mean, _ in KINDS])[kind])
    born = generator.uniform(0, DAYS, n_objects)
    length = np.array([days for _, _, days in KINDS])[kind]
    owner = np.repeat(np.arange(n_objects), counts)
    day = born[owner] + generator.uniform(0, 1, len(owner)) * length[owner]
    order = np.lexsort((day, owner))
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    day = day[order]
    inside = np.flatnonzero(day < DAYS)
    in_time = inside[np.argsort(day[inside], kind="stable")]
    return Lives(day[in_time], owner[in_time], number[in_time])


@cache
def grown(n_alerts: int) -> ObjectState:
    """Give a state after so many alerts: a detection and a forced measurement of each, and its result."""
    rows = np.zeros(2 * n_alerts, OBSERVATION)
    rows["mjd_tai"] = 61_000.0 + np.arange(len(rows)) / 2
    rows["flux_njy"] = 1e4
    rows["source_id"] = np.arange(len(rows))
    result = classification(1, 7, VECTOR)
    return dataclasses.replace(
        EMPTY_STATE,
        counter=n_alerts,
        model=7,
        hidden=np.full(HIDDEN, 0.5, np.float32),
        dec_deg=-10.0,
        observations=rows,
        history=History.of([result] * min(n_alerts, KEPT_RESULTS)),
    )


def state_after(n_alerts: int, day: float) -> ObjectState:
    """Give the state that an object has after its alert of a day."""
    return dataclasses.replace(grown(n_alerts), ra_deg=day % 360, last_alert_mjd_tai=61_000.0 + day)


def write(objects: RedisStore, lives: Lives, chosen: slice) -> None:
    """Store what the alerts of a day leave behind, the last one of each object."""
    last = {int(owner): place for place, owner in enumerate(lives.owner[chosen], chosen.start)}
    keys = [f"lsst:{100_000_000 + owner}" for owner in last]
    states = [state_after(int(lives.number[place]) + 1, lives.day[place]) for place in last.values()]
    summaries = summarise(states)
    before = objects.load(keys)
    columns = zip(keys, states, before, summaries.stored(), strict=True)
    objects.save([StateWrite(key, encode_state(state), old, summary) for key, state, old, summary in columns])
    objects.index.add(index_entries(keys, summaries, lambda _: CLASS_NAMES))


def live_through(server: EmbeddedRedis, lives: Lives, day_s: float) -> tuple[list[float], int]:
    """Write every day at its time; gives when each day ended, and memory before the first."""
    objects = RedisStore.connect(
        server.url, timeout=timedelta(seconds=30), expiry=timedelta(seconds=EXPIRY_DAYS * day_s)
    )
    before = objects.usage().memory_bytes
    bounds = np.searchsorted(lives.day, np.arange(DAYS + 1))
    sweep = IndexSweep(objects.index)
    ends: list[float] = []
    started_s = time.monotonic()
    for day in range(DAYS):
        if bounds[day] < bounds[day + 1]:
            write(objects, lives, slice(int(bounds[day]), int(bounds[day + 1])))
        for turn in range(SWEEPS_A_DAY):
            sweep.step((SWEEPS_A_DAY * day + turn + 1) * 10_000)
        time.sleep(max(0.0, started_s + (day + 1) * day_s - time.monotonic()))
        ends.append(time.monotonic())
        if not (day + 1) % 100:
            say(f"day {day + 1}: {objects.usage().objects} keys, {ends[-1] - started_s:.0f} s")
    objects.close()
    return ends, before


def compare(
    server: EmbeddedRedis, lives: Lives, ends: list[float], before: int, day_s: float
) -> dict[str, Any]:
    """Hold what Redis has against what should be there."""
    client: Any = Redis.from_url(server.url)
    # Slower days than planned let objects outlive fewer of them: what counts is the time that passed.
    ended = np.array(ends)[lives.day.astype(np.int64)]
    recent = ended > ends[-1] - EXPIRY_DAYS * day_s
    expected = {
        int(owner): int(number)
        for owner, number in zip(lives.owner[recent], lives.number[recent], strict=True)
    }
    found = sum(1 for _ in client.scan_iter("nj:{*}", count=5_000))
    used = client.info("memory")["used_memory"] - before
    indexed = client.zcard("nj:i:t:lsst")
    spent = client.info("cpu")
    cpu_s = spent["used_cpu_user"] + spent["used_cpu_sys"]
    client.close()
    alerts = np.array(list(expected.values())) + 1
    observations, results = float(2 * alerts.mean()), float(np.minimum(alerts, KEPT_RESULTS).mean())
    known = measured()
    expected_bytes = object_bytes(observations, results, len(CLASS_NAMES), known)
    values = expected_bytes - known["Redis, overhead per object: keys, index, bookkeeping"]
    return {
        "objects": len(expected),
        "alerts": len(lives.day),
        "keys_ratio": round(found / len(expected), 4),
        "observations_per_object": round(observations, 1),
        "results_per_object": round(results, 1),
        "bytes_per_object": round(used / found),
        "overhead_bytes_per_object": round(used / found - values),
        "memory_ratio": round(used / (found * expected_bytes), 4),
        "indexed_ratio": round(indexed / found, 3),
        "redis_us_per_alert": round(1e6 * cpu_s / len(lives.day), 1),
        "day_s": round((ends[-1] - ends[0]) / (DAYS - 1), 3),
    }


def material() -> dict[str, float]:
    """Process the alerts that come with the service; lengths of what comes of them."""
    with EmbeddedRedis() as server, TemporaryDirectory() as directory:
        settings = Settings(redis_url=server.url, ztf_topics=("ztf",), lsst_topics=("lsst",))
        objects = object_store(settings)
        made = batch_processor(settings, objects)
        made.prepare()
        batch = made.process(source_messages(simulated_packets()))
        kept = [
            one
            for survey in Survey
            for keys in objects.keys(survey)
            for one in read_objects(objects, keys)[0]
        ]
        table = table_of(kept)
        # Beyond what a file without objects takes, which for few of them is most of it.
        sizes = []
        for rows in (0, len(kept)):
            path = Path(directory) / f"{rows}.parquet"
            pq.write_table(table.slice(0, rows), path, compression="zstd")
            sizes.append(path.stat().st_size)
        values = sum(len(encode_state(one.state)) for one in kept)
        objects.close()
        return {
            "result_bytes": round(float(np.mean([len(one.value or b"") for one in batch.outgoing]))),
            "archive_bytes_per_value_byte": round((sizes[1] - sizes[0]) / values, 3),
            "worker_memory_bytes": psutil.Process().memory_info().rss,
        }


def main() -> None:
    """Simulate, compare, and give one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    parser.add_argument("--quick", action="store_true", help="2,000 objects: half a minute")
    parser.add_argument("--objects", type=int, default=20_000, help="that are stored at a time")
    chosen = parser.parse_args()
    if chosen.json:
        os.environ["NIGHTJAR_BENCH_QUIET"] = "1"
    further = material()
    n_objects = 2_000 if chosen.quick else chosen.objects
    day_s = 0.03 if chosen.quick else max(0.1, n_objects * 5e-6)
    mean_life_days = sum(part * days / 2 for part, _, days in KINDS)
    births = n_objects / (EXPIRY_DAYS + mean_life_days)
    lives = make_lives(births, np.random.default_rng(5))
    with EmbeddedRedis() as server:
        ends, before = live_through(server, lives, day_s)
        report = compare(server, lives, ends, before, day_s)
    publish({"scale": f"1/{10_000_000 // max(report['objects'], 1)}", **report, **further})


if __name__ == "__main__":
    main()
