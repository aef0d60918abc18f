"""Carry a base model's weights over to another head, and choose what may still move."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import torch
from torch import nn

from training.model.fit import Groups
from training.model.network import Network
from training.model.recipes import Recipe

__all__ = ["Scheme", "carry_over", "freeze", "parameter_groups"]


class Scheme(StrEnum):
    """What is trained after the copy.

    The first three are the paper's (arXiv 2502.18558): its simulations to BTS, its ZTF to LSST, and its
    output-layer baseline.
    """

    LAST_TWO = "last-two"  # the last hidden layer and the output; all else stays as it is
    GRUS_AND_LAST_TWO = "grus-and-last-two"  # new input statistics, old dense layers
    OUTPUT = "output"
    EVERYTHING = "everything"
    DISCRIMINATIVE = "discriminative"  # everything, a layer nearer the input at a lower rate


# Each layer's rate against the one above it (Howard & Ruder 2018, section 3.2, use 1 / 2.6).
RATE_PER_LAYER = 1.0 / 2.6


def carry_over(
    base: Network, recipe: Recipe, base_classes: tuple[str, ...], *, dropout: float,
    base_columns: tuple[str, ...] = (), members: Mapping[str, Sequence[str]] | None = None,
) -> Network:  # fmt: skip
    """Copy all weights into a network of `recipe`; outputs go by class name.

    A class that the base does not know begins at the mean of its outputs. Where the inputs differ, the
    first GRU's weights go by the names of the inputs, and an input that is new begins without a say.

    Parameters
    ----------
    base_columns
        Inputs of the base; empty where they are the recipe's own.
    members
        For a class that the base has in parts, such as Ib/c: those parts, whose mean it begins at.
    """
    network = Network(recipe.network, dropout=dropout)
    own, given = network.state_dict(), base.state_dict()
    for name, value in given.items():
        if name in own and own[name].shape == value.shape and not name.startswith("output."):
            own[name].copy_(value)
    if base_columns and base_columns != recipe.features.columns:
        _copy_inputs(own, given, recipe.features.columns, base_columns)
    for part in ("output.weight", "output.bias"):
        if own[part].shape[1:] != given[part].shape[1:]:
            continue
        for index, name in enumerate(recipe.classes):
            parts = (members or {}).get(name, (name,))
            known = [base_classes.index(one) for one in parts if one in base_classes]
            own[part][index] = given[part][known or slice(None)].mean(dim=0)
    network.load_state_dict(own)
    return network.to(next(base.parameters()).device)


def _copy_inputs(
    own: dict[str, torch.Tensor], given: Mapping[str, torch.Tensor], columns: tuple[str, ...],
    base_columns: tuple[str, ...],
) -> None:  # fmt: skip
    """Copy what belongs to inputs, column by column; new ones keep mean 0, scale 1 and weight 0."""
    own["gru.0.weight_ih_l0"].zero_()
    for index, name in enumerate(columns):
        if name in base_columns:
            place = base_columns.index(name)
            own["gru.0.weight_ih_l0"][:, index] = given["gru.0.weight_ih_l0"][:, place]
            for part in ("input_mean", "input_scale"):
                own[part][index] = given[part][place]


def freeze(network: Network, scheme: Scheme) -> None:
    """Let only the layers of the scheme take gradients."""
    if scheme in (Scheme.EVERYTHING, Scheme.DISCRIMINATIVE):
        return
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for module in _trained_modules(network, scheme):
        for parameter in module.parameters():
            parameter.requires_grad_(True)


def parameter_groups(scheme: Scheme) -> Groups | None:
    """Give the optimiser's groups for schemes with more than one rate."""
    if scheme is not Scheme.DISCRIMINATIVE:
        return None

    def groups(network: Network, rate: float) -> list[dict[str, object]]:
        stack = [module for module in _layers(network) if any(True for _ in module.parameters())]
        return [
            {"params": list(module.parameters()), "lr": rate * RATE_PER_LAYER**depth}
            for depth, module in enumerate(reversed(stack))
        ]

    return groups


def _layers(network: Network) -> list[nn.Module]:
    """Give the layers from input to output; the metadata branch counts as one with the trunk's last."""
    return [*network.gru, *network.trunk, network.metadata, *network.head, network.output]


def _trained_modules(network: Network, scheme: Scheme) -> list[nn.Module]:
    hidden = [*network.trunk, *network.head]
    last_two = [*hidden[-1:], network.output]
    if scheme is Scheme.OUTPUT:
        return [network.output]
    return last_two if scheme is Scheme.LAST_TWO else [*network.gru, *last_two]
