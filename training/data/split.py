"""Divide labelled objects into training, validation and test sets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.errors import InputError
from training.data.light_curves import LabelledLightCurves

__all__ = ["Split", "stratified_order", "stratified_split", "train_validation_split"]

LARGEST_VALIDATION = 1500
LARGEST_VALIDATION_FRACTION = 5  # at most one object in so many


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of objects in three disjoint sets.

    Attributes
    ----------
    pool
        To train on; the first n are the n labels of a learning curve.
    validation
        For early stopping.
    test
        For scores.
    """

    pool: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def train_validation_split(
    curves: LabelledLightCurves, seed: int
) -> tuple[LabelledLightCurves, LabelledLightCurves]:
    """Split objects at random: a fifth of them, at most 1,500, for validation.

    Parameters
    ----------
    curves
        Objects to split.
    seed
        Equal seeds give equal splits.

    Returns
    -------
    train, validation
        Disjoint; together all objects.
    """
    order = np.random.default_rng(seed).permutation(len(curves))
    n_validation = min(LARGEST_VALIDATION, len(curves) // LARGEST_VALIDATION_FRACTION)
    return curves.take(order[n_validation:]), curves.take(order[:n_validation])


def stratified_order(label: NDArray[np.generic], seed: int) -> NDArray[np.int64]:
    """Return a random order of objects in which every prefix has the classes in their proportions.

    Parameters
    ----------
    label
        Shape (n,).
    seed
        Of the order.

    Returns
    -------
    ndarray, shape (n,), int64
    """
    generator = np.random.default_rng(seed)
    rank = np.empty(len(label))
    for name in np.unique(label):
        members = generator.permutation(np.flatnonzero(label == name))
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.lexsort((generator.random(len(label)), rank)).astype(np.int64)


def stratified_split(
    label: NDArray[np.generic], *, pool: int, validation: int, test: int | None, seed: int
) -> Split:
    """Draw three sets, each with the classes in their proportions.

    Parameters
    ----------
    label
        Shape (n,).
    pool, validation
        Numbers of objects.
    test
        Number of objects; None: all the others.
    seed
        Of the draw.

    Raises
    ------
    InputError
        There are too few objects.
    """
    needed = pool + validation + (test or 1)
    if len(label) < needed:
        raise InputError(f"the target has {len(label)} labelled objects, the experiment needs {needed}")
    order = stratified_order(label, seed)
    validation_set, rest = order[:validation], order[validation:]
    rest = rest[stratified_order(label[rest], seed + 1)]
    end = None if test is None else pool + test
    return Split(rest[:pool], validation_set, rest[pool:end])
