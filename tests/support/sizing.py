"""The tables of docs/sizing.md, and the formulas that it lists."""

import math
import re
from collections.abc import Iterator

from tests.conftest import ROOT

__all__ = ["PAGE", "measured", "object_bytes", "state_bytes", "streams", "table_results"]

PAGE = ROOT / "docs/sizing.md"

UNITS = {"": 1.0, "us": 1e-6, "bytes": 1.0, "kB": 1e3, "MB": 1e6, "MB/s": 1e6, "GB": 1e9, "TB": 1e12}
UNITS |= {"%": 0.01, "million": 1e6, "days": 1.0}

Values = dict[str, float]


def _rows(heading: str) -> Iterator[list[str]]:
    """Yield the cells of the table below a heading, without its head."""
    section = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    for line in (lines[0], *lines[2:]):
        yield [cell.strip().replace("*", "") for cell in line.strip("|").split("|")]


def _number(text: str) -> float:
    """Read a number with its unit, in SI units."""
    number = re.fullmatch(r"([\d.,]+) ?(\S*)", text)
    assert number, text
    return float(number[1].replace(",", "")) * UNITS[number[2]]


def measured() -> Values:
    """Return the measured values and choices by name."""
    return {name: _number(value) for name, value, _ in list(_rows("Measured values and choices"))[1:]}


def streams() -> Iterator[tuple[str, Values]]:
    """Yield the name of each stream with its column of the table."""
    (_, *names), *rows = _rows("Streams")
    for column, name in enumerate(names, start=1):
        yield name, {row[0]: _number(row[column]) for row in rows}


def state_bytes(observations: float, results: float, classes: int, known: Values) -> float:
    """Compute the length of a stored state."""
    per_result = known["state, per result"] + known["state, per result and class"] * classes
    header = known["state: header and network"]
    return header + known["state, per observation"] * observations + per_result * results


def object_bytes(observations: float, results: float, classes: int, known: Values) -> float:
    """Compute what an object takes in Redis."""
    summary = known["summary: header"] + known["summary, per class"] * classes
    overhead = known["Redis, overhead per object: keys, index, bookkeeping"]
    return state_bytes(observations, results, classes, known) + summary + overhead


def table_results(stream: Values, known: Values) -> Values:
    """Compute the rows of the table that are results, by their names."""
    rate_hz, load = stream["alerts per second"], known["target load of workers and Redis"]
    classes = int(stream["classes of the model"])
    shape = stream["observations per object"], stream["results per object"], classes
    n_alerts = rate_hz * stream["hours per night"] * 3600
    worker_cores = rate_hz * known["worker, processor time per alert"]
    workers = max(known["minimum number of workers"], math.ceil(worker_cores / load))
    partitions = 2 ** math.ceil(math.log2(known["partitions per worker"] * workers))
    data = stream["stored objects"] * object_bytes(*shape, known)
    redis_cores = rate_hz * known["Redis, processor time per alert"]
    masters = max(data / known["data per Redis master, at most"], redis_cores / load)
    bytes_days = stream["packet"] * known["retention of alerts"]
    bytes_days += known["result"] * known["retention of results"]
    archived = stream["stored objects"] * state_bytes(*shape, known) * stream["archive, years"]
    return {
        "alerts per night": n_alerts,
        "busy cores of the workers": worker_cores,
        "workers (one core each)": workers,
        "memory of the workers": workers * known["worker, memory"],
        "partitions per topic": max(known["minimum number of partitions"], partitions),
        "Kafka input": rate_hz * (stream["packet"] + known["result"]),
        "Kafka disk, three copies": known["copies of a Kafka partition"] * n_alerts * bytes_days,
        "Redis data": data,
        "Redis masters, one replica each": math.ceil(masters),
        "Redis memory, total": data * known["Redis memory per byte of data"] * known["copies of Redis data"],
        "Redis busy cores": redis_cores,
        "archive, Parquet": archived * known["Parquet bytes per byte of state"],
    }
