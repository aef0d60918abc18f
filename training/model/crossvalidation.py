"""From base networks to a network tuned on real light curves, and its out-of-fold predictions.

Scores come from networks that never saw the object; the network that is shipped then learns from all of
them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.augment import Augmentation
from training.data.forms import stratified_folds
from training.data.light_curves import LabelledLightCurves, concatenate
from training.eval.evaluate import StepLogits
from training.model.encode import encode
from training.model.fit import fit
from training.model.fit_config import FitConfig
from training.model.journal import Journal
from training.model.network import Network
from training.model.predict import predict_out_of_fold
from training.model.recipes import ModelRecipe
from training.model.transfer import Scheme, carry_over, freeze, parameter_groups

__all__ = ["CrossValidation", "TransferPlan", "cross_validate", "fresh_network", "transfer", "tune"]

SMALLEST_INPUT_SCALE = 0.05  # an input that hardly varies is not blown up
DISTILLATION_SEED = 20_000


@dataclass(frozen=True, slots=True)
class TransferPlan:
    """How base networks are transferred to real data.

    Attributes
    ----------
    recipe
        Input, classes and layers.
    config, augmentation, scheme, dropout
        Of the fine-tuning.
    simulated_extras
        Simulated objects of the classes without real ones. They are trained on in every fold and never
        scored with the real objects.
    """

    recipe: ModelRecipe
    config: FitConfig
    augmentation: Augmentation | None
    scheme: Scheme
    dropout: float
    simulated_extras: LabelledLightCurves | None = None

    def training_set(self, real: LabelledLightCurves) -> LabelledLightCurves:
        """Return real light curves together with the simulated extras.

        Parameters
        ----------
        real
            Of the survey of the extras.
        """
        return real if self.simulated_extras is None else concatenate([real, self.simulated_extras])


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Out-of-fold predictions of n objects.

    Attributes
    ----------
    without_redshift
        Predicted with redshift and E(B-V) withheld.
    with_redshift
        Predicted with both, where they are known.
    fold
        int64, shape (n,).
    """

    without_redshift: StepLogits
    with_redshift: StepLogits
    fold: NDArray[np.int64]


def fresh_network(recipe: ModelRecipe, train: LabelledLightCurves, *, dropout: float, seed: int) -> Network:
    """Return a network with random weights.

    Parameters
    ----------
    recipe
        Input, classes and layers.
    train
        Light curves on which the inputs are standardised.
    dropout
        Probability of dropping a unit.
    seed
        Of the weights.
    """
    torch.manual_seed(seed)
    network = Network(recipe.network, dropout=dropout)
    x = encode(train, recipe.featuriser, recipe.classes).x.astype(np.float64)
    network.set_input_statistics(x.mean(axis=0), np.maximum(x.std(axis=0), SMALLEST_INPUT_SCALE))
    return network


def transfer(
    bases: Sequence[Network],
    train: LabelledLightCurves,
    plan: TransferPlan,
    *,
    seed: int,
    journal: Journal | None = None,
) -> list[Network]:
    """Return a fine-tuned copy of each base network.

    Parameters
    ----------
    bases
        Networks of the plan's recipe.
    train
        Real light curves.
    plan
        How to fine-tune.
    seed
        Of the first network; the next ones count up.
    journal
        Where progress is reported.
    """
    curves = plan.training_set(train)
    tuned = []
    for number, base in enumerate(bases):
        network = carry_over(base, plan.recipe, plan.recipe.classes, dropout=plan.dropout)
        freeze(network, plan.scheme)
        fit(
            network,
            curves,
            plan.recipe.featuriser,
            plan.recipe.classes,
            plan.config.model_copy(update={"seed": seed + number}),
            augmentation=plan.augmentation,
            groups=parameter_groups(plan.scheme),
            journal=journal,
        )
        tuned.append(network)
    return tuned


def tune(
    bases: Sequence[Network],
    train: LabelledLightCurves,
    plan: TransferPlan,
    *,
    seed: int,
    journal: Journal | None = None,
) -> Network:
    """Transfer base networks and return one network: several are distilled into it.

    Parameters
    ----------
    bases, train, plan, journal
        As in `transfer`.
    seed
        Of the transfer; the distillation derives its own.
    """
    tuned = transfer(bases, train, plan, seed=seed, journal=journal)
    if len(tuned) == 1:
        return tuned[0]
    # The student starts from the first network: it only has to learn what the others add.
    student = carry_over(tuned[0], plan.recipe, plan.recipe.classes, dropout=plan.dropout)
    fit(
        student,
        plan.training_set(train),
        plan.recipe.featuriser,
        plan.recipe.classes,
        plan.config.model_copy(update={"seed": seed + DISTILLATION_SEED}),
        teachers=tuned,
        augmentation=plan.augmentation,
        journal=journal,
    )
    return student


def cross_validate(
    bases: Sequence[Network],
    curves: LabelledLightCurves,
    plan: TransferPlan,
    *,
    folds: int = 5,
    seed: int = 0,
    journal: Journal | None = None,
) -> CrossValidation:
    """Predict each fold by a network made without it, in the way the shipped network is made.

    Parameters
    ----------
    bases
        Networks of the plan's recipe.
    curves
        Real light curves, each object once.
    plan
        How to fine-tune.
    folds
        Number of folds, stratified by class.
    seed
        Of the folds and of the training.
    journal
        Where progress is reported.
    """
    fold = stratified_folds(curves.label, folds, seed)
    tuned: dict[int, Network] = {}

    def train(part: LabelledLightCurves, number: int) -> list[Network]:
        if number not in tuned:
            tuned[number] = tune(bases, part, plan, seed=seed + 100 * (number + 1), journal=journal)
        return [tuned[number]]

    return CrossValidation(
        without_redshift=predict_out_of_fold(curves, fold, plan.recipe, train, hide_metadata=True),
        with_redshift=predict_out_of_fold(curves, fold, plan.recipe, train),
        fold=fold,
    )
