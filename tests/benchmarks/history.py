"""Cost of an alert of an object with 10, 100 and 1,000 stored observations.

Run as ``python -m tests.benchmarks history [--json] [--quick]``; the last line is one JSON object. Objects
are stored as a worker would have left them; then each gets one alert, a packet as large as LSST's that
brings one new detection and the forced measurement before it. The cost is what the worker process spends on
an alert, from Kafka to Kafka: the wall time of a full batch follows it. Beside it the cost of processing
alone, from the message in memory to the result in memory, with Redis in between; that leaves out receiving
and sending 116 kB, so the stored rows weigh more in it. The first half of the topic is not measured: a new
worker still takes memory from the system then, each page cleared first, and more of it with larger values.
"""

import gc
import statistics
import time
from collections.abc import Sequence
from typing import Any

from service.core.alerts import Survey
from service.core.ports.messages import SourceMessage
from service.core.state.object_state import ObjectState
from service.embedded.broker import Broker
from service.embedded.redis import EmbeddedRedis
from service.settings import Settings
from service.wiring.stores import object_store
from service.wiring.worker import batch_processor
from service.worker.allocator import keep_freed_memory
from service.worker.loop import GARBAGE_THRESHOLD
from tests.benchmarks._material import large_alert
from tests.benchmarks._report import options, publish, say, spread
from tests.benchmarks._runs import fill, worker_run
from tests.benchmarks._servers import any_broker, in_memory
from tests.benchmarks._states import LAST_MJD_TAI, put, stored_states

SIZES = (10, 100, 1_000)
TOPIC = "lsst"
BATCH = 500


def processing_us(alerts: Sequence[bytes], states: Sequence[ObjectState]) -> float:
    """Give the CPU time of processing one alert of each object, in microseconds an alert."""
    messages = [SourceMessage(TOPIC, 0, n, 0, None, value) for n, value in enumerate(alerts)]
    with EmbeddedRedis() as redis:
        settings = Settings(redis_url=redis.url, lsst_topics=(TOPIC,), batch_size=BATCH)
        objects = object_store(settings)
        made = batch_processor(settings, objects)
        made.prepare()
        put(objects, states)
        # As a worker does when it is ready.
        keep_freed_memory()
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD, *gc.get_threshold()[1:])
        started_s = time.process_time()
        for first in range(0, len(messages), BATCH):
            made.process(messages[first : first + BATCH])
        cost_us = (time.process_time() - started_s) / len(messages) * 1e6
        objects.close()
    return cost_us


def whole_us(broker: Broker, topic: str, states: Sequence[ObjectState]) -> float:
    """Give the CPU time of a worker process, in microseconds an alert."""

    def prepare(redis: EmbeddedRedis) -> None:
        objects = object_store(Settings(redis_url=redis.url))
        put(objects, states)
        objects.close()

    return worker_run(broker, Survey.LSST, topic, len(states), prepare=prepare, start=0.5).cpu_us_per_alert


def main() -> None:
    """Measure the sizes in turns."""
    chosen = options(__doc__)
    n_objects, rounds = (6_000, 2) if chosen.quick else (12_000, 5)
    whole: dict[int, list[float]] = {size: [] for size in SIZES}
    alone: dict[int, list[float]] = {size: [] for size in SIZES}
    report: dict[str, Any] = {"objects": n_objects, "rounds": rounds}
    alerts = [large_alert(1 + number, LAST_MJD_TAI + 0.01) for number in range(n_objects)]
    states = {size: stored_states(n_objects, size) for size in SIZES}
    with any_broker() as broker, in_memory():
        report["broker"] = broker.name
        fill(broker, TOPIC, iter(alerts))
        for turn in range(rounds + 1):
            for size in SIZES:
                costs = processing_us(alerts, states[size]), whole_us(broker, TOPIC, states[size])
                say(f"{size:5} stored: {costs[1]:6.1f} us an alert, {costs[0]:6.1f} of them processing")
                if turn:  # the first is the warm-up
                    alone[size].append(costs[0])
                    whole[size].append(costs[1])
    for size in SIZES:
        report |= spread(f"cpu_us_per_alert_{size}", whole[size], 1)
        report |= spread(f"processing_us_per_alert_{size}", alone[size], 1)
    report |= spread("cost_ratio_1000_over_10", ratios(whole))
    report |= spread("cost_ratio_100_over_10", [b / a for a, b in zip(whole[10], whole[100], strict=True)])
    report["processing_ratio_1000_over_10"] = round(statistics.median(ratios(alone)), 3)
    publish(report)


def ratios(costs: dict[int, list[float]]) -> list[float]:
    """Compare runs that followed each other."""
    return [large / small for small, large in zip(costs[10], costs[1_000], strict=True)]


if __name__ == "__main__":
    main()
