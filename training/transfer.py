"""Carry a base model's weights over to another head, and choose what may still move."""

from enum import StrEnum

from torch import nn

from training.fit import Groups
from training.network import Network
from training.recipes import Recipe

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


def carry_over(base: Network, recipe: Recipe, base_classes: tuple[str, ...], *, dropout: float) -> Network:
    """Copy all weights into a network of `recipe`; outputs go by class name.

    A class that the base does not know begins at the mean of its outputs. Where the inputs differ, the
    first GRU is copied where shapes agree and keeps its own initial weights elsewhere.
    """
    network = Network(recipe.network, dropout=dropout)
    own, given = network.state_dict(), base.state_dict()
    for name, value in given.items():
        if name in own and own[name].shape == value.shape and not name.startswith("output."):
            own[name].copy_(value)
    known = [base_classes.index(name) if name in base_classes else -1 for name in recipe.classes]
    for part in ("output.weight", "output.bias"):
        if own[part].shape[1:] != given[part].shape[1:]:
            continue
        for index, place in enumerate(known):
            own[part][index] = given[part][place] if place >= 0 else given[part].mean(dim=0)
    network.load_state_dict(own)
    return network


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
