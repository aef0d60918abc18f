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
    """A score with its central bootstrap interval.

    Attributes
    ----------
    value
        The score of all objects.
    low, high
        Bounds of the interval.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return ``0.931 [0.915, 0.944]``."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def renormalised(probability: Probabilities, classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probabilities of some classes, each row summing to 1 again.

    Parameters
    ----------
    probability
        Shape (n, n_classes).
    classes
        Indices of the classes to keep.

    Returns
    -------
    ndarray, shape (n, len(classes)), float64
        Uniform where all kept classes had probability 0.
    """
    kept = np.asarray(probability, np.float64)[:, classes]
    total = kept.sum(axis=1, keepdims=True)
    return np.where(total > 0.0, kept / np.where(total > 0.0, total, 1.0), 1.0 / len(classes))


def auroc_by_class(probability: Probabilities, truth: Truth) -> NDArray[np.float64]:
    """Return the area under each class's one-against-the-rest ROC curve; ties count half.

    Parameters
    ----------
    probability
        Shape (n, n_classes).
    truth
        Shape (n,), class indices.

    Returns
    -------
    ndarray, shape (n_classes,), float64
        NaN for an absent class.
    """
    areas = np.full(probability.shape[1], np.nan)
    for index in range(probability.shape[1]):
        positive = truth == index
        n_positive, n_negative = int(positive.sum()), int((~positive).sum())
        if n_positive and n_negative:
            # The Mann-Whitney U statistic, normalised (Hanley & McNeil 1982).
            ranks = rankdata(probability[:, index])[positive].sum()
            areas[index] = (ranks - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)
    return areas


def macro_auroc(probability: Probabilities, truth: Truth) -> float:
    """Return the mean of `auroc_by_class` over the classes that occur; NaN where none can be scored.

    Parameters
    ----------
    probability, truth
        As in `auroc_by_class`.
    """
    areas = auroc_by_class(probability, truth)
    return float(areas[np.isfinite(areas)].mean()) if np.isfinite(areas).any() else float("nan")


def macro_f1(probability: Probabilities, truth: Truth) -> float:
    """Return the F1 score of the most probable class, averaged over the classes that occur.

    Parameters
    ----------
    probability, truth
        As in `auroc_by_class`.
    """
    matrix = confusion_matrix(probability, truth)
    support, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    present = support > 0
    f1 = 2.0 * np.diag(matrix) / np.maximum(support + predicted, 1)
    return float(f1[present].mean())


def confusion_matrix(probability: Probabilities, truth: Truth) -> NDArray[np.int64]:
    """Return the numbers of objects by true class (rows) and most probable class (columns).

    Parameters
    ----------
    probability, truth
        As in `auroc_by_class`.

    Returns
    -------
    ndarray, shape (n_classes, n_classes), int64
    """
    size = probability.shape[1]
    flat = truth * size + probability.argmax(axis=1)
    return np.bincount(flat, minlength=size * size).reshape(size, size).astype(np.int64)


def reliability(
    probability: Probabilities, truth: Truth, bins: int = 15
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return the reliability of the most probable class in equal bins of confidence.

    Parameters
    ----------
    probability, truth
        As in `auroc_by_class`.
    bins
        Number of bins between 0 and 1.

    Returns
    -------
    confidence, accuracy
        float64, shape (bins,): means over the objects of a bin, NaN in an empty one.
    count
        int64, shape (bins,).
    """
    confidence = probability.max(axis=1).astype(np.float64)
    correct = probability.argmax(axis=1) == truth
    bin_index = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(bin_index, minlength=bins)
    divisor = np.where(count > 0, count, np.nan)
    return (
        np.bincount(bin_index, confidence, bins) / divisor,
        np.bincount(bin_index, correct, bins) / divisor,
        count.astype(np.int64),
    )


def expected_calibration_error(probability: Probabilities, truth: Truth, bins: int = 15) -> float:
    """Return the mean distance of confidence and accuracy (Guo et al. 2017, equation 3).

    Parameters
    ----------
    probability, truth
        As in `auroc_by_class`.
    bins
        Number of bins of confidence.
    """
    confidence, accuracy, count = reliability(probability, truth, bins)
    return float(np.nansum(np.abs(confidence - accuracy) * count) / max(count.sum(), 1))


def brier_score(probability: Probabilities, truth: Truth) -> float:
    """Return the mean squared distance to the one-hot true class (Brier 1950).

    Parameters
    ----------
    probability, truth
        As in `auroc_by_class`.
    """
    one_hot = np.eye(probability.shape[1])[truth]
    return float(np.mean(np.sum((probability - one_hot) ** 2, axis=1)))


def bootstrap(
    score: Score,
    probability: Probabilities,
    truth: Truth,
    *,
    draws: int = 500,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Return a score with its bootstrap interval.

    Objects are resampled within each class, so that every sample has every class.

    Parameters
    ----------
    score
        From probabilities and true classes to a number.
    probability, truth
        As in `auroc_by_class`.
    draws, seed
        Number and seed of the samples.
    level
        Probability within the interval.
    """
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(truth == index) for index in np.unique(truth)]
    values = []
    for _ in range(draws):
        chosen = np.concatenate([generator.choice(group, len(group)) for group in members])
        values.append(score(probability[chosen], truth[chosen]))
    low, high = np.nanquantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(score(probability, truth), float(low), float(high))
