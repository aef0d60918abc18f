"""The training loop: a prediction at every step, weighted classes, early stopping on macro AUROC.

Seeded and deterministic on one device. A run that is interrupted resumes from its checkpoint and ends in
the same weights.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from service.core.features.featuriser import Featuriser
from service.core.models.calibration import softmax
from training.data.augment import Augmentation, augment
from training.data.labels import class_index
from training.data.light_curves import LabelledLightCurves
from training.eval.metrics import macro_auroc
from training.model.encode import Batch, Encoded, batches_of_like_length, encode, pad
from training.model.fit_config import FitConfig
from training.model.fit_state import FitResult, FitState, ParameterGroups, trained_parameters
from training.model.journal import Journal
from training.model.network import Network
from training.model.predict import predict_logits

__all__ = ["fit", "step_weights"]

# E(B-V) is a function of position: it is missing only where a user does not give it.
MWEBV_DROPOUT = 0.1
LARGEST_GRADIENT_NORM = 1.0


def fit(
    network: Network,
    train: LabelledLightCurves,
    featuriser: Featuriser,
    classes: tuple[str, ...],
    config: FitConfig,
    *,
    validation: LabelledLightCurves | None = None,
    augmentation: Augmentation | None = None,
    teachers: Sequence[Network] = (),
    groups: ParameterGroups | None = None,
    journal: Journal | None = None,
    checkpoint: Path | None = None,
) -> FitResult:
    """Train a network in place and return its scores.

    The network ends with the best weights by validation, or with the last ones without validation.

    Parameters
    ----------
    network
        Parameters that require no gradient keep their values.
    train, validation
        Light curves whose labels are names out of `classes`.
    featuriser
        Turns light curves into network input.
    classes
        Names of the network's outputs, in order.
    config
        Hyperparameters.
    augmentation
        Draw a new variation of the training set for each epoch.
    teachers
        Networks whose mean probabilities at every step are a second target (distillation).
    groups
        Parameter groups for the optimiser, for learning rates by layer.
    journal
        Progress bar and log; None: silent.
    checkpoint
        File written after each epoch, and resumed from if it exists.

    Raises
    ------
    ValueError
        The checkpoint belongs to a run with another configuration.
    """
    journal = journal or Journal()
    device = next(network.parameters()).device
    trained = trained_parameters(network)
    state = FitState.begin(network, config, groups)
    start = state.load(checkpoint, config, device) if checkpoint and checkpoint.exists() else 0
    held_out = encode(validation, featuriser, classes) if validation is not None else None
    class_weight = _class_weight(train, classes, config).to(device)  # (classes,)
    dropout = np.array([config.metadata_dropout, MWEBV_DROPOUT])
    for teacher in teachers:
        teacher.eval()

    for epoch in journal.progress(range(start, config.epochs), total=config.epochs, start=start):
        started = time.monotonic()
        # Random numbers depend on (seed, epoch) alone: an epoch is the same whether resumed or not.
        generator = np.random.default_rng([config.seed, epoch])
        torch.manual_seed(config.seed * 100_003 + epoch)
        _set_learning_rates(state, config, epoch)
        data = encode(_draw_epoch(train, config, augmentation, generator), featuriser, classes)
        network.train()
        total_loss = 0.0
        for index in batches_of_like_length(data.lengths, config.batch_size, generator):
            hide = generator.random((len(index), 2)) < dropout  # (batch, 2): redshift, E(B-V)
            # batch.x (batch, steps, inputs); batch.truth, batch.lengths (batch,)
            batch = pad(data, index, config.max_steps, network.spec.metadata, hide=hide, device=device)
            logits = network(batch.x, batch.metadata)  # (batch, steps, classes)
            truth = batch.truth[:, None].expand(-1, logits.shape[1])  # (batch, steps)
            per_step = nn.functional.cross_entropy(
                logits.transpose(1, 2), truth, reduction="none", label_smoothing=config.label_smoothing
            )  # (batch, steps)
            if teachers:
                distillation = _distillation_loss(logits, batch, teachers)  # (batch, steps)
                per_step = config.teacher_share * distillation + (1.0 - config.teacher_share) * per_step
            per_object = (per_step * step_weights(batch, config)).sum(dim=1)  # (batch,)
            loss = (per_object * class_weight[batch.truth]).mean()
            for parameter, initial in zip(trained, state.anchor, strict=False):
                loss = loss + config.anchor * ((parameter - initial) ** 2).sum()
            state.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(trained, LARGEST_GRADIENT_NORM)
            state.optimiser.step()
            total_loss += float(loss.item()) * len(index)

        mean_loss = total_loss / max(len(data), 1)
        score = _validate(state, held_out, config, epoch, mean_loss)
        seconds = time.monotonic() - started
        journal.write(event="epoch", epoch=epoch, loss=mean_loss, macro_auroc=score, seconds=seconds)
        if checkpoint is not None:
            state.save(checkpoint, epoch + 1, config)
        if state.waited >= config.patience:
            break
    state.restore_best()
    return state.result


def step_weights(batch: Batch, config: FitConfig) -> torch.Tensor:
    """Return the weight of each step in its object's loss.

    A share of the weight falls off as 1 / step, so that the few early steps count as much as the many late
    ones; the rest is uniform.

    Parameters
    ----------
    batch
        Padded objects.
    config
        `per_step` and `early_share`.

    Returns
    -------
    Tensor, shape (batch, steps), float32
        Rows sum to 1; padding has weight 0.
    """
    mask = batch.mask.float()
    step = torch.arange(mask.shape[1], device=mask.device, dtype=torch.float32)[None, :]
    if not config.per_step:
        return (step == (batch.lengths - 1)[:, None]).float()
    early = mask / (step + 2.0)
    early = early / early.sum(dim=1, keepdim=True)
    uniform = mask / mask.sum(dim=1, keepdim=True)
    return config.early_share * early + (1.0 - config.early_share) * uniform


def _draw_epoch(
    train: LabelledLightCurves,
    config: FitConfig,
    augmentation: Augmentation | None,
    generator: np.random.Generator,
) -> LabelledLightCurves:
    """Return the objects of one epoch: a random subset if so configured, augmented."""
    curves = train
    if 0 < config.objects_per_epoch < len(curves):
        curves = curves.take(generator.choice(len(curves), config.objects_per_epoch, replace=False))
    return curves if augmentation is None else augment(curves, augmentation, generator)


def _distillation_loss(logits: torch.Tensor, batch: Batch, teachers: Sequence[Network]) -> torch.Tensor:
    """Return the cross-entropy with the teachers' mean probabilities, shape (batch, steps)."""
    with torch.no_grad():
        soft_target = torch.stack(
            [teacher(batch.x, batch.metadata).softmax(-1) for teacher in teachers]
        ).mean(0)  # (batch, steps, classes)
    return -(soft_target * logits.log_softmax(-1)).sum(-1)


def _class_weight(train: LabelledLightCurves, classes: tuple[str, ...], config: FitConfig) -> torch.Tensor:
    """Return the weight of each class, shape (classes,), with mean 1 over the objects."""
    truth = class_index(train.label, classes)
    count = np.bincount(truth, minlength=len(classes)).astype(np.float64)
    weight = np.where(count > 0, (count.sum() / np.maximum(count, 1.0)) ** config.class_power, 0.0)
    return torch.tensor(weight / (weight * count).sum() * count.sum(), dtype=torch.float32)


def _set_learning_rates(state: FitState, config: FitConfig, epoch: int) -> None:
    fraction = 0.5 * (1.0 + math.cos(math.pi * epoch / config.epochs)) if config.cosine else 1.0
    for group, rate in zip(state.optimiser.param_groups, state.base_rates, strict=True):
        group["lr"] = rate * fraction


def _validate(
    state: FitState, held_out: Encoded | None, config: FitConfig, epoch: int, mean_loss: float
) -> float:
    """Score the network where a validation is due; return the score, NaN where it is not."""
    due = (epoch + 1) % config.validate_every == 0 or epoch == config.epochs - 1
    if held_out is None or not due:
        return float("nan")
    score = _early_and_late_auroc(state.network, held_out, config)
    state.record(epoch, mean_loss, score, config.min_delta)
    return score


def _early_and_late_auroc(network: Network, data: Encoded, config: FitConfig) -> float:
    """Return the mean macro AUROC after 3 steps, 5 steps and all of them, with the redshift hidden."""
    logits = predict_logits(network, data, max_steps=config.max_steps, hide_metadata=True)
    nonempty = data.lengths > 0
    scores = []
    for count in (3, 5, config.max_steps):
        row = data.offsets[:-1][nonempty] + np.minimum(data.lengths[nonempty], count) - 1
        scores.append(macro_auroc(softmax(logits[row]), data.truth[nonempty]))
    return float(np.mean(scores))
