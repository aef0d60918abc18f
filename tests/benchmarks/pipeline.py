"""Alerts per second through one worker, beside a bare consumer and the plain way to write it.

Run as ``python -m tests.benchmarks pipeline [--json] [--quick]``; the last line is one JSON object. A
topic of packets as large as the survey's own is filled once, in memory; after a warm-up the three take
turns on it, each run with a new consumer group and the worker with an empty Redis. The bare consumer has
our worker's options; a second one also keeps freed memory as our worker does. The plain way is given a
part of the topic. The first tenth of a topic only starts the clocks.
"""

from collections.abc import Callable
from typing import Any

from service.core.alerts import Survey
from service.embedded.broker import Broker, create_topics
from service.embedded.redis import EmbeddedRedis
from tests.benchmarks._material import packets
from tests.benchmarks._plain import OUTPUT
from tests.benchmarks._report import options, publish, say, spread
from tests.benchmarks._runs import PARTITIONS, Run, bare_run, fill, program, worker_run
from tests.benchmarks._servers import any_broker

N_PLAIN = 2_000


def plain_run(broker: Broker, survey: Survey, count: int) -> Run:
    """Let the plain way read the beginning of a topic."""
    with EmbeddedRedis() as redis:
        return program("_plain", broker, survey.value, count, redis.url, survey.value)


def measure(broker: Broker, survey: Survey, count: int, rounds: int) -> dict[str, Any]:
    """Fill a topic and let all read it in turns."""
    count = fill(broker, survey.value, packets(survey, count))
    create_topics(broker.bootstrap_servers, {OUTPUT: PARTITIONS})
    readers: dict[str, Callable[[], Run]] = {
        "bare": lambda: bare_run(broker, survey.value, count),
        "bare_keeping_memory": lambda: bare_run(broker, survey.value, count, "keep"),
        "worker": lambda: worker_run(broker, survey, survey.value, count),
        "plain": lambda: plain_run(broker, survey, min(N_PLAIN, count // 3)),
    }
    runs: dict[str, list[Run]] = {name: [] for name in readers}
    for turn in range(rounds + 1):
        for name, read in readers.items():
            run = read()
            say(f"{survey.value} {name:20} {run.alerts_per_s:7.0f}/s {run.cpu_us_per_alert:7.1f} us of CPU")
            if turn:  # the first is the warm-up
                runs[name].append(run)
    return summary(runs, survey.value)


def summary(runs: dict[str, list[Run]], survey: str) -> dict[str, float]:
    """Give medians, and ratios of runs that followed each other."""
    rates = {name: [run.alerts_per_s for run in group] for name, group in runs.items()}
    ratios = {
        name: [ours / theirs for ours, theirs in zip(rates["worker"], rates[name], strict=True)]
        for name in rates
    }
    result = {
        **spread(f"ratio_to_bare_consumer_{survey}", ratios["bare"]),
        **spread(f"ratio_to_bare_consumer_keeping_memory_{survey}", ratios["bare_keeping_memory"]),
        **spread(f"speedup_over_plain_{survey}", ratios["plain"], 1),
    }
    for name, group in runs.items():
        result |= spread(f"{name}_alerts_per_s_{survey}", rates[name], 0)
        result |= spread(f"{name}_cpu_us_per_alert_{survey}", [run.cpu_us_per_alert for run in group], 1)
    return result


def main() -> None:
    """Measure LSST's packets, then ZTF's; each on a broker of its own, so that one topic is in memory."""
    chosen = options(__doc__)
    count, rounds = (4_000, 1) if chosen.quick else (15_000, 5)
    report: dict[str, Any] = {"alerts": count, "rounds": rounds}
    for survey in (Survey.LSST, Survey.ZTF):
        with any_broker() as broker:
            report |= {"broker": broker.name, **measure(broker, survey, count, rounds)}
    short = {
        "alerts_per_s": report["worker_alerts_per_s_lsst"],
        "cpu_us_per_alert": report["worker_cpu_us_per_alert_lsst"],
        "speedup_over_plain": report["speedup_over_plain_lsst"],
    }
    publish(report | short)


if __name__ == "__main__":
    main()
