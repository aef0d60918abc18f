"""Alerts per second of one worker and of two.

Run as ``python -m tests.benchmarks workers [--json] [--quick]``; the last line is one JSON object. Both
read the same topic in turns, on the same cores as the broker and Redis: what two workers gain there is
what one leaves idle.
"""

from service.core.alerts import Survey
from tests.benchmarks._material import packets
from tests.benchmarks._report import options, publish, say, spread
from tests.benchmarks._runs import Run, fill, worker_run
from tests.benchmarks._servers import any_broker

TOPIC = "lsst"


def main() -> None:
    """Measure in turns."""
    chosen = options(__doc__)
    count, rounds = (4_000, 2) if chosen.quick else (15_000, 5)
    runs: dict[int, list[Run]] = {1: [], 2: []}
    with any_broker() as broker:
        fill(broker, TOPIC, packets(Survey.LSST, count))
        for turn in range(rounds + 1):
            for n_workers, group in runs.items():
                run = worker_run(broker, Survey.LSST, TOPIC, count, n_workers=n_workers)
                say(f"{n_workers} workers: {run.alerts_per_s:.0f}/s, {run.cpu_us_per_alert:.1f} us an alert")
                if turn:  # the first is the warm-up
                    group.append(run)
    report = {"broker": broker.name, "alerts": count, "rounds": rounds}
    for n_workers, group in runs.items():
        report |= spread(f"alerts_per_s_{n_workers}", [run.alerts_per_s for run in group], 0)
        report |= spread(f"cpu_us_per_alert_{n_workers}", [run.cpu_us_per_alert for run in group], 1)
    pairs = zip(runs[1], runs[2], strict=True)
    report |= spread("speedup_2_over_1", [two.alerts_per_s / one.alerts_per_s for one, two in pairs])
    publish(report)


if __name__ == "__main__":
    main()
