"""One point of a learning curve: train on n labels, score on the test set, write down what came out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch
from numpy.typing import NDArray

from service.core.calibration import softmax
from training.data.augment import Augmentation
from training.data.light_curves import LightCurves
from training.eval.evaluate import DETECTION_COUNTS, StepLogits, probabilities_at
from training.eval.metrics import auroc_by_class, expected_calibration_error, macro_auroc, macro_f1
from training.model.crossvalidation import calibrate, fresh_network
from training.model.fit import FitConfig, FitResult, fit
from training.model.network import Network
from training.model.predict import days_since_trigger, step_logits
from training.model.recipes import Recipe
from training.model.transfer import carry_over, freeze, parameter_groups
from training.reproduce.inputs import MEMBERS, Target, load_base, target
from training.reproduce.methods import METHODS, Method, augmentation, configuration, recipe
from training.reproduce.scale import Scale

__all__ = ["DAYS", "DETECTIONS", "Task", "base_for", "perform", "tasks"]

# Where the curves against detections and days have their points; 0 detections: all of them.
DETECTIONS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 0)
DAYS = (0.5, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 70.0, 100.0, 200.0)


@dataclass(frozen=True, slots=True)
class Task:
    """One run; `labels` of 0 is the base network as it is."""

    experiment: str
    method: str
    labels: int
    seed: int

    def path(self, work: Path) -> Path:
        """Say where its result is written."""
        return work / "runs" / self.experiment / f"{self.method}-n{self.labels:05d}-s{self.seed}.json"


def tasks(scale: Scale, names: Sequence[str]) -> list[Task]:
    """List all runs, whole learning curves of one seed after another."""
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
    """Train, score, and write the result; done already, nothing happens.

    Equal tasks of equal scales give equal scores on one machine.
    """
    path = task.path(work)
    if path.exists():
        return
    torch.set_num_threads(1)
    began = time.monotonic()
    aim = target(task.experiment, scale, work, data)
    parts = aim.split(task.seed)
    method = METHODS[task.method]
    pool, validation, test = (aim.curves.take(index) for index in (parts.pool, parts.validation, parts.test))
    labelled = pool.take(slice(task.labels))
    if task.labels:
        network, ours, outcome = _train(task, method, aim, labelled, validation, scale, work)
    else:
        network, ours = base_for(method, aim, load_base(work, method.paper).recipe.classes, scale, work)
        outcome = FitResult()
    content = _scored(network, ours, aim, validation, test, detailed=task.labels == aim.sizes[-1])
    content |= {
        "experiment": task.experiment, "method": task.method, "labels": task.labels, "seed": task.seed,
        "epochs": len(outcome.history), "best_epoch": outcome.best_epoch,
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{task.seed}.partial")
    partial.write_bytes(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
    partial.replace(path)


def _train(
    task: Task, method: Method, aim: Target, train: LightCurves, validation: LightCurves, scale: Scale,
    work: Path,
) -> tuple[Network, Recipe, FitResult]:  # fmt: skip
    seed = 1000 * task.seed + task.labels
    groups = None
    if method.transfers:
        torch.manual_seed(seed)
        network, ours = base_for(method, aim, aim.classes, scale, work)
        scheme = method.schemes[task.experiment]
        freeze(network, scheme)
        groups = parameter_groups(scheme)
    else:
        ours = recipe(method, aim.survey, aim.classes, scale.hidden)
        network = fresh_network(ours, train, dropout=_dropout(method), seed=seed)
    config = configuration(
        method, epochs=scale.epochs, patience=scale.patience, max_steps=scale.max_steps,
        objects_per_epoch=scale.most_objects_per_epoch, seed=seed,
    )  # fmt: skip
    outcome = _fit(
        network, train, validation, ours, config, augmentation(method, task.experiment), groups, scale
    )
    return network, ours, outcome


def base_for(
    method: Method, aim: Target, classes: tuple[str, ...], scale: Scale, work: Path
) -> tuple[Network, Recipe]:
    """Give the base as a network that reads the target's bands and names `classes`, not yet trained there."""
    base = load_base(work, method.paper)
    ours = recipe(method, aim.survey, classes, scale.hidden)
    network = carry_over(
        base.network, ours, base.recipe.classes, dropout=_dropout(method),
        base_columns=base.recipe.features.columns, members=MEMBERS,
    )  # fmt: skip
    return network, ours


def _dropout(method: Method) -> float:
    """Give the rate of dropout; the paper has none."""
    return 0.0 if method.paper else 0.2


def _fit(
    network: Network, train: LightCurves, validation: LightCurves, ours: Recipe, config: FitConfig,
    how: Augmentation | None, groups: Any, scale: Scale,
) -> FitResult:  # fmt: skip
    # A few labels make an epoch of one batch, and patience would end before anything was learnt.
    rounds = -(-scale.objects_per_epoch // len(train))
    repeated = train.take(np.tile(np.arange(len(train)), rounds))
    return fit(
        network, repeated, ours.featuriser, ours.classes, config, validation=validation,
        augmentation=how, groups=groups,
    )  # fmt: skip


def _scored(
    network: Network, ours: Recipe, aim: Target, validation: LightCurves, test: LightCurves, *,
    detailed: bool,
) -> dict[str, Any]:  # fmt: skip
    """Score the test set by detections and by days, and with details what figures are drawn from."""
    steps = step_logits([network], test.relabel(_first_part(test.label, ours)), ours)
    truth = np.array([aim.classes.index(str(name)) for name in test.label])
    days = days_since_trigger(test, ours)

    def at(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return _grouped(softmax(steps.logits[rows]).astype(np.float64), ours, aim)

    final = at(steps.rows_at(0))
    content: dict[str, Any] = {
        "scores": {str(count): _scores(at(steps.rows_at(count)), truth, aim) for count in DETECTION_COUNTS},
        "by_detections": {str(count): macro_auroc(at(steps.rows_at(count)), truth) for count in DETECTIONS},
        "by_days": {
            f"{day:g}": macro_auroc(at(_rows_until(steps, days, day)), truth) for day in DAYS
        },
    }  # fmt: skip
    if detailed:
        held = step_logits([network], validation, ours)
        after = probabilities_at(steps, 0, calibrate([held], [1.0]))
        content |= {
            "truth": truth, "probability": final.round(5), "calibrated": after.round(5),
            "calibrated_scores": _scores(after, truth, aim),
        }  # fmt: skip
    return content


def _first_part(label: NDArray[np.str_], ours: Recipe) -> NDArray[np.str_]:
    """Name a class that the network has in parts by the first of them: it only has to have an index."""
    known = {name: name if name in ours.classes else MEMBERS[name][0] for name in np.unique(label).tolist()}
    return np.array([known[name] for name in label.tolist()])


def _grouped(probability: NDArray[np.float64], ours: Recipe, aim: Target) -> NDArray[np.float64]:
    """Add up the classes that are parts of one of the target's, shape (n, target classes)."""
    if ours.classes == aim.classes:
        return probability
    columns = [
        probability[:, [ours.classes.index(part) for part in MEMBERS.get(name, (name,))]].sum(axis=1)
        for name in aim.classes
    ]
    grouped = np.column_stack(columns)
    total = grouped.sum(axis=1, keepdims=True)
    return np.asarray(grouped / np.where(total > 0.0, total, 1.0))


def _rows_until(steps: StepLogits, days: NDArray[np.float64], day: float) -> NDArray[np.int64]:
    """Give the last step of each object up to so many days after its trigger."""
    within = np.concatenate([[0], np.cumsum(days <= day)])
    count = within[steps.offsets[1:]] - within[steps.offsets[:-1]]
    rows: NDArray[np.int64] = steps.offsets[:-1] + np.maximum(count, 1) - 1
    return rows


def _scores(probability: NDArray[np.float64], truth: NDArray[np.int64], aim: Target) -> dict[str, Any]:
    return {
        "macro_auroc": macro_auroc(probability, truth),
        "macro_f1": macro_f1(probability, truth),
        "calibration_error": expected_calibration_error(probability, truth),
        "by_class": dict(zip(aim.classes, auroc_by_class(probability, truth).tolist(), strict=True)),
    }
