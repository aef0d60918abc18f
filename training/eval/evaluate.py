"""How good a model is: at the whole light curve, and after its first detections."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.calibration import Calibration, softmax
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

__all__ = ["DETECTION_COUNTS", "Scores", "StepLogits", "probabilities_at", "score_at", "score_table"]

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

    def rows_at(self, count: int) -> NDArray[np.int64]:
        """Give the last step of each object with at most `count` detections; 0: its last step."""
        last: NDArray[np.int64] = self.offsets[1:] - 1
        if count == 0:
            return last
        within = np.concatenate([[0], np.cumsum(self.n_detections <= count)])
        steps = within[self.offsets[1:]] - within[self.offsets[:-1]]
        rows: NDArray[np.int64] = self.offsets[:-1] + np.maximum(steps, 1) - 1
        return rows


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores at one number of detections; `by_class` is AUROC, `confusion` has true classes as rows."""

    macro_auroc: Interval
    macro_f1: Interval
    calibration_error: Interval
    brier: Interval
    by_class: dict[str, float]
    counts: dict[str, int]
    confusion: list[list[int]]

    def as_json(self) -> dict[str, object]:
        """Give plain values."""
        intervals = {
            name: [getattr(self, name).value, getattr(self, name).low, getattr(self, name).high]
            for name in ("macro_auroc", "macro_f1", "calibration_error", "brier")
        }
        return {**intervals, "by_class": self.by_class, "counts": self.counts, "confusion": self.confusion}


def probabilities_at(
    steps: StepLogits, count: int, calibration: Calibration | None = None
) -> NDArray[np.float64]:
    """Give each object's probabilities after `count` detections (0: all), shape (n, classes)."""
    rows = steps.rows_at(count)
    if calibration is None:
        return softmax(steps.logits[rows]).astype(np.float64)
    return calibration.apply(steps.logits[rows], steps.n_detections[rows]).astype(np.float64)


def score_at(
    probability: NDArray[np.float64], truth: NDArray[np.int64], classes: Sequence[str],
    among: Sequence[str], *, draws: int = 500, seed: int = 0,
) -> Scores:  # fmt: skip
    """Score objects of the classes `among`, probabilities renormalised over these.

    Parameters
    ----------
    probability
        Shape (n, len(classes)).
    truth
        Shape (n,), indices into `classes`; objects of other classes are left out.
    """
    chosen = np.array([classes.index(name) for name in among])
    place = np.full(len(classes) + 1, -1)
    place[chosen] = np.arange(len(chosen))
    target = place[truth]
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


def score_table(scores: dict[int, Scores]) -> str:
    """Write scores by number of detections as a Markdown table."""
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
