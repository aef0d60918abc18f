"""The network as PyTorch trains it; the service runs it from the exported weights."""

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.core.network.spec import DenseSpec, NetworkSpec, Weights, check_weights

__all__ = ["Network"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "linear": nn.Identity}


class Network(nn.Module):
    """A stack of unidirectional GRUs with dense layers on top: logits at every step.

    Inputs are standardised by `set_input_statistics`. In the exported weights the standardisation is folded
    into the first GRU, so that the service reads features as they are.

    Parameters
    ----------
    spec
        Sizes and activations.
    dropout
        Probability of dropping a unit, between GRUs and after each hidden dense layer, in training only.
    """

    input_mean: Tensor
    input_scale: Tensor

    def __init__(self, spec: NetworkSpec, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.spec = spec
        widths = (spec.n_inputs, *spec.gru)
        self.gru = nn.ModuleList(
            nn.GRU(width, size, batch_first=True) for width, size in zip(widths, spec.gru, strict=False)
        )
        self.dropout = nn.Dropout(dropout)
        self.trunk, width = _dense_layers(spec.trunk, spec.gru[-1])
        self.metadata, metadata_width = _dense_layers(
            spec.metadata.layers if spec.metadata else (), spec.n_metadata
        )
        self.head, width = _dense_layers(spec.head, width + metadata_width)
        self.output = nn.Linear(width, spec.n_classes)
        self.register_buffer("input_mean", torch.zeros(spec.n_inputs))
        self.register_buffer("input_scale", torch.ones(spec.n_inputs))

    def set_input_statistics(self, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> None:
        """Standardise inputs as (x - mean) / scale from now on.

        Parameters
        ----------
        mean, scale
            Shape (n_inputs,).
        """
        self.input_mean.copy_(torch.as_tensor(mean))
        self.input_scale.copy_(torch.as_tensor(scale))

    def forward(self, x: Tensor, metadata: Tensor | None = None) -> Tensor:
        """Return the logits of whole sequences.

        Parameters
        ----------
        x
            float32, shape (n, n_steps, n_inputs). Padding, of any finite value, has no effect on the steps
            before it.
        metadata
            float32, shape (n, n_metadata), from `encode_metadata`; None for a network without the branch.

        Returns
        -------
        Tensor, shape (n, n_steps, n_classes)
            Logits after each step.
        """
        return self.classify(self.states(x), metadata)

    def states(self, x: Tensor) -> Tensor:
        """Return the last GRU's state after each step.

        Parameters
        ----------
        x
            float32, shape (n, n_steps, n_inputs).

        Returns
        -------
        Tensor, shape (n, n_steps, gru[-1])
        """
        values = (x - self.input_mean) / self.input_scale
        for index, layer in enumerate(self.gru):
            values, _ = layer(self.dropout(values) if index else values)
        return values

    def classify(self, states: Tensor, metadata: Tensor | None = None) -> Tensor:
        """Return the logits of GRU states.

        Parameters
        ----------
        states
            Shape (..., n_steps, gru[-1]).
        metadata
            Shape (..., n_metadata), as in `forward`.

        Returns
        -------
        Tensor, shape (..., n_steps, n_classes)

        Raises
        ------
        ValueError
            The network has a metadata branch and `metadata` is None.
        """
        values = self._run(self.trunk, states)
        if self.spec.metadata is not None:
            if metadata is None:
                raise ValueError("this network needs metadata; encode_metadata marks what is missing")
            branch = self._run(self.metadata, metadata).unsqueeze(-2)
            values = torch.cat([values, branch.expand(*values.shape[:-1], -1)], dim=-1)
        return cast("Tensor", self.output(self._run(self.head, values)))

    def _run(self, layers: nn.ModuleList, values: Tensor) -> Tensor:
        for layer in layers:
            values = self.dropout(layer(values))
        return values

    def export_weights(self) -> Weights:
        """Return the weights by the names of `NetworkSpec.shapes`, with the input statistics folded in."""
        arrays = {_spec_name(name): _to_numpy(value) for name, value in self.named_parameters()}
        first = arrays["gru.0.weight_ih"] / _to_numpy(self.input_scale)
        arrays["gru.0.bias_ih"] = arrays["gru.0.bias_ih"] - first @ _to_numpy(self.input_mean)
        arrays["gru.0.weight_ih"] = first
        return check_weights(self.spec, {name: value.astype(np.float32) for name, value in arrays.items()})

    @torch.no_grad()
    def import_weights(self, weights: Weights) -> None:
        """Load the weights of a bundle, which have the input statistics folded in.

        Parameters
        ----------
        weights
            By the names of `NetworkSpec.shapes`.

        Raises
        ------
        BundleError
            Names or shapes are not those of this network.
        """
        checked = check_weights(self.spec, weights)
        for name, value in self.named_parameters():
            value.copy_(torch.from_numpy(checked[_spec_name(name)].copy()))
        self.input_mean.zero_()
        self.input_scale.fill_(1.0)


def _dense_layers(layers: tuple[DenseSpec, ...], width: int) -> tuple[nn.ModuleList, int]:
    modules = nn.ModuleList()
    for layer in layers:
        modules.append(nn.Sequential(nn.Linear(width, layer.size), _ACTIVATIONS[layer.activation]()))
        width = layer.size
    return modules, width


def _spec_name(name: str) -> str:
    """Translate a parameter's name: gru.1.weight_ih_l0 -> gru.1.weight_ih, head.0.0.bias -> head.0.bias."""
    part, *rest = name.split(".")
    if part == "gru":
        return name.removesuffix("_l0")
    return name if part == "output" else f"{part}.{rest[0]}.{rest[-1]}"


def _to_numpy(value: Tensor) -> NDArray[np.float64]:
    return value.detach().cpu().double().numpy()
