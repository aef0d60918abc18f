"""Redis bytes per object, and whether a worker's memory stays flat.

Run as ``python -m tests.benchmarks memory [--json] [--quick]``; the last line is one JSON object.

Bytes are what Redis says it uses for so many objects, divided by their number: key, value and what the
server adds. ``bytes_per_object_N`` is an object with N observations and the network's state. Each
classification that is remembered adds some 100 bytes, 64 of them at most by default:
``bytes_per_object_N_classified`` has one for each detection, half of its observations.

``rss_growth`` is how much larger a worker's resident memory is at the end of a run of 200,000 alerts than
at its half (medians of a tenth of the run each), 0.05 being 5 %. The packets are small, so that the run
takes minutes.
"""

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from confluent_kafka import TopicPartition
from redis import Redis

from service.core.alerts import Survey
from service.core.state.object_state import ObjectState
from service.embedded.broker import Broker
from service.embedded.redis import EmbeddedRedis
from service.settings import Settings
from service.wiring.stores import object_store
from tests.benchmarks._material import packets
from tests.benchmarks._report import options, publish, say
from tests.benchmarks._runs import PARTITIONS, committed, fill, follower, worker_settings
from tests.benchmarks._servers import any_broker
from tests.benchmarks._states import put, remembered, stored_states
from tests.support.service import worker_process

SIZES = (5, 20, 100)
N_OBJECTS = 2_000
PATIENCE_S = 1_200.0
SAMPLE_S = 0.2
TOPIC = "lsst"


def bytes_per_object(states: list[ObjectState]) -> float:
    """Store objects in an empty Redis and ask what it uses."""
    with EmbeddedRedis() as redis:
        client: Any = Redis.from_url(redis.url)
        objects = object_store(Settings(redis_url=redis.url))
        put(objects, states[:1])  # the script and the connection are not the objects'
        before = client.info("memory")["used_memory"]
        put(objects, states[1:], first=1)
        used = client.info("memory")["used_memory"] - before
        objects.close()
        client.close()
    return float(used / (len(states) - 1))


def rss_growth(broker: Broker, count: int) -> dict[str, float]:
    """Let a worker read a topic and watch its memory."""
    places = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
    samples: list[tuple[int, float]] = []
    with EmbeddedRedis() as redis, TemporaryDirectory() as directory:
        settings = worker_settings(broker, redis, Survey.LSST, TOPIC)
        worker = worker_process(settings, Path(directory))
        worker.start()
        process = psutil.Process(worker.pid)
        deadline = time.monotonic() + PATIENCE_S
        with follower(broker, settings.group_id) as consumer:
            while not samples or samples[-1][0] < count:
                if not worker.running or time.monotonic() > deadline:
                    raise worker.failure(f"came to {samples[-1:]} of {count}")
                done = committed(consumer, places)
                samples.append((done, process.memory_info().rss))
                time.sleep(SAMPLE_S)
        worker.stop()
    half = statistics.median(rss for done, rss in samples if 0.5 <= done / count <= 0.6)
    end = statistics.median(rss for done, rss in samples if done / count >= 0.9)
    return {
        "rss_half_mb": round(half / 1e6, 1),
        "rss_end_mb": round(end / 1e6, 1),
        "rss_growth": round(end / half - 1, 4),
    }


def main() -> None:
    """Measure objects, then a worker."""
    chosen = options(__doc__)
    count = 20_000 if chosen.quick else 200_000
    report: dict[str, Any] = {"alerts": count}
    for size in SIZES:
        states = stored_states(N_OBJECTS, size)
        report[f"bytes_per_object_{size}"] = round(bytes_per_object(states))
        report[f"bytes_per_object_{size}_classified"] = round(
            bytes_per_object([remembered(state) for state in states])
        )
        say(f"{size} observations: {report[f'bytes_per_object_{size}']} bytes")
    with any_broker() as broker:
        fill(broker, TOPIC, packets(Survey.LSST, count, cutouts="small"))
        report |= {"broker": broker.name, **rss_growth(broker, count)}
    publish(report)


if __name__ == "__main__":
    main()
