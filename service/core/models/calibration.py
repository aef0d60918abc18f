"""From logits to calibrated probabilities.

Vector scaling by number of detections (Guo et al. 2017, arXiv 1706.04599, with a temperature and a bias
per class): early and late light curves are over-confident in different ways.
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
        Ascending: bin i is for light curves with at least this many detections and fewer than those of
        the next bin; the first bin also for those with fewer.
    temperature
        One per bin: logits are divided by it.
    bias
        For each bin one value per class, added after the division.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    first_detections: tuple[int, ...] = Field(min_length=1)
    temperature: tuple[float, ...]
    bias: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def check(self) -> Self:
        """Reject bins that do not fit together."""
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
            Shape (n, n_classes).
        n_detections
            Shape (n,).

        Returns
        -------
        ndarray, shape (n, n_classes), float32
            Each row sums to 1; a row depends on its own input alone, to the bit.
        """
        starts = np.array(self.first_detections, np.int64)
        bins = np.maximum(np.searchsorted(starts, n_detections, side="right") - 1, 0)
        temperature = np.array(self.temperature)[bins]
        return softmax(logits / temperature[:, np.newaxis] + np.array(self.bias)[bins])


def identity_calibration(n_classes: int) -> Calibration:
    """Return the calibration that changes nothing."""
    return Calibration(first_detections=(1,), temperature=(1.0,), bias=((0.0,) * n_classes,))


def softmax(logits: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the softmax of logits, row by row.

    Parameters
    ----------
    logits
        Shape (n, n_classes).

    Returns
    -------
    ndarray, shape (n, n_classes), float32
        Each row sums to 1 to within rounding; a row depends on its own logits alone, to the bit.
    """
    # One column after the other: the order of NumPy's own sums depends on the shape of the array.
    columns = np.ascontiguousarray(logits.T, np.float64)
    largest = columns[0]
    for column in columns[1:]:
        largest = np.maximum(largest, column)
    weights = np.exp(columns - largest)
    total = weights[0]
    for column in weights[1:]:
        total = total + column
    return np.ascontiguousarray((weights / total).T, np.float32)
