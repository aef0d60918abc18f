"""Scores of class probabilities, and their bootstrap intervals."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = [
    "Interval",
    "auroc_by_class",
    "bootstrap",
    "brier_score",
    "confusion_matrix",
    "expected_calibration_error",
    "macro_auroc",
    "macro_f1",
    "reliability",
    "renormalised",
]

Probabilities = NDArray[np.floating]
Truth = NDArray[np.int64]
Score = Callable[[Probabilities, Truth], float]


@dataclass(frozen=True, slots=True)
class Interval:
    """A score with its central bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Print as ``0.931 [0.915, 0.944]``."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def renormalised(probability: Probabilities, classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Keep some classes, shape (n, len(classes)), each row summing to 1 again.

    A row that had nothing for them becomes uniform.
    """
    kept = np.asarray(probability, np.float64)[:, classes]
    total = kept.sum(axis=1, keepdims=True)
    return np.where(total > 0.0, kept / np.where(total > 0.0, total, 1.0), 1.0 / len(classes))


def auroc_by_class(probability: Probabilities, truth: Truth) -> NDArray[np.float64]:
    """Area under each class's one-against-the-rest ROC, ties counted half; NaN for an absent class.

    Parameters
    ----------
    probability
        Shape (n, n_classes).
    truth
        Shape (n,), class indices.

    Returns
    -------
    ndarray, shape (n_classes,), float64
    """
    areas = np.full(probability.shape[1], np.nan)
    for index in range(probability.shape[1]):
        positive = truth == index
        n_positive, n_negative = int(positive.sum()), int((~positive).sum())
        if n_positive and n_negative:
            # The Mann-Whitney statistic.
            ranks = rankdata(probability[:, index])[positive].sum()
            areas[index] = (ranks - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)
    return areas


def macro_auroc(probability: Probabilities, truth: Truth) -> float:
    """Mean of `auroc_by_class` over the classes that occur."""
    areas = auroc_by_class(probability, truth)
    return float(areas[np.isfinite(areas)].mean()) if np.isfinite(areas).any() else float("nan")


def macro_f1(probability: Probabilities, truth: Truth) -> float:
    """Mean over the classes that occur of F1 of the most probable class."""
    matrix = confusion_matrix(probability, truth)
    support, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    present = support > 0
    f1 = 2.0 * np.diag(matrix) / np.maximum(support + predicted, 1)
    return float(f1[present].mean())


def confusion_matrix(probability: Probabilities, truth: Truth) -> NDArray[np.int64]:
    """Count objects, shape (n_classes, n_classes): rows are true classes, columns the most probable."""
    size = probability.shape[1]
    flat = truth * size + probability.argmax(axis=1)
    return np.bincount(flat, minlength=size * size).reshape(size, size).astype(np.int64)


def reliability(
    probability: Probabilities, truth: Truth, bins: int = 15
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean confidence, accuracy and count of the most probable class in equal bins of confidence.

    Returns
    -------
    tuple of ndarray, each shape (bins,)
        Confidence and accuracy are NaN in an empty bin.
    """
    confidence = probability.max(axis=1).astype(np.float64)
    correct = probability.argmax(axis=1) == truth
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    some = np.where(count > 0, count, np.nan)
    return (
        np.bincount(place, confidence, bins) / some,
        np.bincount(place, correct, bins) / some,
        count.astype(np.int64),
    )


def expected_calibration_error(probability: Probabilities, truth: Truth, bins: int = 15) -> float:
    """Mean distance of confidence and accuracy (Guo et al. 2017, equation 3)."""
    confidence, accuracy, count = reliability(probability, truth, bins)
    return float(np.nansum(np.abs(confidence - accuracy) * count) / max(count.sum(), 1))


def brier_score(probability: Probabilities, truth: Truth) -> float:
    """Mean over objects of the squared distance to the true class's unit vector."""
    wanted = np.eye(probability.shape[1])[truth]
    return float(np.mean(np.sum((probability - wanted) ** 2, axis=1)))


def bootstrap(
    score: Score, probability: Probabilities, truth: Truth, *, draws: int = 500, seed: int = 0,
    level: float = 0.95,
) -> Interval:  # fmt: skip
    """Resample objects within each class, so that every draw has every class.

    Returns
    -------
    Interval
        The score of all objects, and the central `level` of the draws.
    """
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(truth == index) for index in np.unique(truth)]
    values = []
    for _ in range(draws):
        chosen = np.concatenate([generator.choice(group, len(group)) for group in members])
        values.append(score(probability[chosen], truth[chosen]))
    low, high = np.nanquantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(score(probability, truth), float(low), float(high))
