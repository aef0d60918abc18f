"""Scores of a model on whole light curves and after their first detections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.models.calibration import Calibration, softmax
from training.data.light_curves import ragged_index
from training.eval.metrics import (
    Interval,
    auroc_by_class,
    bootstrap,
    brier_score,
    confusion_matrix,
    expected_calibration_error,
    macro_auroc,
    macro_f1,
    renormalised,
)

__all__ = [
    "DETECTION_COUNTS",
    "Scores",
    "StepLogits",
    "probabilities_at",
    "score_at",
    "score_by_detections",
    "score_table",
]

# 0 stands for the whole light curve.
DETECTION_COUNTS = (3, 5, 10, 0)


@dataclass(frozen=True, slots=True)
class StepLogits:
    """Logits at every step of n objects.

    Attributes
    ----------
    logits
        float32, shape (steps, classes).
    offsets
        int64, shape (n + 1,): steps of each object.
    n_detections
        int64, shape (steps,): detections seen up to each step.
    truth
        int64, shape (n,): class index.
    """

    logits: NDArray[np.float32]
    offsets: NDArray[np.int64]
    n_detections: NDArray[np.int64]
    truth: NDArray[np.int64]

    def take(self, members: NDArray[np.int64]) -> "StepLogits":
        """Return the predictions of some objects.

        Parameters
        ----------
        members
            Indices of the objects.
        """
        lengths = np.diff(self.offsets)[members]
        rows = ragged_index(self.offsets[members], lengths)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return StepLogits(self.logits[rows], offsets, self.n_detections[rows], self.truth[members])

    def rows_at(self, count: int) -> NDArray[np.int64]:
        """Return the last step of each object with at most `count` detections, shape (n,).

        Parameters
        ----------
        count
            Number of detections; 0: the object's last step. An object that starts with more detections
            has its first step returned.
        """
        last: NDArray[np.int64] = self.offsets[1:] - 1
        if count == 0:
            return last
        within = np.concatenate([[0], np.cumsum(self.n_detections <= count)])
        steps = within[self.offsets[1:]] - within[self.offsets[:-1]]
        rows: NDArray[np.int64] = self.offsets[:-1] + np.maximum(steps, 1) - 1
        return rows


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores at one number of detections.

    Attributes
    ----------
    macro_auroc, macro_f1, calibration_error, brier
        With bootstrap intervals; see `training.eval.metrics`.
    by_class
        AUROC of each class against the rest.
    counts
        Objects of each class.
    confusion
        Numbers of objects; rows are true classes, columns the most probable ones.
    """

    macro_auroc: Interval
    macro_f1: Interval
    calibration_error: Interval
    brier: Interval
    by_class: dict[str, float]
    counts: dict[str, int]
    confusion: list[list[int]]

    def as_json(self) -> dict[str, object]:
        """Return the scores as JSON values; intervals as [value, low, high]."""
        intervals = {
            name: [getattr(self, name).value, getattr(self, name).low, getattr(self, name).high]
            for name in ("macro_auroc", "macro_f1", "calibration_error", "brier")
        }
        return {**intervals, "by_class": self.by_class, "counts": self.counts, "confusion": self.confusion}


def probabilities_at(
    steps: StepLogits, count: int, calibration: Calibration | None = None
) -> NDArray[np.float64]:
    """Return each object's probabilities after its first detections.

    Parameters
    ----------
    steps
        Predictions of n objects.
    count
        Number of detections; 0: all.
    calibration
        Applied to the logits; None: a plain softmax.

    Returns
    -------
    ndarray, shape (n, classes), float64
    """
    rows = steps.rows_at(count)
    if calibration is None:
        return softmax(steps.logits[rows]).astype(np.float64)
    return calibration.apply(steps.logits[rows], steps.n_detections[rows]).astype(np.float64)


def score_at(
    probability: NDArray[np.float64],
    truth: NDArray[np.int64],
    classes: Sequence[str],
    among: Sequence[str],
    *,
    draws: int = 500,
    seed: int = 0,
) -> Scores:
    """Return the scores of the objects of some classes, with probabilities renormalised over these.

    Parameters
    ----------
    probability
        Shape (n, len(classes)).
    truth
        Shape (n,), indices into `classes`.
    classes
        Names of the columns of `probability`.
    among
        Names of the classes that are scored; objects of others are left out.
    draws, seed
        Number and seed of the bootstrap samples.
    """
    chosen = np.array([classes.index(name) for name in among])
    # The last entry is for a truth of -1.
    index_among = np.full(len(classes) + 1, -1)
    index_among[chosen] = np.arange(len(chosen))
    target = index_among[truth]
    kept = renormalised(probability, chosen)[target >= 0]
    target = target[target >= 0]
    areas = auroc_by_class(kept, target)
    return Scores(
        macro_auroc=bootstrap(macro_auroc, kept, target, draws=draws, seed=seed),
        macro_f1=bootstrap(macro_f1, kept, target, draws=draws, seed=seed),
        calibration_error=bootstrap(expected_calibration_error, kept, target, draws=draws, seed=seed),
        brier=bootstrap(brier_score, kept, target, draws=draws, seed=seed),
        by_class={name: float(area) for name, area in zip(among, areas, strict=True)},
        counts={name: int((target == index).sum()) for index, name in enumerate(among)},
        confusion=confusion_matrix(kept, target).tolist(),
    )


def score_by_detections(
    probability: Mapping[int, NDArray[np.float64]],
    truth: NDArray[np.int64],
    classes: Sequence[str],
    among: Sequence[str],
) -> dict[int, Scores]:
    """Return the scores of probabilities by number of detections.

    Parameters
    ----------
    probability
        Number of detections to probabilities, shape (n, len(classes)).
    truth, classes, among
        As in `score_at`.
    """
    return {count: score_at(values, truth, classes, among) for count, values in probability.items()}


def score_table(scores: Mapping[int, Scores]) -> str:
    """Return scores by number of detections as a Markdown table.

    Parameters
    ----------
    scores
        Number of detections (0: all) to scores.
    """
    lines = [
        "| detections | macro AUROC | macro F1 | calibration error | Brier | AUROC by class |",
        "|---|---|---|---|---|---|",
    ]
    for count, score in scores.items():
        by_class = ", ".join(f"{name} {area:.3f}" for name, area in score.by_class.items())
        lines.append(
            f"| {count or 'all'} | {score.macro_auroc} | {score.macro_f1} | {score.calibration_error} "
            f"| {score.brier} | {by_class} |"
        )
    return "\n".join(lines)
