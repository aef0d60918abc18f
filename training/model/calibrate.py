"""Fit the service's calibration on objects the network was not trained on."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from service.core.calibration import Calibration

__all__ = ["DEFAULT_BINS", "fit_calibration"]

DEFAULT_BINS = (1, 2, 3, 4, 6, 9, 14, 22, 40)
# Strength of the pull of biases to zero, in objects: a class with few objects in a bin moves little.
BIAS_PRIOR = 2.0
# Classes with fewer objects than this in a bin are left to their prior.
LARGEST_BIAS = 6.0


def fit_calibration(
    logits: NDArray[np.float32], n_detections: NDArray[np.int64], truth: NDArray[np.int64], *,
    weight: NDArray[np.float64] | None = None, bins: tuple[int, ...] = DEFAULT_BINS,
) -> Calibration:  # fmt: skip
    """Find, for each bin of the number of detections, the temperature and biases of least log loss.

    Parameters
    ----------
    logits
        Shape (rows, classes): any number of steps of held-out objects.
    n_detections, truth
        Shape (rows,).
    weight
        Shape (rows,); give steps of one object less, so that long light curves do not rule a bin.
    bins
        First number of detections of each bin.
    """
    weights = np.ones(len(truth)) if weight is None else weight
    place = np.maximum(np.searchsorted(np.array(bins), n_detections, side="right") - 1, 0)
    temperatures, biases = [], []
    start = np.zeros(1 + logits.shape[1])
    for index in range(len(bins)):
        chosen = place == index
        if chosen.any():
            # A bin begins where its neighbour ended, so that thin bins differ little from it.
            start = _fit_bin(logits[chosen], truth[chosen], weights[chosen], start)
        temperatures.append(float(np.exp(start[0])))
        biases.append(tuple(float(value) for value in start[1:]))
    return Calibration(first_detections=bins, temperature=tuple(temperatures), bias=tuple(biases))


def _fit_bin(
    logits: NDArray[np.float32], truth: NDArray[np.int64], weight: NDArray[np.float64],
    start: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    scores = logits.astype(np.float64)
    wanted = np.eye(scores.shape[1])[truth]

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scaled = scores * np.exp(-parameters[0]) + parameters[1:]
        scaled -= scaled.max(axis=1, keepdims=True)
        log_total = np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        probability = np.exp(scaled - log_total)
        value = -np.sum(weight[:, None] * wanted * (scaled - log_total))
        slope = weight[:, None] * (probability - wanted)
        by_temperature = -np.sum(slope * scores) * np.exp(-parameters[0])
        value += 0.5 * BIAS_PRIOR * np.sum((parameters - start) ** 2)
        gradient = np.concatenate([[by_temperature], slope.sum(axis=0)]) + BIAS_PRIOR * (parameters - start)
        return float(value), gradient

    limits = [(-2.5, 2.5)] + [(-LARGEST_BIAS, LARGEST_BIAS)] * scores.shape[1]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits)
    solution: NDArray[np.float64] = np.asarray(found.x)
    return solution
