"""Tables of predictions, joined with the true classes."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.decoding.light_curve_table import read_table
from service.errors import InputError
from training.data.labels import class_index, coarse_classes
from training.data.tables import column_numbers, column_text

__all__ = ["read_predictions"]

# As ``nightjar classify`` names the columns of classes; with --raw it writes raw probabilities.
_COLUMN_OF_CLASS = re.compile("^(raw_)?probability_")


def read_predictions(
    predictions: Path, truth: Path
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.int64]]:
    """Read predictions and true classes, joined by object_id.

    Parameters
    ----------
    predictions
        Table that ``nightjar classify`` wrote.
    truth
        Table with the columns ``object_id`` and ``class``.

    Returns
    -------
    classes
        Classes of the columns of `probability`.
    probability
        float64, shape (n, classes). Abstentions and objects of other classes are left out.
    truth
        int64, shape (n,): class index.

    Raises
    ------
    InputError
        A table cannot be read or lacks a column.
    """
    table, labels = read_table(predictions), read_table(truth)
    for path, given, name in ((predictions, table, "object_id"), (truth, labels, "class")):
        if name not in given.column_names:
            raise InputError(f"{path}: no column {name!r}")
    columns = [name for name in table.column_names if _COLUMN_OF_CLASS.match(name)]
    if not columns:
        raise InputError(f"{predictions}: no columns probability_CLASS")
    classes = tuple(_COLUMN_OF_CLASS.sub("", name) for name in columns)
    probability = np.column_stack([column_numbers(table, name) for name in columns])
    coarse = coarse_classes(column_text(labels, "class"))
    class_of = dict(zip(column_text(labels, "object_id"), coarse, strict=True))
    label = np.array([class_of.get(name, "") for name in column_text(table, "object_id")], dtype=np.str_)
    target = class_index(label, classes)
    usable = (target >= 0) & np.isfinite(probability).all(axis=1)
    return classes, probability[usable], target[usable]
