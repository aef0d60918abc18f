"""Finding objects among a million: cones, lists by time and by class, over HTTP.

Run as ``python -m tests.benchmarks search [--json] [--quick] [--objects 1000000]``; the last line is one JSON
object. The sky is filled as ZTF sees it, 3 pi of it evenly, with a summary and all index entries of each
object; their states play no part in a search and are left out. Beside each search stands the plain way:
reading every summary, as a search without an index would, measured on a tenth of them.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
from redis import Redis

from service.api.app import create_app
from service.core.alerts import Survey
from service.core.models.info import ModelInfo
from service.core.search.criteria import Criteria
from service.core.sky import Cone
from service.core.state.summary import SUMMARY_COLUMNS, VERSION, Summaries, index_entries, read_summaries
from service.embedded.redis import EmbeddedRedis
from service.redis.index import summary_key
from service.redis.store import RedisStore
from service.settings import Settings
from tests.api.conftest import serve
from tests.benchmarks._report import publish, say

CLASSES = (
    "Ia",
    "Ib/c",
    "II",
    "IIn",
    "SLSN",
    "TDE",
    "AGN",
    "CV",
    "Other",
    "KN",
    "Iax",
    "91bg",
    "CART",
    "M-dwarf",
)
DIGEST = 1
CHUNK = 10_000
OBJECTS, QUICK_OBJECTS = 1_000_000, 100_000
CONE = "cone of 600 arcsec"
REPEATS = 200


def random_objects(count: int, seed: int) -> tuple[list[str], Summaries]:
    """Make summaries of objects with everything that a search asks for."""
    generator = np.random.default_rng(seed)
    heads = np.zeros(count, SUMMARY_COLUMNS)
    heads["version"], heads["model"], heads["band"] = VERSION, DIGEST, 1
    heads["alert_id"] = generator.integers(2**62, size=count)
    heads["ra_deg"] = generator.uniform(0, 360, count)
    heads["dec_deg"] = np.degrees(np.arcsin(generator.uniform(-0.5, 1, count)))
    heads["last_mjd_tai"] = 60000 + np.round(generator.uniform(0, 400, count) * 2000) / 2000
    heads["first_mjd_tai"] = heads["last_mjd_tai"] - generator.exponential(30, count)
    heads["n_detections"] = generator.geometric(0.1, count)
    heads["magnitude"] = generator.normal(19.5, 1, count)
    vectors = generator.dirichlet([0.25] * len(CLASSES), count).astype("<f4")
    heads["best"] = vectors.argmax(axis=1)
    heads["best_probability"] = vectors.max(axis=1)
    letters = [
        np.array(list("abcdefghijklmnopqrstuvwxyz"))[generator.integers(26, size=count)] for _ in range(7)
    ]
    names = ["".join(row) for row in zip(*letters, strict=True)]
    return [f"ztf:ZTF{18 + seed % 8}{name}" for name in names], Summaries(
        heads, [v.tobytes() for v in vectors]
    )


def fill(store: RedisStore, client: Redis, count: int) -> dict[str, float]:
    """Store objects and index them as a worker does; gives what that costs."""
    writing_s = 0.0
    before = client.info("memory")["used_memory"]
    for seed in range(-(-count // CHUNK)):
        keys, summaries = random_objects(min(CHUNK, count - seed * CHUNK), seed)
        pipeline = client.pipeline(transaction=False)
        for key, stored in zip(keys, summaries.stored(), strict=True):
            pipeline.set(summary_key(key), stored, px=86_400_000)
        pipeline.execute()
        started_s = time.process_time()
        for first in range(0, len(keys), 500):  # in the batches of a worker
            part = list(range(first, min(first + 500, len(keys))))
            store.index.add(index_entries([keys[i] for i in part], summaries.take(part), lambda _: CLASSES))
        writing_s += time.process_time() - started_s
    n_bytes = client.info("memory")["used_memory"] - before
    return {"bytes_per_object": n_bytes / count, "index_client_us_per_alert": writing_s / count * 1e6}


def timed(calls: Sequence[Callable[[], Any]], redis: Redis) -> dict[str, float]:
    """Time calls, in milliseconds; and their processor time, of Redis, server and client together."""
    times_ms = []
    used_s = time.process_time() + redis_s(redis)
    for call in calls:
        started_s = time.perf_counter()
        call()
        times_ms.append((time.perf_counter() - started_s) * 1000)
    used_s = time.process_time() + redis_s(redis) - used_s
    return {"cpu_ms": used_s / len(calls) * 1000} | {
        name: float(np.percentile(times_ms, q))
        for name, q in (("p50_ms", 50), ("p99_ms", 99), ("max_ms", 100))
    }


def redis_s(redis: Redis) -> float:
    """Give the processor time of the server so far, seconds."""
    used = redis.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def searches() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give what is searched for."""
    generator = np.random.default_rng(99)
    for radius in (10, 600, 3600):
        yield (
            f"cone of {radius} arcsec",
            [
                {"ra": generator.uniform(0, 360), "dec": generator.uniform(-25, 80), "radius_arcsec": radius}
                for _ in range(REPEATS)
            ],
        )
    yield "latest 100", [{}] * 50
    yield "latest 100 of a class from 0.9 on", [{"class": "Ia", "min_probability": 0.9}] * 50
    yield "most probable 100 of a class", [{"class": "TDE", "sort": "-probability"}] * 50
    yield "most probable 100 of any class", [{"sort": "-probability"}] * 20


def plain_ms(client: Redis) -> float:
    """Time a cone search that reads every summary, by a tenth of them."""
    names: list[Any] = client.zrange("nj:i:t:ztf", 0, client.zcard("nj:i:t:ztf") // 10)
    started_s = time.perf_counter()
    for first in range(0, len(names), CHUNK):
        keys = [summary_key(f"ztf:{name.decode()}") for name in names[first : first + CHUNK]]
        stored: list[Any] = client.mget(keys)
        Criteria(cone=Cone(10.0, 10.0, 0.1)).mask(
            ["ztf"] * len(keys), read_summaries(stored), lambda _: CLASSES
        )
    return (time.perf_counter() - started_s) * 1000 * 10


def measure(n_objects: int) -> dict[str, Any]:
    """Fill a store and search it."""
    with EmbeddedRedis() as server, Redis.from_url(server.url) as client:
        store = RedisStore.connect(server.url, timeout=timedelta(seconds=30), expiry=timedelta(days=1))
        classes = tuple((100, name) for name in CLASSES)
        store.register_model(ModelInfo(DIGEST, Survey.ZTF, "random", "1", 1, classes))
        result: dict[str, Any] = {"objects": n_objects, **fill(store, client, n_objects)}
        result["plain_cone_ms"] = plain_ms(client)
        with serve(create_app(Settings(api_rate_hz=0), store, {})) as http:
            for name, asked in searches():
                http.get("/v1/objects", params=asked[0]).raise_for_status()
                result[name] = timed([partial(http.get, "/v1/objects", params=one) for one in asked], client)
                say(f"{name}: {result[name]}")
        store.close()
    result["ratio"] = result["plain_cone_ms"] / result[CONE]["p50_ms"]
    return result


def headline(result: Mapping[str, Any]) -> dict[str, float]:
    """Give what a cone search takes, for those who report it beside other things."""
    found = {f"cone_{name}": round(value, 2) for name, value in result[CONE].items()}
    return {"cone_objects": result["objects"], "cone_plain_ms": round(result["plain_cone_ms"]), **found}


def main() -> None:
    """Measure, print, and give one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=OBJECTS)
    parser.add_argument("--quick", action="store_true", help="a tenth of the objects")
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    chosen = parser.parse_args()
    if chosen.json:
        os.environ["NIGHTJAR_BENCH_QUIET"] = "1"
    publish(measure(QUICK_OBJECTS if chosen.quick else chosen.objects))


if __name__ == "__main__":
    main()
