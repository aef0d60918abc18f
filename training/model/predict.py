"""Run trained networks over labelled light curves."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Kind
from service.core.calibration import softmax
from training.data.light_curves import LightCurves, ragged_index
from training.eval.evaluate import StepLogits
from training.model.encode import encode
from training.model.fit import predict_logits
from training.model.network import Network
from training.model.recipes import Recipe

__all__ = ["cross_validated", "days_since_trigger", "step_logits"]

SMALLEST_PROBABILITY = 1e-12


def step_logits(
    networks: Sequence[Network], curves: LightCurves, recipe: Recipe, *, hide_metadata: bool = False
) -> StepLogits:
    """Predict at every step; several networks are averaged in probability.

    Objects without a detection in the window have no steps and are left out.
    """
    batch = recipe.featuriser.encode(curves.observations, curves.offsets)
    curves = curves.take(np.diff(batch.offsets) > 0)
    data = encode(curves, recipe.featuriser, recipe.classes)
    each = [predict_logits(network, data, hide_metadata=hide_metadata) for network in networks]
    if len(each) == 1:
        logits = each[0]
    else:
        mean = np.mean([softmax(one) for one in each], axis=0)
        logits = np.log(np.maximum(mean, SMALLEST_PROBABILITY)).astype(np.float32)
    return StepLogits(logits, data.offsets, _detections_so_far(curves, recipe), data.truth)


def cross_validated(
    curves: LightCurves, fold: NDArray[np.int64], recipe: Recipe,
    train: Callable[[LightCurves, int], Sequence[Network]], *, hide_metadata: bool = False,
) -> StepLogits:  # fmt: skip
    """Predict every object by networks trained without its fold.

    Parameters
    ----------
    fold
        Shape (n,), the fold of each object.
    train
        From the other folds' objects and the fold's number to trained networks.
    """
    parts, members = [], []
    for number in np.unique(fold):
        held_out = np.flatnonzero(fold == number)
        networks = train(curves.take(np.flatnonzero(fold != number)), int(number))
        part = step_logits(networks, curves.take(held_out), recipe, hide_metadata=hide_metadata)
        parts.append(part)
        members.append(held_out)
    return in_order(parts, np.concatenate(members))


def in_order(parts: Sequence[StepLogits], members: NDArray[np.int64]) -> StepLogits:
    """Put predictions of several folds back into the order of the objects.

    Parameters
    ----------
    members
        Shape (n,): the place of each object of `parts`, one part after another.
    """
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    order = np.argsort(members)
    rows = ragged_index(starts[order], lengths[order])
    return StepLogits(
        logits=np.concatenate([part.logits for part in parts])[rows],
        offsets=np.concatenate([[0], np.cumsum(lengths[order])]).astype(np.int64),
        n_detections=np.concatenate([part.n_detections for part in parts])[rows],
        truth=np.concatenate([part.truth for part in parts])[order],
    )


def _detections_so_far(curves: LightCurves, recipe: Recipe) -> NDArray[np.int64]:
    batch = recipe.featuriser.encode(curves.observations, curves.offsets)
    detected = np.cumsum(curves.observations["kind"] == Kind.DETECTION)
    before = np.concatenate([[0], detected])[curves.offsets[:-1]]
    owner = np.repeat(np.arange(len(curves)), np.diff(batch.offsets))
    count: NDArray[np.int64] = detected[batch.row_index] - before[owner]
    return count


def days_since_trigger(curves: LightCurves, recipe: Recipe) -> NDArray[np.float64]:
    """Give the days from each object's first step to every step, shape (steps,), in `step_logits`' order."""
    batch = recipe.featuriser.encode(curves.observations, curves.offsets)
    mjd_tai = curves.observations["mjd_tai"][batch.row_index]
    lengths = np.diff(batch.offsets)
    some = lengths > 0
    return np.asarray(mjd_tai - np.repeat(mjd_tai[batch.offsets[:-1][some]], lengths[some]))
