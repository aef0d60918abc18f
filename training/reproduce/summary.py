"""From the runs to learning curves with bands, label reduction, and the share of the score at 30% of labels.

Uncertainty is over the seeds: every seed draws its own split, subsets and initial weights, and all
methods share them, so that seeds are resampled together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from training.eval.metrics import Interval
from training.reproduce.methods import METHODS
from training.reproduce.runs import Task

__all__ = ["COMPARISONS", "Curve", "Results", "read_results", "summarise"]

DRAWS = 2000
# What is read off: a transferred method against one from scratch.
COMPARISONS = (
    ("paper-transfer", "paper-scratch"),
    ("ours-transfer", "ours-scratch"),
    ("ours-transfer", "paper-scratch"),
)
COUNTS = ("3", "5", "10", "0")
PART_OF_LABELS = 0.3


@dataclass(frozen=True, slots=True)
class Curve:
    """Scores of one method: `values` has shape (seeds, sizes), float64."""

    sizes: tuple[int, ...]
    values: NDArray[np.float64]

    def band(self, generator: np.random.Generator) -> list[Interval]:
        """Give the mean over seeds at each size with the central 95% of resampled means."""
        chosen = generator.integers(0, len(self.values), (DRAWS, len(self.values)))
        low, high = np.quantile(self.values[chosen].mean(axis=1), [0.025, 0.975], axis=0)
        mean = self.values.mean(axis=0)
        return [Interval(*map(float, one)) for one in zip(mean, low, high, strict=True)]


@dataclass(frozen=True, slots=True)
class Results:
    """All finished runs of one experiment, by (method, labels, seed)."""

    experiment: str
    runs: Mapping[tuple[str, int, int], dict[str, Any]]

    @property
    def methods(self) -> list[str]:
        """Name the methods that have runs, in order."""
        return [name for name in METHODS if any(key[0] == name for key in self.runs)]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Give the numbers of labels, without 0."""
        return tuple(sorted({labels for _, labels, _ in self.runs if labels}))

    def seeds(self) -> list[int]:
        """Give the seeds that every method has finished at every size."""
        each: dict[int, set[tuple[str, int]]] = {}
        for method, labels, seed in self.runs:
            each.setdefault(seed, set()).add((method, labels))
        whole = {(method, size) for method in self.methods for size in self.sizes}
        return sorted(seed for seed, done in each.items() if whole <= done)

    def curve(self, method: str, count: str = "0", score: str = "macro_auroc") -> Curve:
        """Give a learning curve; it begins at 0 labels where the method has a base."""
        seeds = self.seeds()
        start = (0,) if all((method, 0, seed) in self.runs for seed in seeds) else ()
        sizes = start + self.sizes
        values = [[self.runs[method, n, s]["scores"][count][score] for n in sizes] for s in seeds]
        return Curve(sizes, np.array(values, dtype=np.float64))


def read_results(work: Path, done: Sequence[Task]) -> list[Results]:
    """Read the results of those tasks that are finished, by experiment."""
    found: dict[str, dict[tuple[str, int, int], dict[str, Any]]] = {}
    for task in done:
        path = task.path(work)
        if path.exists():
            runs = found.setdefault(task.experiment, {})
            runs[task.method, task.labels, task.seed] = orjson.loads(path.read_bytes())
    return [Results(experiment, runs) for experiment, runs in found.items()]


def labels_needed(sizes: Sequence[int], scores: NDArray[np.float64], wanted: float) -> float:
    """Find how many labels reach a score, between sizes by a straight line in log labels.

    The curve is taken at its best so far. 0 where no label is needed, infinity where all do not suffice.
    """
    best = np.maximum.accumulate(scores)
    if best[-1] < wanted:
        return float("inf")
    place = int(np.argmax(best >= wanted))
    if place == 0 or sizes[place - 1] == 0:
        return float(sizes[place])
    share = (wanted - best[place - 1]) / (best[place] - best[place - 1])
    return float(sizes[place - 1] * (sizes[place] / sizes[place - 1]) ** share)


def label_reduction(transfer: Curve, scratch: Curve, generator: np.random.Generator) -> Interval:
    """Share of labels saved at the score that the other method has with all of them.

    Minus infinity where the transferred network does not reach it.
    """

    def saved(seeds: NDArray[np.int64]) -> float:
        wanted = float(scratch.values[seeds, -1].mean())
        needed = labels_needed(transfer.sizes, transfer.values[seeds].mean(axis=0), wanted)
        return 1.0 - needed / scratch.sizes[-1]

    return _resampled(saved, len(scratch.values), generator)


def fraction_at_part(
    transfer: Curve, scratch: Curve, generator: np.random.Generator, part: float = PART_OF_LABELS
) -> Interval:
    """Score of the transferred network with a part of the labels over the other's with all of them."""
    place = int(np.argmin([abs(np.log(max(n, 1) / (part * scratch.sizes[-1]))) for n in transfer.sizes]))

    def fraction(seeds: NDArray[np.int64]) -> float:
        return float(transfer.values[seeds, place].mean() / scratch.values[seeds, -1].mean())

    return _resampled(fraction, len(scratch.values), generator)


def _resampled(statistic: Any, count: int, generator: np.random.Generator) -> Interval:
    """Give a statistic of the seeds and the central 95% of its values on resampled seeds."""
    values = [statistic(generator.integers(0, count, count)) for _ in range(DRAWS)]
    # Infinities, of draws where a score is not reached, have their place in the order.
    ordered = np.sort(values)
    low, high = ordered[int(0.025 * DRAWS)], ordered[int(0.975 * DRAWS) - 1]
    return Interval(float(statistic(np.arange(count))), float(low), float(high))


def summarise(results: Results) -> dict[str, Any]:
    """Read everything off one experiment's runs: plain values, intervals as [value, low, high]."""
    generator = np.random.default_rng(0)
    seeds = results.seeds()
    curves = {count: {method: results.curve(method, count) for method in results.methods} for count in COUNTS}
    return {
        "experiment": results.experiment,
        "seeds": len(seeds),
        "sizes": list(results.sizes),
        "macro_auroc": {
            count: {
                method: {
                    str(size): _plain(band)
                    for size, band in zip(curve.sizes, curve.band(generator), strict=True)
                }
                for method, curve in of_method.items()
            }
            for count, of_method in curves.items()
        },
        "comparisons": [
            _compare(curves, one, other, generator)
            for one, other in COMPARISONS
            if one in results.methods and other in results.methods
        ],
    }


def _compare(
    curves: Mapping[str, Mapping[str, Curve]], one: str, other: str, generator: np.random.Generator
) -> dict[str, Any]:
    of_count: dict[str, Any] = {}
    for count in COUNTS:
        transfer, scratch = curves[count][one], curves[count][other]
        common = transfer.values[:, -len(scratch.sizes) :] - scratch.values
        gains = Curve(scratch.sizes, common).band(generator)
        of_count[count] = {
            "label_reduction": _plain(label_reduction(transfer, scratch, generator)),
            "fraction_at_30_percent": _plain(fraction_at_part(transfer, scratch, generator)),
            "gain": {str(n): _plain(gain) for n, gain in zip(scratch.sizes, gains, strict=True)},
        }
    return {"transfer": one, "scratch": other, "by_detections": of_count}


def _plain(interval: Interval) -> list[float | None]:
    """Give value, low, high; JSON has no infinity, which stands for what is never reached."""
    values = (interval.value, interval.low, interval.high)
    return [round(value, 5) if np.isfinite(value) else None for value in values]
