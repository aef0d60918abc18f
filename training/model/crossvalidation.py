"""From a base network and labelled real light curves to a calibrated, honestly scored bundle.

Scores come from networks that never saw the object; what is shipped then learns from all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from service.core.calibration import Calibration
from training.data.augment import Augmentation
from training.data.forms import stratified_folds
from training.data.light_curves import LightCurves, concatenate
from training.eval.evaluate import DETECTION_COUNTS, Scores, StepLogits, probabilities_at, score_at
from training.model.calibrate import fit_calibration
from training.model.encode import encode
from training.model.fit import FitConfig, fit
from training.model.journal import Journal
from training.model.network import Network
from training.model.predict import cross_validated, step_logits
from training.model.recipes import Recipe
from training.model.transfer import Scheme, carry_over, freeze, parameter_groups

__all__ = [
    "Crossvalidation",
    "TransferPlan",
    "calibrate",
    "calibrate_by_fold",
    "companions_of",
    "crossvalidate",
    "distil",
    "fresh_network",
    "score_all",
    "simulated_steps",
    "transfer",
    "tune",
]

SMALLEST_SCALE = 0.05
DISTILLATION_SEED = 20_000


@dataclass(frozen=True, slots=True)
class TransferPlan:
    """How a base network is brought to real data.

    Attributes
    ----------
    recipe
        Input, classes and network.
    config, augmentation, scheme, dropout
        Of the fine-tuning.
    companions
        Simulated objects of the classes for which there are no real ones; they are trained along in
        every fold and never scored with the real ones.
    """

    recipe: Recipe
    config: FitConfig
    augmentation: Augmentation | None
    scheme: Scheme
    dropout: float
    companions: LightCurves | None = None


@dataclass(frozen=True, slots=True)
class Crossvalidation:
    """Out-of-fold predictions: `hidden` with redshift and E(B-V) withheld, `known` with both."""

    hidden: StepLogits
    known: StepLogits
    fold: NDArray[np.int64]


def fresh_network(recipe: Recipe, train: LightCurves, *, dropout: float, seed: int) -> Network:
    """Make a network with random weights whose inputs are standardised on `train`."""
    torch.manual_seed(seed)
    network = Network(recipe.network, dropout=dropout)
    x = encode(train, recipe.featuriser, recipe.classes).x.astype(np.float64)
    network.set_input_statistics(x.mean(axis=0), np.maximum(x.std(axis=0), SMALLEST_SCALE))
    return network


def transfer(
    bases: Sequence[Network], train: LightCurves, plan: TransferPlan, *, seed: int,
    journal: Journal | None = None,
) -> list[Network]:  # fmt: skip
    """Fine-tune a copy of each base network."""
    curves = train if plan.companions is None else concatenate([train, plan.companions])
    tuned = []
    for number, base in enumerate(bases):
        network = carry_over(base, plan.recipe, plan.recipe.classes, dropout=plan.dropout)
        freeze(network, plan.scheme)
        config = plan.config.model_copy(update={"seed": seed + number})
        fit(
            network, curves, plan.recipe.featuriser, plan.recipe.classes, config,
            augmentation=plan.augmentation, groups=parameter_groups(plan.scheme), journal=journal,
        )  # fmt: skip
        tuned.append(network)
    return tuned


def distil(
    teachers: Sequence[Network], student: Network, train: LightCurves, plan: TransferPlan, *, seed: int,
    journal: Journal | None = None,
) -> Network:  # fmt: skip
    """Let one network learn what an ensemble says about `train` and its variations."""
    curves = train if plan.companions is None else concatenate([train, plan.companions])
    config = plan.config.model_copy(update={"seed": seed})
    fit(
        student, curves, plan.recipe.featuriser, plan.recipe.classes, config, teachers=teachers,
        augmentation=plan.augmentation, journal=journal,
    )  # fmt: skip
    return student


def tune(
    bases: Sequence[Network], train: LightCurves, plan: TransferPlan, *, seed: int,
    journal: Journal | None = None,
) -> Network:  # fmt: skip
    """Bring base networks to `train` and make one network of them: what is scored and what is shipped."""
    tuned = transfer(bases, train, plan, seed=seed, journal=journal)
    if len(tuned) == 1:
        return tuned[0]
    # The student begins at the first network: it has only to learn what the others add.
    student = carry_over(tuned[0], plan.recipe, plan.recipe.classes, dropout=plan.dropout)
    return distil(tuned, student, train, plan, seed=seed + DISTILLATION_SEED, journal=journal)


def crossvalidate(
    bases: Sequence[Network], curves: LightCurves, plan: TransferPlan, *, folds: int = 5, seed: int = 0,
    journal: Journal | None = None,
) -> Crossvalidation:  # fmt: skip
    """Make a network without each fold in turn, as the one that is shipped is made, and predict the fold."""
    fold = stratified_folds(curves.label, folds, seed)
    tuned: dict[int, Network] = {}

    def train(part: LightCurves, number: int) -> list[Network]:
        if number not in tuned:
            tuned[number] = tune(bases, part, plan, seed=seed + 100 * (number + 1), journal=journal)
        return [tuned[number]]

    return Crossvalidation(
        hidden=cross_validated(curves, fold, plan.recipe, train, hide_metadata=True),
        known=cross_validated(curves, fold, plan.recipe, train),
        fold=fold,
    )


def calibration_rows(steps: StepLogits, most: int = 12) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose steps of each object to calibrate on: all of the first ones, then ever rarer ones, the last.

    Returns
    -------
    rows, owner
        int64, indices of steps and of their objects.
    """
    marks = np.unique(np.round(np.geomspace(1, 300, 3 * most)).astype(np.int64))
    rows = [
        np.unique(np.append(start + marks[start + marks <= end] - 1, end - 1))
        for start, end in zip(steps.offsets[:-1], steps.offsets[1:], strict=True)
    ]
    owner = np.repeat(np.arange(len(rows)), [len(one) for one in rows])
    return np.concatenate(rows), owner


def calibrate(parts: Sequence[StepLogits], shares: Sequence[float]) -> Calibration:
    """Fit a calibration on the steps of several sets, each weighted as a whole by its share."""
    logits, seen, truth, weight = [], [], [], []
    for part, share in zip(parts, shares, strict=True):
        rows, owner = calibration_rows(part)
        logits.append(part.logits[rows])
        seen.append(part.n_detections[rows])
        truth.append(part.truth[owner])
        weight.append(np.full(len(rows), share * len(parts[0].truth) / max(len(part.truth), 1)))
    return fit_calibration(
        np.concatenate(logits), np.concatenate(seen), np.concatenate(truth), weight=np.concatenate(weight)
    )


def subset(steps: StepLogits, members: NDArray[np.int64]) -> StepLogits:
    """Select objects."""
    lengths = np.diff(steps.offsets)[members]
    rows = np.concatenate([np.arange(steps.offsets[m], steps.offsets[m + 1]) for m in members])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return StepLogits(steps.logits[rows], offsets, steps.n_detections[rows], steps.truth[members])


def calibrate_by_fold(
    result: StepLogits, fold: NDArray[np.int64], others: Sequence[StepLogits], shares: Sequence[float]
) -> dict[int, NDArray[np.float64]]:
    """Calibrate each fold on the other folds, so that calibrated scores are honest too.

    Returns
    -------
    dict
        By number of detections, probabilities of all objects, shape (n, classes).
    """
    out = {count: np.zeros((len(result.truth), result.logits.shape[1])) for count in DETECTION_COUNTS}
    for number in np.unique(fold):
        inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        calibration = calibrate([subset(result, outside), *others], [1.0, *shares])
        held_out = subset(result, inside)
        for count, probability in out.items():
            probability[inside] = probabilities_at(held_out, count, calibration)
    return out


def score_all(
    probability: dict[int, NDArray[np.float64]], truth: NDArray[np.int64], recipe: Recipe,
    among: Sequence[str],
) -> dict[int, Scores]:  # fmt: skip
    """Score calibrated probabilities by number of detections."""
    return {count: score_at(values, truth, recipe.classes, among) for count, values in probability.items()}


def companions_of(simulated: LightCurves, classes: Sequence[str], each: int, seed: int) -> LightCurves:
    """Draw simulated objects of the given classes, at most `each` of each."""
    generator = np.random.default_rng(seed)
    chosen = [generator.permutation(np.flatnonzero(simulated.label == name))[:each] for name in classes]
    return simulated.take(np.sort(np.concatenate(chosen)))


def simulated_steps(networks: Sequence[Network], curves: LightCurves, recipe: Recipe) -> StepLogits:
    """Predict simulated objects with redshift and E(B-V) withheld."""
    return step_logits(networks, curves, recipe, hide_metadata=True)
