"""What changes while a network is trained, and its checkpoint on disk."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch

from training.model.fit_config import FitConfig
from training.model.network import Network

__all__ = ["FitResult", "FitState", "ParameterGroups", "trained_parameters"]

ParameterGroups = Callable[[Network, float], list[dict[str, object]]]
"""From a network and a learning rate to the optimiser's parameter groups."""


@dataclass(slots=True)
class FitResult:
    """The outcome of a training run.

    Attributes
    ----------
    best_score
        Highest validation score; minus infinity without validation.
    best_epoch
        Epoch of that score; -1 without validation.
    history
        (epoch, training loss, validation score) of every validation.
    """

    best_score: float = float("-inf")
    best_epoch: int = -1
    history: list[tuple[int, float, float]] = field(default_factory=list)


@dataclass(slots=True)
class FitState:
    """The state of a training run between two epochs: everything a checkpoint must hold.

    Attributes
    ----------
    network
        Trained in place.
    optimiser
        AdamW over the parameters that require a gradient.
    base_rates
        Learning rate of each parameter group in the first epoch.
    anchor
        Initial values of the trained parameters; empty unless ``config.anchor`` is positive.
    result
        Scores so far.
    waited
        Validations since the last improvement.
    best_weights
        State dict at the best validation; None before the first one.
    """

    network: Network
    optimiser: torch.optim.AdamW
    base_rates: list[float]
    anchor: list[torch.Tensor]
    result: FitResult = field(default_factory=FitResult)
    waited: int = 0
    best_weights: dict[str, torch.Tensor] | None = None

    @classmethod
    def begin(cls, network: Network, config: FitConfig, groups: ParameterGroups | None) -> Self:
        """Return the state before the first epoch.

        Parameters
        ----------
        network
            Its parameters without gradient are not trained.
        config
            Learning rate, weight decay and whether weights are anchored.
        groups
            Parameter groups with their own rates; None: one group.
        """
        trained = trained_parameters(network)
        parameters = groups(network, config.learning_rate) if groups else [{"params": trained}]
        optimiser = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
        rates = [float(group["lr"]) for group in optimiser.param_groups]
        anchor = [parameter.detach().clone() for parameter in trained] if config.anchor else []
        return cls(network, optimiser, rates, anchor)

    def record(self, epoch: int, loss: float, score: float, min_delta: float) -> None:
        """Add a validation; keep the weights if the score rose by more than `min_delta`.

        Parameters
        ----------
        epoch
            Number of the epoch.
        loss
            Mean training loss.
        score
            Validation score.
        min_delta
            Smallest increase that counts.
        """
        self.result.history.append((epoch, loss, score))
        if score > self.result.best_score + min_delta:
            self.result.best_score, self.result.best_epoch, self.waited = score, epoch, 0
            self.best_weights = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        else:
            self.waited += 1

    def restore_best(self) -> None:
        """Load the best weights, if there was a validation, and switch the network to evaluation."""
        if self.best_weights is not None:
            self.network.load_state_dict(self.best_weights)
        self.network.eval()

    def save(self, path: Path, next_epoch: int, config: FitConfig) -> None:
        """Write a checkpoint atomically: an interrupted write leaves the previous file intact.

        Parameters
        ----------
        path
            File to replace.
        next_epoch
            First epoch still to be trained.
        config
            Stored to detect a checkpoint of another configuration.
        """
        state: dict[str, Any] = {
            "epoch": next_epoch,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "best": self.best_weights,
            "waited": self.waited,
            "anchor": self.anchor,
            "result": (self.result.best_score, self.result.best_epoch, self.result.history),
            "config": config.model_dump_json(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path, config: FitConfig, device: torch.device) -> int:
        """Load a checkpoint written by `save` and return the next epoch.

        Parameters
        ----------
        path
            Checkpoint.
        config
            Of this run.
        device
            Of the network.

        Raises
        ------
        ValueError
            The checkpoint belongs to a run with another configuration.
        """
        state = torch.load(path, weights_only=True, map_location=device)
        if state["config"] != config.model_dump_json():
            raise ValueError(f"{path} belongs to a run with another configuration; remove it to start over")
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best_weights, self.waited, self.anchor = state["best"], state["waited"], state["anchor"]
        self.result = FitResult(*state["result"])
        return int(state["epoch"])


def trained_parameters(network: Network) -> list[torch.nn.Parameter]:
    """Return the parameters that require a gradient, in the network's order.

    Parameters
    ----------
    network
        Whose parameters.
    """
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
