"""One point of a learning curve: train on n labels, score on the test set, write the result."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch
from numpy.typing import NDArray

from service.core.models.calibration import softmax
from training.data.light_curves import LabelledLightCurves
from training.eval.evaluate import DETECTION_COUNTS, StepLogits, probabilities_at
from training.eval.metrics import auroc_by_class, expected_calibration_error, macro_auroc, macro_f1
from training.model.calibrate import calibrate
from training.model.crossvalidation import fresh_network
from training.model.fit import fit
from training.model.fit_state import FitResult
from training.model.network import Network
from training.model.predict import days_since_trigger, step_logits
from training.model.recipes import ModelRecipe
from training.model.transfer import carry_over, freeze, parameter_groups
from training.reproduce.inputs import MEMBERS, Target, load_base, load_target
from training.reproduce.methods import METHODS, Method, method_augmentation, method_config, method_recipe
from training.reproduce.scale import Scale

__all__ = ["DAYS", "DETECTIONS", "Task", "adapt_base", "perform", "tasks"]

# Where scores against detections and days are computed; 0 detections: all of them.
DETECTIONS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 0)
DAYS = (0.5, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 70.0, 100.0, 200.0)


@dataclass(frozen=True, slots=True)
class Task:
    """One run.

    Attributes
    ----------
    experiment, method
        Of `METHODS`.
    labels
        Size of the training set; 0: the base network as it is.
    seed
        Of the split, the subset and the initial weights.
    """

    experiment: str
    method: str
    labels: int
    seed: int

    def path(self, work: Path) -> Path:
        """Return the file of its result below the directory of the experiments.

        Parameters
        ----------
        work
            Directory of the experiments.
        """
        return work / "runs" / self.experiment / f"{self.method}-n{self.labels:05d}-s{self.seed}.json"


def tasks(scale: Scale, names: Sequence[str]) -> list[Task]:
    """Return all runs, complete learning curves of one seed after another.

    Parameters
    ----------
    scale
        Methods, numbers of labels, seeds.
    names
        Experiments.
    """
    sizes = {"real-ztf": scale.real_sizes, "lsst": scale.lsst_sizes}
    return [
        Task(experiment, method, labels, seed)
        for seed in range(scale.seeds)
        for experiment in names
        for method in scale.methods
        for labels in ((0,) if METHODS[method].transfers else ()) + sizes[experiment]
        # The base as it is does not depend on what is frozen afterwards.
        if labels or method in ("paper-transfer", "ours-transfer")
    ]


def perform(task: Task, scale: Scale, work: Path, data: Path) -> None:
    """Train, score, and write the result, unless it exists.

    Equal tasks of equal scales give equal scores on one machine.

    Parameters
    ----------
    task
        Which run.
    scale
        Numbers of objects and epochs.
    work
        Directory of the experiments.
    data
        Data directory.
    """
    path = task.path(work)
    if path.exists():
        return
    torch.set_num_threads(1)
    started = time.monotonic()
    target = load_target(task.experiment, scale, work, data)
    method = METHODS[task.method]
    parts = target.split(task.seed)
    pool, validation, test = (
        target.curves.take(index) for index in (parts.pool, parts.validation, parts.test)
    )
    if task.labels:
        labelled = pool.take(slice(task.labels))
        network, recipe, outcome = _train(task, method, target, labelled, validation, scale, work)
    else:
        base_classes = load_base(work, paper=method.paper).recipe.classes
        network, recipe = adapt_base(method, target, base_classes, scale, work)
        outcome = FitResult()
    steps = step_logits([network], test.relabel(_known_label(test.label, recipe)), recipe)
    truth = np.array([target.classes.index(str(name)) for name in test.label])
    content = _score(steps, days_since_trigger(test, recipe), truth, recipe, target)
    if task.labels == target.sizes[-1]:
        held_out = step_logits([network], validation, recipe)
        content |= _figure_data(steps, held_out, truth, recipe, target)
    content |= {
        "experiment": task.experiment,
        "method": task.method,
        "labels": task.labels,
        "seed": task.seed,
        "epochs": len(outcome.history),
        "best_epoch": outcome.best_epoch,
        "seconds": round(time.monotonic() - started, 1),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{task.seed}.partial")
    partial.write_bytes(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
    partial.replace(path)


def adapt_base(
    method: Method, target: Target, classes: tuple[str, ...], scale: Scale, work: Path
) -> tuple[Network, ModelRecipe]:
    """Return the base as a network for the target's bands, not yet trained there.

    Parameters
    ----------
    method
        Which base.
    target
        Whose bands it is to read.
    classes
        Names of its outputs.
    scale
        Size of our network.
    work
        Directory of the experiments.
    """
    base = load_base(work, paper=method.paper)
    recipe = method_recipe(method, target.survey, classes, scale.hidden)
    network = carry_over(
        base.network,
        recipe,
        base.recipe.classes,
        dropout=method.dropout,
        base_columns=base.recipe.features.columns,
        members=MEMBERS,
    )
    return network, recipe


def _train(
    task: Task,
    method: Method,
    target: Target,
    train: LabelledLightCurves,
    validation: LabelledLightCurves,
    scale: Scale,
    work: Path,
) -> tuple[Network, ModelRecipe, FitResult]:
    seed = 1000 * task.seed + task.labels
    groups = None
    if method.transfers:
        torch.manual_seed(seed)
        network, recipe = adapt_base(method, target, target.classes, scale, work)
        scheme = method.schemes[task.experiment]
        freeze(network, scheme)
        groups = parameter_groups(scheme)
    else:
        recipe = method_recipe(method, target.survey, target.classes, scale.hidden)
        network = fresh_network(recipe, train, dropout=method.dropout, seed=seed)
    config = method_config(
        method,
        epochs=scale.epochs,
        patience=scale.patience,
        max_steps=scale.max_steps,
        objects_per_epoch=scale.most_objects_per_epoch,
        seed=seed,
    )
    # A few labels would make an epoch of one batch, and patience would run out before anything was learnt.
    repeats = -(-scale.objects_per_epoch // len(train))
    repeated = train.take(np.tile(np.arange(len(train)), repeats))
    outcome = fit(
        network,
        repeated,
        recipe.featuriser,
        recipe.classes,
        config,
        validation=validation,
        augmentation=method_augmentation(method, task.experiment),
        groups=groups,
    )
    return network, recipe, outcome


def _score(
    steps: StepLogits,
    days: NDArray[np.float64],
    truth: NDArray[np.int64],
    recipe: ModelRecipe,
    target: Target,
) -> dict[str, Any]:
    """Return the scores of the test set by detections and by days."""

    def probability(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return _target_probability(steps, rows, recipe, target)

    scores = {
        str(count): _summary(probability(steps.rows_at(count)), truth, target) for count in DETECTION_COUNTS
    }
    by_detections = {
        str(count): macro_auroc(probability(steps.rows_at(count)), truth) for count in DETECTIONS
    }
    by_days = {f"{day:g}": macro_auroc(probability(_rows_until(steps, days, day)), truth) for day in DAYS}
    return {"scores": scores, "by_detections": by_detections, "by_days": by_days}


def _figure_data(
    steps: StepLogits,
    held_out: StepLogits,
    truth: NDArray[np.int64],
    recipe: ModelRecipe,
    target: Target,
) -> dict[str, Any]:
    """Return the probabilities of whole light curves, before and after calibration on `held_out`."""
    before = _target_probability(steps, steps.rows_at(0), recipe, target)
    after = probabilities_at(steps, 0, calibrate([held_out], [1.0]))
    return {
        "truth": truth,
        "probability": before.round(5),
        "calibrated": after.round(5),
        "calibrated_scores": _summary(after, truth, target),
    }


def _known_label(label: NDArray[np.str_], recipe: ModelRecipe) -> NDArray[np.str_]:
    """Replace a class that the network splits by the first of its parts: it only needs some index."""
    names = np.unique(label).tolist()
    known = {name: name if name in recipe.classes else MEMBERS[name][0] for name in names}
    return np.array([known[name] for name in label.tolist()])


def _target_probability(
    steps: StepLogits, rows: NDArray[np.int64], recipe: ModelRecipe, target: Target
) -> NDArray[np.float64]:
    """Return the probabilities of the target's classes, shape (n, classes); parts of a class are added."""
    probability = softmax(steps.logits[rows]).astype(np.float64)
    if recipe.classes == target.classes:
        return probability
    columns = [
        probability[:, [recipe.classes.index(part) for part in MEMBERS.get(name, (name,))]].sum(axis=1)
        for name in target.classes
    ]
    grouped = np.column_stack(columns)
    total = grouped.sum(axis=1, keepdims=True)
    return np.asarray(grouped / np.where(total > 0.0, total, 1.0))


def _rows_until(steps: StepLogits, days: NDArray[np.float64], day: float) -> NDArray[np.int64]:
    """Return the last step of each object up to so many days after its trigger."""
    within = np.concatenate([[0], np.cumsum(days <= day)])
    count = within[steps.offsets[1:]] - within[steps.offsets[:-1]]
    rows: NDArray[np.int64] = steps.offsets[:-1] + np.maximum(count, 1) - 1
    return rows


def _summary(probability: NDArray[np.float64], truth: NDArray[np.int64], target: Target) -> dict[str, Any]:
    return {
        "macro_auroc": macro_auroc(probability, truth),
        "macro_f1": macro_f1(probability, truth),
        "calibration_error": expected_calibration_error(probability, truth),
        "by_class": dict(zip(target.classes, auroc_by_class(probability, truth).tolist(), strict=True)),
    }
