"""Calibration: from logits to probabilities that match observed frequencies.

Temperature and class biases (vector scaling with a shared temperature, Guo et al. 2017, arXiv 1706.04599) in
bins of the number of detections, because the network is overconfident in different ways early and late in a
light curve.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Calibration", "identity_calibration", "softmax"]


class Calibration(BaseModel):
    """Temperature and class biases in bins of the number of detections; ``calibration`` of a bundle.

    Attributes
    ----------
    first_detections
        Lower edges of the bins, ascending: bin i contains light curves with at least so many detections and
        fewer than the next edge; the first bin also contains all with fewer.
    temperature
        One value per bin, by which logits are divided.
    bias
        For each bin one value per class, added after the division.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    first_detections: tuple[int, ...] = Field(min_length=1)
    temperature: tuple[float, ...]
    bias: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def check(self) -> Self:
        """Reject bins that do not match each other."""
        n_bins = len(self.first_detections)
        if list(self.first_detections) != sorted(set(self.first_detections)):
            raise ValueError("first_detections must ascend")
        if len(self.temperature) != n_bins or len(self.bias) != n_bins:
            raise ValueError("first_detections, temperature and bias must have the same length")
        if not all(0.01 <= value <= 100.0 for value in self.temperature):
            raise ValueError("temperatures must be between 0.01 and 100")
        if len({len(values) for values in self.bias}) != 1:
            raise ValueError("every bin needs one bias for each class")
        return self

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.bias[0])

    def apply(self, logits: NDArray[np.float32], n_detections: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return calibrated probabilities.

        Parameters
        ----------
        logits
            float32, shape (n, n_classes).
        n_detections
            int64, shape (n,).

        Returns
        -------
        ndarray, shape (n, n_classes), float32
            Each row sums to 1 and depends, bit for bit, only on its own input.
        """
        starts = np.array(self.first_detections, np.int64)
        bins = np.maximum(np.searchsorted(starts, n_detections, side="right") - 1, 0)
        temperature = np.array(self.temperature)[bins]
        return softmax(logits / temperature[:, np.newaxis] + np.array(self.bias)[bins])


def identity_calibration(n_classes: int) -> Calibration:
    """Return the calibration that equals a plain softmax.

    Parameters
    ----------
    n_classes
        Number of classes.
    """
    return Calibration(first_detections=(1,), temperature=(1.0,), bias=((0.0,) * n_classes,))


def softmax(logits: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the softmax of each row.

    Parameters
    ----------
    logits
        Shape (n, n_classes).

    Returns
    -------
    ndarray, shape (n, n_classes), float32
        Each row sums to 1 to within rounding and depends, bit for bit, only on its own logits.
    """
    # One column after the other, because the order of NumPy's sums depends on the shape of the array.
    columns = np.ascontiguousarray(logits.T, np.float64)
    largest = columns[0]
    for column in columns[1:]:
        largest = np.maximum(largest, column)
    weights = np.exp(columns - largest)
    total = weights[0]
    for column in weights[1:]:
        total = total + column
    return np.ascontiguousarray((weights / total).T, np.float32)
