"""Fit the service's calibration on predictions of objects that the network was not trained on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from service.core.models.calibration import Calibration
from training.eval.evaluate import DETECTION_COUNTS, StepLogits, probabilities_at

__all__ = ["DEFAULT_BINS", "calibrate", "calibrate_by_fold", "calibration_rows", "fit_calibration"]

DEFAULT_BINS = (1, 2, 3, 4, 6, 9, 14, 22, 40)
# Precision of the Gaussian prior that ties a bin to its neighbour, in units of objects: a class with few
# objects in a bin moves little.
PRIOR_PRECISION = 2.0
LOG_TEMPERATURE_BOUND = 2.5
BIAS_BOUND = 6.0


def calibrate(parts: Sequence[StepLogits], shares: Sequence[float]) -> Calibration:
    """Fit a calibration on several sets of predictions.

    Parameters
    ----------
    parts
        Held-out predictions.
    shares
        Total weight of each set, relative to the number of objects of the first.
    """
    logits, n_detections, truth, weight = [], [], [], []
    for part, share in zip(parts, shares, strict=True):
        rows, owner = calibration_rows(part)
        logits.append(part.logits[rows])
        n_detections.append(part.n_detections[rows])
        truth.append(part.truth[owner])
        weight.append(np.full(len(rows), share * len(parts[0].truth) / max(len(part.truth), 1)))
    return fit_calibration(
        np.concatenate(logits),
        np.concatenate(n_detections),
        np.concatenate(truth),
        weight=np.concatenate(weight),
    )


def calibrate_by_fold(
    steps: StepLogits, fold: NDArray[np.int64], extras: Sequence[StepLogits], shares: Sequence[float]
) -> dict[int, NDArray[np.float64]]:
    """Calibrate each fold on the other folds, so that calibrated scores are out of fold, too.

    Parameters
    ----------
    steps
        Out-of-fold predictions of n objects.
    fold
        Shape (n,).
    extras, shares
        Further sets to calibrate on, and their weights as in `calibrate`.

    Returns
    -------
    dict
        By number of detections, probabilities of all objects, shape (n, classes).
    """
    result = {count: np.zeros((len(steps.truth), steps.logits.shape[1])) for count in DETECTION_COUNTS}
    for number in np.unique(fold):
        inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        calibration = calibrate([steps.take(outside), *extras], [1.0, *shares])
        held_out = steps.take(inside)
        for count, probability in result.items():
            probability[inside] = probabilities_at(held_out, count, calibration)
    return result


def fit_calibration(
    logits: NDArray[np.float32],
    n_detections: NDArray[np.int64],
    truth: NDArray[np.int64],
    *,
    weight: NDArray[np.float64] | None = None,
    bins: tuple[int, ...] = DEFAULT_BINS,
) -> Calibration:
    """Minimise the log loss over a temperature and biases for each bin of the number of detections.

    Parameters
    ----------
    logits
        Shape (rows, classes): any number of steps of held-out objects.
    n_detections, truth
        Shape (rows,): detections up to the step, class index.
    weight
        Shape (rows,); lower it for the steps of long light curves, or they dominate a bin.
    bins
        First number of detections of each bin.
    """
    weights = np.ones(len(truth)) if weight is None else weight
    bin_index = np.maximum(np.searchsorted(np.array(bins), n_detections, side="right") - 1, 0)
    temperatures, biases = [], []
    parameters = np.zeros(1 + logits.shape[1])
    for index in range(len(bins)):
        rows = bin_index == index
        if rows.any():
            # A bin starts from its neighbour's solution, so that sparse bins differ little from it.
            parameters = _fit_bin(logits[rows], truth[rows], weights[rows], parameters)
        temperatures.append(float(np.exp(parameters[0])))
        biases.append(tuple(float(value) for value in parameters[1:]))
    return Calibration(first_detections=bins, temperature=tuple(temperatures), bias=tuple(biases))


def _fit_bin(
    logits: NDArray[np.float32],
    truth: NDArray[np.int64],
    weight: NDArray[np.float64],
    start: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return log temperature and biases, shape (1 + classes,), of maximum posterior probability."""
    scores = logits.astype(np.float64)
    one_hot = np.eye(scores.shape[1])[truth]

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scaled = scores * np.exp(-parameters[0]) + parameters[1:]
        scaled -= scaled.max(axis=1, keepdims=True)
        log_total = np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        probability = np.exp(scaled - log_total)
        value = -np.sum(weight[:, None] * one_hot * (scaled - log_total))
        slope = weight[:, None] * (probability - one_hot)
        by_temperature = -np.sum(slope * scores) * np.exp(-parameters[0])
        value += 0.5 * PRIOR_PRECISION * np.sum((parameters - start) ** 2)
        gradient = np.concatenate([[by_temperature], slope.sum(axis=0)])
        return float(value), gradient + PRIOR_PRECISION * (parameters - start)

    bounds = [(-LOG_TEMPERATURE_BOUND, LOG_TEMPERATURE_BOUND)]
    bounds += [(-BIAS_BOUND, BIAS_BOUND)] * scores.shape[1]
    optimum = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(optimum.x, dtype=np.float64)


def calibration_rows(steps: StepLogits, density: int = 12) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose steps to calibrate on: the first ones of each object, geometrically sparser ones, the last.

    Parameters
    ----------
    steps
        Predictions.
    density
        Steps up to 300, in thirds.

    Returns
    -------
    rows, owner
        int64, indices of steps and of their objects.
    """
    marks = np.unique(np.round(np.geomspace(1, 300, 3 * density)).astype(np.int64))
    rows = [
        np.unique(np.append(start + marks[start + marks <= end] - 1, end - 1))
        for start, end in zip(steps.offsets[:-1], steps.offsets[1:], strict=True)
    ]
    owner = np.repeat(np.arange(len(rows)), [len(chosen) for chosen in rows])
    return np.concatenate(rows), owner
