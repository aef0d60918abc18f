"""From the runs to learning curves, label reduction, and the fraction of the score at 30% of the labels.

Uncertainty is over the seeds: every seed draws its own split, subsets and initial weights, which all
methods share, so that seeds are resampled together.
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
# Pairs of a transferred method and one from scratch.
COMPARISONS = (
    ("paper-transfer", "paper-scratch"),
    ("ours-transfer", "ours-scratch"),
    ("ours-transfer", "paper-scratch"),
)
COUNTS = ("3", "5", "10", "0")
PART_OF_LABELS = 0.3


@dataclass(frozen=True, slots=True)
class Curve:
    """A learning curve of one method.

    Attributes
    ----------
    sizes
        Numbers of labels, ascending.
    values
        float64, shape (seeds, sizes): scores.
    """

    sizes: tuple[int, ...]
    values: NDArray[np.float64]

    def band(self, generator: np.random.Generator) -> list[Interval]:
        """Return the mean over seeds at each size with the central 95% of bootstrap means.

        Parameters
        ----------
        generator
            Source of randomness.
        """
        chosen = generator.integers(0, len(self.values), (DRAWS, len(self.values)))
        low, high = np.quantile(self.values[chosen].mean(axis=1), [0.025, 0.975], axis=0)
        mean = self.values.mean(axis=0)
        return [Interval(*map(float, point)) for point in zip(mean, low, high, strict=True)]


@dataclass(frozen=True, slots=True)
class Results:
    """All finished runs of one experiment.

    Attributes
    ----------
    experiment
        Its name.
    runs
        (method, labels, seed) to the content of a run's file.
    """

    experiment: str
    runs: Mapping[tuple[str, int, int], dict[str, Any]]

    @property
    def methods(self) -> list[str]:
        """The methods that have runs, in order."""
        return [name for name in METHODS if any(key[0] == name for key in self.runs)]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of labels, ascending, without 0."""
        return tuple(sorted({labels for _, labels, _ in self.runs if labels}))

    def seeds(self) -> list[int]:
        """Return the seeds that every method has finished at every size."""
        each: dict[int, set[tuple[str, int]]] = {}
        for method, labels, seed in self.runs:
            each.setdefault(seed, set()).add((method, labels))
        whole = {(method, size) for method in self.methods for size in self.sizes}
        return sorted(seed for seed, done in each.items() if whole <= done)

    def curve(self, method: str, count: str = "0", score: str = "macro_auroc") -> Curve:
        """Return a learning curve; it begins at 0 labels if the method has a base.

        Parameters
        ----------
        method
            One of `methods`.
        count
            Number of detections; 0: whole light curves.
        score
            Which score.
        """
        seeds = self.seeds()
        start = (0,) if all((method, 0, seed) in self.runs for seed in seeds) else ()
        sizes = start + self.sizes
        values = [[self.runs[method, n, s]["scores"][count][score] for n in sizes] for s in seeds]
        return Curve(sizes, np.array(values, dtype=np.float64))


def read_results(work: Path, done: Sequence[Task]) -> list[Results]:
    """Read the results of the finished tasks.

    Parameters
    ----------
    work
        Directory of the experiments.
    done
        Tasks, finished or not.

    Returns
    -------
    list
        One element for each experiment with results.
    """
    runs_of: dict[str, dict[tuple[str, int, int], dict[str, Any]]] = {}
    for task in done:
        path = task.path(work)
        if path.exists():
            runs = runs_of.setdefault(task.experiment, {})
            runs[task.method, task.labels, task.seed] = orjson.loads(path.read_bytes())
    return [Results(experiment, runs) for experiment, runs in runs_of.items()]


def labels_needed(sizes: Sequence[int], scores: NDArray[np.float64], goal: float) -> float:
    """Return how many labels reach a score, interpolated linearly in the logarithm of the labels.

    Parameters
    ----------
    sizes
        Numbers of labels, ascending.
    scores
        Shape (sizes,); at each size the best score so far counts.
    goal
        Score to reach.

    Returns
    -------
    float
        0 if no label is needed, infinity if all of them do not suffice.
    """
    best = np.maximum.accumulate(scores)
    if best[-1] < goal:
        return float("inf")
    index = int(np.argmax(best >= goal))
    if index == 0 or sizes[index - 1] == 0:
        return float(sizes[index])
    fraction = (goal - best[index - 1]) / (best[index] - best[index - 1])
    return float(sizes[index - 1] * (sizes[index] / sizes[index - 1]) ** fraction)


def label_reduction(transfer: Curve, scratch: Curve, generator: np.random.Generator) -> Interval:
    """Return the fraction of labels saved at the score that training from scratch has with all of them.

    Parameters
    ----------
    transfer, scratch
        Learning curves.
    generator
        Source of randomness.

    Returns
    -------
    Interval
        Minus infinity where the transferred network does not reach that score.
    """

    def saved(seeds: NDArray[np.int64]) -> float:
        goal = float(scratch.values[seeds, -1].mean())
        needed = labels_needed(transfer.sizes, transfer.values[seeds].mean(axis=0), goal)
        return 1.0 - needed / scratch.sizes[-1]

    return _resampled(saved, len(scratch.values), generator)


def fraction_at_part(
    transfer: Curve, scratch: Curve, generator: np.random.Generator, part: float = PART_OF_LABELS
) -> Interval:
    """Return the score of transfer with a part of the labels over that of scratch with all of them.

    Parameters
    ----------
    transfer, scratch
        Learning curves.
    generator
        Source of randomness.
    part
        Part of the labels; the nearest size is used.
    """
    index = int(np.argmin([abs(np.log(max(n, 1) / (part * scratch.sizes[-1]))) for n in transfer.sizes]))

    def fraction(seeds: NDArray[np.int64]) -> float:
        return float(transfer.values[seeds, index].mean() / scratch.values[seeds, -1].mean())

    return _resampled(fraction, len(scratch.values), generator)


def _resampled(statistic: Any, count: int, generator: np.random.Generator) -> Interval:
    """Return a statistic of the seeds and the central 95% of its values on resampled seeds."""
    values = [statistic(generator.integers(0, count, count)) for _ in range(DRAWS)]
    # Sorting, unlike a quantile, copes with the infinities of draws where a score is not reached.
    ordered = np.sort(values)
    low, high = ordered[int(0.025 * DRAWS)], ordered[int(0.975 * DRAWS) - 1]
    return Interval(float(statistic(np.arange(count))), float(low), float(high))


def summarise(results: Results) -> dict[str, Any]:
    """Return the summary of one experiment as JSON values, intervals as [value, low, high].

    Parameters
    ----------
    results
        At least one seed is finished.
    """
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
            _compare(curves, transfer, scratch, generator)
            for transfer, scratch in COMPARISONS
            if transfer in results.methods and scratch in results.methods
        ],
    }


def _compare(
    curves: Mapping[str, Mapping[str, Curve]],
    transfer_name: str,
    scratch_name: str,
    generator: np.random.Generator,
) -> dict[str, Any]:
    of_count: dict[str, Any] = {}
    for count in COUNTS:
        transfer, scratch = curves[count][transfer_name], curves[count][scratch_name]
        difference = transfer.values[:, -len(scratch.sizes) :] - scratch.values
        gains = Curve(scratch.sizes, difference).band(generator)
        of_count[count] = {
            "label_reduction": _plain(label_reduction(transfer, scratch, generator)),
            "fraction_at_30_percent": _plain(fraction_at_part(transfer, scratch, generator)),
            "gain": {str(n): _plain(gain) for n, gain in zip(scratch.sizes, gains, strict=True)},
        }
    return {"transfer": transfer_name, "scratch": scratch_name, "by_detections": of_count}


def _plain(interval: Interval) -> list[float | None]:
    """Return value, low, high; None for an infinity, which JSON does not have."""
    values = (interval.value, interval.low, interval.high)
    return [round(value, 5) if np.isfinite(value) else None for value in values]
