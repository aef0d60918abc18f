"""Train a network: a prediction at every step, classes balanced, early stopping on macro AUROC.

Seeded and deterministic on one device; `Checkpoint` lets a run that was cut off go on where it was and
end in the same weights.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from service.core.calibration import softmax
from service.core.features import Featuriser
from training.data.augment import Augmentation, augment
from training.data.labels import class_index
from training.data.light_curves import LightCurves
from training.eval.metrics import macro_auroc
from training.model.encode import Batch, Encoded, batches_of_like_length, encode, pad
from training.model.journal import Journal
from training.model.network import Network

__all__ = ["FitConfig", "FitResult", "fit", "predict_logits", "step_weights"]


class FitConfig(BaseModel):
    """How a network is trained; stored beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(40, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    cosine: bool = Field(True, description="Let the rate fall to zero over the epochs along a cosine")
    class_power: float = Field(
        0.5, ge=0, le=1, description="Weight of a class: (N / n_c) to this power; 1 is the paper's"
    )
    per_step: bool = Field(True, description="Loss at every step; False: at the last one only, as the paper")
    early_share: float = Field(0.5, ge=0, le=1, description="Share of the loss that falls off as 1 / step")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    metadata_dropout: float = Field(0.5, ge=0, le=1, description="Chance to hide a redshift; E(B-V): 0.1")
    teacher_share: float = Field(0.7, ge=0, le=1, description="Share of the loss that is the teachers' say")
    anchor: float = Field(0.0, ge=0, description="Pull of the weights to where they began (L2-SP)")
    max_steps: int = Field(250, ge=1)
    objects_per_epoch: int = Field(0, ge=0, description="Objects drawn per epoch; 0 for all")
    patience: int = Field(6, ge=1, description="Validations without gain before the end")
    min_delta: float = Field(1e-4, ge=0)
    validate_every: int = Field(1, ge=1)
    seed: int = 0


@dataclass(slots=True)
class FitResult:
    """What became of a run: best score and its epoch, and the score of every validation."""

    best_score: float = float("-inf")
    best_epoch: int = -1
    history: list[tuple[int, float, float]] = field(default_factory=list)


Groups = Callable[[Network, float], list[dict[str, object]]]


def step_weights(batch: Batch, config: FitConfig) -> torch.Tensor:
    """Weight of each step in its object's loss, shape (batch, steps); every row sums to 1.

    A share falls off as 1 / step, so that the few early steps count as much as the many late ones; the
    rest is even.
    """
    mask = batch.mask.float()
    step = torch.arange(mask.shape[1], device=mask.device, dtype=torch.float32)[None, :]
    if not config.per_step:
        return (step == (batch.lengths - 1)[:, None]).float()
    early = mask / (step + 2.0)
    early = early / early.sum(dim=1, keepdim=True)
    even = mask / mask.sum(dim=1, keepdim=True)
    return config.early_share * early + (1.0 - config.early_share) * even


def fit(
    network: Network, train: LightCurves, featuriser: Featuriser, classes: tuple[str, ...],
    config: FitConfig, *, validation: LightCurves | None = None, augmentation: Augmentation | None = None,
    teachers: Sequence[Network] = (), groups: Groups | None = None,
    journal: Journal | None = None, checkpoint: Path | None = None,
) -> FitResult:  # fmt: skip
    """Train in place; the best weights by validation are put back, the last ones without validation.

    Parameters
    ----------
    network
        Trained in place; parameters that need no gradient stay.
    train, validation
        Labels are names out of `classes`.
    augmentation
        Draw variations of the training set anew for each epoch.
    teachers
        Their mean probabilities, at every step, become part of what is learnt (distillation).
    groups
        Parameter groups for the optimiser, for learning rates by layer.
    checkpoint
        File to write each epoch, and to go on from where it exists.
    """
    run = _Run(network, train, featuriser, classes, config, groups, teachers)
    journal = journal or Journal()
    start = run.resume(checkpoint) if checkpoint is not None and checkpoint.exists() else 0
    held_out = encode(validation, featuriser, classes) if validation is not None else None
    for epoch in journal.progress(range(start, config.epochs), total=config.epochs, start=start):
        began = time.monotonic()
        loss = run.epoch(epoch, augmentation)
        score = float("nan")
        last = epoch == config.epochs - 1
        if held_out is not None and ((epoch + 1) % config.validate_every == 0 or last):
            score = _score(network, held_out, config)
            run.note(epoch, loss, score)
        journal.write(
            event="epoch", epoch=epoch, loss=loss, macro_auroc=score, seconds=time.monotonic() - began
        )
        if checkpoint is not None:
            run.save(checkpoint, epoch + 1)
        if held_out is not None and run.waited >= config.patience:
            break
    if run.best_weights is not None:
        network.load_state_dict(run.best_weights)
    network.eval()
    return run.result


def predict_logits(
    network: Network, data: Encoded, *, max_steps: int = 100_000, batch_size: int = 256,
    hide_metadata: bool = False,
) -> NDArray[np.float32]:  # fmt: skip
    """Logits at every step, shape (steps, classes), rows as in ``data.x``; later steps stay 0."""
    network.eval()
    device = next(network.parameters()).device
    logits = np.zeros((len(data.x), network.spec.n_classes), dtype=np.float32)
    with torch.no_grad():
        for index in batches_of_like_length(data.lengths, batch_size):
            hide = np.full((len(index), 2), hide_metadata)
            batch = pad(
                data, index, max_steps=max_steps, metadata=network.spec.metadata, hide=hide, device=device
            )
            out = network(batch.x, batch.metadata)[batch.mask].cpu().numpy()
            lengths = batch.lengths.cpu().numpy()
            starts = np.repeat(data.offsets[index], lengths)
            within = np.arange(len(starts)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            logits[starts + within] = out
    return logits


def _score(network: Network, data: Encoded, config: FitConfig) -> float:
    """Mean of the macro AUROC at 3 and 5 steps and at the end, redshift hidden."""
    logits = predict_logits(network, data, max_steps=config.max_steps, hide_metadata=True)
    some = data.lengths > 0
    scores = []
    for count in (3, 5, config.max_steps):
        row = data.offsets[:-1][some] + np.minimum(data.lengths[some], count) - 1
        scores.append(macro_auroc(softmax(logits[row]), data.truth[some]))
    return float(np.mean(scores))


class _Run:
    """One run's moving parts, so that they can be saved and brought back."""

    def __init__(
        self, network: Network, train: LightCurves, featuriser: Featuriser,
        classes: tuple[str, ...], config: FitConfig, groups: Groups | None,
        teachers: Sequence[Network],
    ) -> None:  # fmt: skip
        self.network, self.train, self.featuriser, self.classes = network, train, featuriser, classes
        self.config, self.teachers = config, [teacher.eval() for teacher in teachers]
        self.device = next(network.parameters()).device
        torch.manual_seed(config.seed)
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        wanted = groups(network, config.learning_rate) if groups else [{"params": trained}]
        self.optimiser = torch.optim.AdamW(wanted, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.rates = [float(group["lr"]) for group in self.optimiser.param_groups]
        self.anchor = [parameter.detach().clone() for parameter in trained] if config.anchor else []
        self.trained = trained
        self.class_weight = self._class_weight().to(self.device)
        self.result, self.waited = FitResult(), 0
        self.best_weights: dict[str, torch.Tensor] | None = None

    def epoch(self, epoch: int, augmentation: Augmentation | None) -> float:
        """Go through the training set once; gives the mean loss."""
        # Drawn from (seed, epoch), so that an epoch is the same whether the run was resumed or not.
        generator = np.random.default_rng([self.config.seed, epoch])
        torch.manual_seed(self.config.seed * 100_003 + epoch)
        self._set_rates(epoch)
        curves = self.train
        if 0 < self.config.objects_per_epoch < len(curves):
            chosen = generator.choice(len(curves), self.config.objects_per_epoch, replace=False)
            curves = curves.take(chosen)
        if augmentation is not None:
            curves = augment(curves, augmentation, generator)
        data = encode(curves, self.featuriser, self.classes)
        self.network.train()
        total = 0.0
        for index in batches_of_like_length(data.lengths, self.config.batch_size, generator):
            total += self._step(data, index, generator) * len(index)
        return total / max(len(data), 1)

    def _step(self, data: Encoded, index: NDArray[np.int64], generator: np.random.Generator) -> float:
        chance = np.array([self.config.metadata_dropout, 0.1])
        batch = pad(
            data, index, max_steps=self.config.max_steps, metadata=self.network.spec.metadata,
            hide=generator.random((len(index), 2)) < chance, device=self.device,
        )  # fmt: skip
        loss = self._loss(batch)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimiser.step()
        return float(loss.item())

    def _loss(self, batch: Batch) -> torch.Tensor:
        logits = self.network(batch.x, batch.metadata)
        wanted = batch.truth[:, None].expand(-1, logits.shape[1])
        each = nn.functional.cross_entropy(
            logits.transpose(1, 2), wanted, reduction="none", label_smoothing=self.config.label_smoothing
        )
        if self.teachers:
            with torch.no_grad():
                say = torch.stack([t(batch.x, batch.metadata).softmax(-1) for t in self.teachers]).mean(0)
            soft = -(say * logits.log_softmax(-1)).sum(-1)
            each = self.config.teacher_share * soft + (1.0 - self.config.teacher_share) * each
        per_object = (each * step_weights(batch, self.config)).sum(dim=1)
        loss = (per_object * self.class_weight[batch.truth]).mean()
        for parameter, begun in zip(self.trained, self.anchor, strict=False):
            loss = loss + self.config.anchor * ((parameter - begun) ** 2).sum()
        return loss

    def _class_weight(self) -> torch.Tensor:
        """Weights of the classes, with mean 1 over the objects."""
        truth = class_index(self.train.label, self.classes)
        count = np.bincount(truth, minlength=len(self.classes)).astype(np.float64)
        weight = np.where(count > 0, (count.sum() / np.maximum(count, 1.0)) ** self.config.class_power, 0.0)
        return torch.tensor(weight / (weight * count).sum() * count.sum(), dtype=torch.float32)

    def _set_rates(self, epoch: int) -> None:
        share = 0.5 * (1.0 + math.cos(math.pi * epoch / self.config.epochs)) if self.config.cosine else 1.0
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * share

    def note(self, epoch: int, loss: float, score: float) -> None:
        """Keep the best weights and count how long nothing was gained."""
        self.result.history.append((epoch, loss, score))
        if score > self.result.best_score + self.config.min_delta:
            self.result.best_score, self.result.best_epoch, self.waited = score, epoch, 0
            self.best_weights = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        else:
            self.waited += 1

    def save(self, path: Path, epoch: int) -> None:
        """Write all that is needed to go on at `epoch`; a cut-off write leaves the last file whole."""
        state = {
            "epoch": epoch, "network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(),
            "best": self.best_weights, "waited": self.waited, "anchor": self.anchor,
            "result": (self.result.best_score, self.result.best_epoch, self.result.history),
            "config": self.config.model_dump_json(),
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def resume(self, path: Path) -> int:
        """Bring back what `save` wrote; gives the epoch to go on with."""
        state = torch.load(path, weights_only=True, map_location=self.device)
        if state["config"] != self.config.model_dump_json():
            raise ValueError(f"{path} is of a run with another configuration; remove it to begin anew")
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best_weights, self.waited, self.anchor = state["best"], state["waited"], state["anchor"]
        self.result = FitResult(*state["result"])
        return int(state["epoch"])
