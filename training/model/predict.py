"""Predictions of trained networks for labelled light curves."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from service.core.alerts import Kind
from service.core.models.calibration import softmax
from training.data.light_curves import LabelledLightCurves, ragged_index
from training.eval.evaluate import StepLogits
from training.model.encode import Encoded, batches_of_like_length, encode, pad
from training.model.network import Network
from training.model.recipes import ModelRecipe

__all__ = ["days_since_trigger", "predict_logits", "predict_out_of_fold", "step_logits"]

SMALLEST_PROBABILITY = 1e-12  # keeps the logarithm of a mean probability finite


def predict_logits(
    network: Network,
    data: Encoded,
    *,
    max_steps: int = 100_000,
    batch_size: int = 256,
    hide_metadata: bool = False,
) -> NDArray[np.float32]:
    """Return the logits after every step.

    Parameters
    ----------
    network
        Switched to evaluation mode.
    data
        Encoded objects.
    max_steps
        Later steps are not predicted.
    batch_size
        Objects per forward pass; does not change the result beyond rounding.
    hide_metadata
        Treat redshift and E(B-V) as unknown.

    Returns
    -------
    ndarray, shape (steps, classes), float32
        Rows as in ``data.x``; 0 beyond `max_steps`.
    """
    network.eval()
    device = next(network.parameters()).device
    logits = np.zeros((len(data.x), network.spec.n_classes), dtype=np.float32)
    with torch.no_grad():
        for index in batches_of_like_length(data.lengths, batch_size):
            hide = np.full((len(index), 2), hide_metadata)
            batch = pad(data, index, max_steps, network.spec.metadata, hide=hide, device=device)
            rows = ragged_index(data.offsets[index], batch.lengths.cpu().numpy())
            logits[rows] = network(batch.x, batch.metadata)[batch.mask].cpu().numpy()
    return logits


def step_logits(
    networks: Sequence[Network],
    curves: LabelledLightCurves,
    recipe: ModelRecipe,
    *,
    hide_metadata: bool = False,
) -> StepLogits:
    """Return the predictions after every step; those of several networks are averaged in probability.

    Parameters
    ----------
    networks
        All of one recipe.
    curves
        Objects without a detection in the window have no steps and are left out.
    recipe
        Featuriser and classes.
    hide_metadata
        Treat redshift and E(B-V) as unknown.
    """
    batch = recipe.featuriser.encode(curves.observations, curves.offsets)
    curves = curves.take(np.diff(batch.offsets) > 0)
    data = encode(curves, recipe.featuriser, recipe.classes)
    all_logits = [predict_logits(network, data, hide_metadata=hide_metadata) for network in networks]
    if len(all_logits) == 1:
        logits = all_logits[0]
    else:
        mean = np.mean([softmax(logits) for logits in all_logits], axis=0)
        logits = np.log(np.maximum(mean, SMALLEST_PROBABILITY)).astype(np.float32)
    return StepLogits(logits, data.offsets, _detections_so_far(curves, recipe), data.truth)


def predict_out_of_fold(
    curves: LabelledLightCurves,
    fold: NDArray[np.int64],
    recipe: ModelRecipe,
    train: Callable[[LabelledLightCurves, int], Sequence[Network]],
    *,
    hide_metadata: bool = False,
) -> StepLogits:
    """Predict every object by networks trained without its fold.

    Parameters
    ----------
    curves
        n objects.
    fold
        Shape (n,), the fold of each object.
    recipe
        Featuriser and classes.
    train
        From the objects of the other folds and the fold's number to trained networks.
    hide_metadata
        Treat redshift and E(B-V) as unknown.

    Returns
    -------
    StepLogits
        In the order of `curves`.
    """
    parts, members = [], []
    for number in np.unique(fold):
        held_out = np.flatnonzero(fold == number)
        networks = train(curves.take(np.flatnonzero(fold != number)), int(number))
        parts.append(step_logits(networks, curves.take(held_out), recipe, hide_metadata=hide_metadata))
        members.append(held_out)
    return _in_order(parts, np.concatenate(members))


def days_since_trigger(curves: LabelledLightCurves, recipe: ModelRecipe) -> NDArray[np.float64]:
    """Return the days from each object's first step to every step.

    Parameters
    ----------
    curves
        Objects without a detection in the window have no steps.
    recipe
        Its featuriser selects the steps.

    Returns
    -------
    ndarray, shape (steps,), float64
        In the order of `step_logits`.
    """
    batch = recipe.featuriser.encode(curves.observations, curves.offsets)
    mjd_tai = curves.observations["mjd_tai"][batch.row_index]
    lengths = np.diff(batch.offsets)
    nonempty = lengths > 0
    return np.asarray(mjd_tai - np.repeat(mjd_tai[batch.offsets[:-1][nonempty]], lengths[nonempty]))


def _in_order(parts: Sequence[StepLogits], members: NDArray[np.int64]) -> StepLogits:
    """Concatenate predictions and sort them by object.

    Parameters
    ----------
    parts
        Predictions of several folds.
    members
        Shape (n,): index of each object, for one part after another.
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


def _detections_so_far(curves: LabelledLightCurves, recipe: ModelRecipe) -> NDArray[np.int64]:
    """Return the number of detections up to every step, shape (steps,)."""
    batch = recipe.featuriser.encode(curves.observations, curves.offsets)
    detected = np.cumsum(curves.observations["kind"] == Kind.DETECTION)
    before = np.concatenate([[0], detected])[curves.offsets[:-1]]
    owner = np.repeat(np.arange(len(curves)), np.diff(batch.offsets))
    count: NDArray[np.int64] = detected[batch.row_index] - before[owner]
    return count
