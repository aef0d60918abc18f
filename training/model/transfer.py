"""Transfer schemes: copy a base network's weights to a new head, and choose which layers are trained."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import torch
from torch import nn

from training.model.fit_state import ParameterGroups
from training.model.network import Network
from training.model.recipes import ModelRecipe

__all__ = ["Scheme", "carry_over", "freeze", "parameter_groups"]


class Scheme(StrEnum):
    """Which layers are trained after the copy.

    The first three are those of arXiv:2502.18558: from its simulations to BTS, from its ZTF to LSST, and its
    output-layer baseline.
    """

    LAST_TWO = "last-two"  # the last hidden layer and the output
    GRUS_AND_LAST_TWO = "grus-and-last-two"  # adapts to new input statistics, keeps the other dense layers
    OUTPUT = "output"
    EVERYTHING = "everything"
    DISCRIMINATIVE = "discriminative"  # everything, with lower rates towards the input


# Each layer's rate relative to the one above it (Howard & Ruder 2018, section 3.2, use 1 / 2.6).
RATE_PER_LAYER = 1.0 / 2.6


def carry_over(
    base: Network,
    recipe: ModelRecipe,
    base_classes: tuple[str, ...],
    *,
    dropout: float,
    base_columns: tuple[str, ...] = (),
    members: Mapping[str, Sequence[str]] | None = None,
) -> Network:
    """Return a network of `recipe` with the weights of `base`; outputs are matched by class name.

    The output of a class that the base lacks starts at the mean of the base's outputs. Where the inputs
    differ, the first GRU's weights are matched by the names of the inputs, and a new input starts at zero.

    Parameters
    ----------
    base
        Trained network.
    recipe
        Input, classes and layers of the new network.
    base_classes
        Names of the base's outputs, in order.
    dropout
        Of the new network.
    base_columns
        Inputs of the base; empty if they are those of `recipe`.
    members
        For a class that the base splits, such as Ib/c: the base's classes whose mean it starts at.
    """
    network = Network(recipe.network, dropout=dropout)
    weights, base_weights = network.state_dict(), base.state_dict()
    for name, value in base_weights.items():
        if name in weights and weights[name].shape == value.shape and not name.startswith("output."):
            weights[name].copy_(value)
    if base_columns and base_columns != recipe.features.columns:
        _copy_inputs(weights, base_weights, recipe.features.columns, base_columns)
    for name in ("output.weight", "output.bias"):
        if weights[name].shape[1:] != base_weights[name].shape[1:]:
            continue
        for index, class_name in enumerate(recipe.classes):
            parts = (members or {}).get(class_name, (class_name,))
            rows = [base_classes.index(part) for part in parts if part in base_classes]
            weights[name][index] = base_weights[name][rows or slice(None)].mean(dim=0)
    network.load_state_dict(weights)
    return network.to(next(base.parameters()).device)


def freeze(network: Network, scheme: Scheme) -> None:
    """Require gradients of the scheme's layers only.

    Parameters
    ----------
    network
        Changed in place.
    scheme
        Which layers are trained.
    """
    if scheme in (Scheme.EVERYTHING, Scheme.DISCRIMINATIVE):
        return
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for module in _trained_modules(network, scheme):
        for parameter in module.parameters():
            parameter.requires_grad_(True)


def parameter_groups(scheme: Scheme) -> ParameterGroups | None:
    """Return how a scheme groups parameters by learning rate; None: one rate for all.

    Parameters
    ----------
    scheme
        Which layers are trained.
    """
    if scheme is not Scheme.DISCRIMINATIVE:
        return None

    def groups(network: Network, rate: float) -> list[dict[str, object]]:
        stack = [module for module in _layers(network) if any(True for _ in module.parameters())]
        return [
            {"params": list(module.parameters()), "lr": rate * RATE_PER_LAYER**depth}
            for depth, module in enumerate(reversed(stack))
        ]

    return groups


def _copy_inputs(
    weights: dict[str, torch.Tensor],
    base_weights: Mapping[str, torch.Tensor],
    columns: tuple[str, ...],
    base_columns: tuple[str, ...],
) -> None:
    """Copy input weights and statistics by column name; new columns keep mean 0, scale 1 and weight 0."""
    weights["gru.0.weight_ih_l0"].zero_()
    for index, name in enumerate(columns):
        if name in base_columns:
            base_index = base_columns.index(name)
            weights["gru.0.weight_ih_l0"][:, index] = base_weights["gru.0.weight_ih_l0"][:, base_index]
            for statistic in ("input_mean", "input_scale"):
                weights[statistic][index] = base_weights[statistic][base_index]


def _layers(network: Network) -> list[nn.Module]:
    """Return the layers from input to output; the metadata branch comes after the trunk."""
    return [*network.gru, *network.trunk, network.metadata, *network.head, network.output]


def _trained_modules(network: Network, scheme: Scheme) -> list[nn.Module]:
    hidden = [*network.trunk, *network.head]
    last_two = [*hidden[-1:], network.output]
    if scheme is Scheme.OUTPUT:
        return [network.output]
    return last_two if scheme is Scheme.LAST_TWO else [*network.gru, *last_two]
