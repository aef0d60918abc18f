"""The page docs/sizing.md, written from the same arithmetic as the command's answer."""

from collections.abc import Callable, Sequence

from service.tools.sizing_model import (
    LEAST_PARTITIONS,
    MASTER_BYTES,
    PARTITIONS_PER_WORKER,
    REDIS_COPIES,
    REDIS_HEADROOM,
    UTILISATION,
    Measured,
    Need,
    Scenario,
)

__all__ = ["markdown"]

HEADER = """\
# Sizing

What a stream takes, computed by `nightjar sizing` from what the benchmarks measured; this page is written by
`nightjar sizing --markdown`. For a stream of your own:

```
nightjar sizing --alerts 280 --objects 60e6 --observations 25 --results 8 --years 1
```

"""

NOTES = """
Alerts a second are means over a night. LSST sends some 10,000 at once after each visit: they wait in Kafka
for the time that the mean rate takes, half a minute, or less with more workers. Objects are those with an
alert within `NIGHTJAR_OBJECT_TTL`, 400 days; how many there will be of LSST nobody knows yet, and memory
is in proportion to them. The last column is arithmetic, not a plan: at that size state belongs on disk, and
the index of objects, whose sorted sets lie on one server each, has to be divided first.

## What it rests on

"""

SIMULATION = """
Processor times are of the machine that the benchmarks ran on, two cores of a cloud server, and were taken
while others used it; measure yours with `python -m tests.benchmarks workers` and give it as `--worker-us`.

## The simulation behind the memory

`python -m tests.benchmarks population` lets objects be born, get alerts and be forgotten for 900 simulated
days, in a real Redis that forgets by its own clock, in a form scaled down from 10,000,000 objects:

{simulation}
"""

Cell = Callable[[Scenario, Need], str]

ROWS: tuple[tuple[str, Cell], ...] = (
    ("alerts a second", lambda s, _: f"{s.alerts_hz:,.0f}"),
    ("alerts a night", lambda s, _: f"{s.alerts_a_night / 1e6:,.2f} million"),
    ("packet", lambda s, _: f"{s.packet_bytes / 1000:.0f} kB"),
    ("objects at a time", lambda s, _: f"{s.objects / 1e6:,.0f} million"),
    (
        "of an object: observations, results",
        lambda s, _: f"{s.shape.observations:.0f}, {s.shape.results:.0f}",
    ),
    ("**workers** (a core each)", lambda _, n: f"**{n.workers:,}**"),
    ("busy cores of them", lambda _, n: f"{n.worker_cores:,.2f}"),
    ("memory of the workers", lambda _, n: f"{n.worker_memory_gb:,.1f} GB"),
    ("**partitions** of a topic", lambda _, n: f"**{n.partitions:,}**"),
    ("Kafka, in", lambda _, n: f"{n.kafka_in_mb_s:,.1f} MB/s"),
    ("Kafka, disk of three copies", lambda _, n: f"{n.kafka_disk_tb:,.1f} TB"),
    ("Redis, data", lambda _, n: f"{n.redis_data_gb:,.0f} GB"),
    ("**Redis masters**, with a replica each", lambda _, n: f"**{n.redis_masters:,}**"),
    ("**Redis memory** of all", lambda _, n: f"**{n.redis_memory_gb:,.0f} GB**"),
    ("Redis, busy cores", lambda _, n: f"{n.redis_cores:,.2f}"),
    ("archive, years", lambda s, _: f"{s.years:.0f}"),
    ("archive, Parquet", lambda _, n: f"{n.archive_tb:,.2f} TB"),
)

# `python -m tests.benchmarks population --objects 3000`, as it was run for this page.
RECORDED = """\
```json
{
 "scale": "1/3995", "objects": 2503, "alerts": 59435, "keys_ratio": 0.9976,
 "observations_per_object": 26.9, "results_per_object": 11.0, "bytes_per_object": 3828,
 "overhead_bytes_per_object": 669, "memory_ratio": 0.992, "indexed_ratio": 1.0,
 "redis_us_per_alert": 71.0, "day_s": 0.165, "result_bytes": 1114,
 "archive_bytes_per_value_byte": 0.925, "worker_memory_bytes": 294936576, "cpus": 2,
 "load_average": 19.8
}
```

That Redis has as many objects as had an alert within the expiry (`keys_ratio`), that its index has no others
(`indexed_ratio`; before workers swept it, it had four times as many), and that the memory is what is computed
here (`memory_ratio`)."""


def markdown(needs: Sequence[tuple[Scenario, Need]], measured: Measured) -> str:
    """Write the page.

    Parameters
    ----------
    needs
        Streams and what they take.
    measured
        What that was computed from.
    """
    names = " | ".join(scenario.name for scenario, _ in needs)
    table = [f"| | {names} |", "|---|" + "---:|" * len(needs)]
    table += [f"| {title} | {' | '.join(cell(*one) for one in needs)} |" for title, cell in ROWS]
    return (
        HEADER
        + "\n".join(table)
        + "\n"
        + NOTES
        + "\n".join(_basis(measured))
        + "\n"
        + SIMULATION.format(simulation=RECORDED)
    )


def _basis(measured: Measured) -> list[str]:
    rows = (
        ("a worker's processor time for an alert", f"{measured.worker_us_per_alert:.0f} us", "`workers`"),
        ("Redis' for an alert", f"{measured.redis_us_per_alert:.0f} us", "`population`"),
        ("a worker's memory", f"{measured.worker_memory_bytes / 1e6:.0f} MB", "`population`"),
        (
            "Redis: keys, index and bookkeeping of an object",
            f"{measured.overhead_bytes_per_object:.0f} bytes",
            "`population`",
        ),
        ("a result", f"{measured.result_bytes:.0f} bytes", "`population`"),
        (
            "Parquet, by the bytes of the states",
            f"{measured.archive_bytes_per_value_byte:.2f}",
            "`population`",
        ),
        ("state: head and network, an observation, a result", "880, 30, 44 + 8 a class bytes", "format"),
        ("load that workers and Redis are sized for", f"{UTILISATION:.0%} of a core", "choice"),
        ("partitions a worker", f"{PARTITIONS_PER_WORKER}, in all {LEAST_PARTITIONS} or more", "choice"),
        ("Redis memory by data", f"{REDIS_HEADROOM:g}, and {REDIS_COPIES} copies", "choice"),
        ("data of a Redis master", f"{MASTER_BYTES / 1e9:.0f} GB at most", "choice"),
    )
    head = ["| what | value | from (`python -m tests.benchmarks ...`) |", "|---|---:|---|"]
    return [*head, *(f"| {what} | {value} | {source} |" for what, value, source in rows)]
