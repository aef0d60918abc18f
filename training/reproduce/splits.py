"""Which objects are trained on, stopped by and scored."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.errors import InputError

__all__ = ["Split", "split", "stratified_order"]


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of objects; the first n of `pool` are the n labels of a learning curve."""

    pool: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def stratified_order(label: NDArray[np.generic], seed: int) -> NDArray[np.int64]:
    """Order objects at random so that every beginning has the classes in their proportions, shape (n,)."""
    generator = np.random.default_rng(seed)
    rank = np.empty(len(label))
    for name in np.unique(label):
        members = generator.permutation(np.flatnonzero(label == name))
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.lexsort((generator.random(len(label)), rank)).astype(np.int64)


def split(label: NDArray[np.generic], *, pool: int, validation: int, test: int | None, seed: int) -> Split:
    """Draw the three sets, each with the classes in their proportions.

    Parameters
    ----------
    pool, validation
        Numbers of objects.
    test
        Number of objects; None: all that are left.

    Raises
    ------
    InputError
        There are too few objects.
    """
    wanted = pool + validation + (test or 1)
    if len(label) < wanted:
        raise InputError(f"the target has {len(label)} labelled objects, the experiment needs {wanted}")
    order = stratified_order(label, seed)
    held, rest = order[:validation], order[validation:]
    rest = rest[stratified_order(label[rest], seed + 1)]
    last = None if test is None else pool + test
    return Split(rest[:pool], held, rest[pool:last])
