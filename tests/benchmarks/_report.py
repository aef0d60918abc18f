"""What every benchmark says, and how it is asked."""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["options", "publish", "say", "spread"]


def options(description: str | None) -> argparse.Namespace:
    """Read ``--json`` and ``--quick``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    parser.add_argument("--quick", action="store_true", help="less of everything: a minute or two")
    chosen = parser.parse_args()
    if chosen.json:
        os.environ["NIGHTJAR_BENCH_QUIET"] = "1"
    return chosen


def say(text: str) -> None:
    """Tell whoever watches."""
    if "NIGHTJAR_BENCH_QUIET" not in os.environ:
        sys.stderr.write(text + "\n")


def spread(name: str, values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Give the median of some runs under a name, and beside it the least and the greatest."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return {
        name: round(middle, digits),
        f"{name}_low": round(low, digits),
        f"{name}_high": round(high, digits),
    }


def publish(report: Mapping[str, Any]) -> None:
    """Print the result as one line of JSON, with the load of the machine, which tells what it is worth."""
    machine = {"cpus": os.cpu_count(), "load_average": round(os.getloadavg()[0], 1)}
    sys.stdout.write(json.dumps({**report, **machine}) + "\n")
