"""Network architecture: sizes, activations, and the names and shapes of the weights.

::

    step features -> GRU -> ... -> GRU -> trunk ---------+-> head -> output -> logits
    redshift, E(B-V), each with a missing flag -> metadata +

One output per step. The paper's network (arXiv 2502.18558) is ``gru=(100, 100)``, a trunk of one tanh
layer of 100, and a head of 100 and of the latent size, both relu.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.errors import BundleError

__all__ = [
    "Activation",
    "DenseSpec",
    "MetadataSpec",
    "NetworkSpec",
    "Weights",
    "check_weights",
    "encode_metadata",
    "paper_network",
]

Weights = Mapping[str, NDArray[np.float32]]
"""Arrays by the names of `NetworkSpec.shapes`."""

Activation = Literal["tanh", "relu", "linear"]
MetadataColumn = Literal["redshift", "log_redshift", "mwebv"]

MAX_LAYER_SIZE = 4096
MIN_REDSHIFT = 1e-3  # below this, peculiar velocities dominate
MAX_REDSHIFT = 10.0
MAX_MWEBV = 10.0


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DenseSpec(_Spec):
    """One dense layer."""

    size: int = Field(ge=1, le=MAX_LAYER_SIZE)
    activation: Activation


class MetadataSpec(_Spec):
    """The metadata branch, for properties of an object other than its light curve.

    Attributes
    ----------
    columns
        Properties that it reads; each is two inputs, the value and a flag that it is missing.
    layers
        Dense layers of the branch.
    """

    columns: tuple[MetadataColumn, ...] = Field(min_length=1)
    layers: tuple[DenseSpec, ...] = ()

    @model_validator(mode="after")
    def check(self) -> Self:
        """Reject repeated columns."""
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("a metadata column is listed twice")
        return self


class NetworkSpec(_Spec):
    """A stack of unidirectional GRUs with dense layers on the last one's state.

    Attributes
    ----------
    n_inputs
        Features per step.
    gru
        Hidden size of each GRU, first to last.
    trunk, head
        Dense layers before and after the metadata branch joins.
    metadata
        The metadata branch, or None.
    n_classes
        Size of the linear output layer: logits.
    """

    n_inputs: int = Field(ge=1, le=MAX_LAYER_SIZE)
    gru: tuple[int, ...] = Field(min_length=1)
    trunk: tuple[DenseSpec, ...] = ()
    metadata: MetadataSpec | None = None
    head: tuple[DenseSpec, ...] = ()
    n_classes: int = Field(ge=2, le=MAX_LAYER_SIZE)

    @model_validator(mode="after")
    def check(self) -> Self:
        """Reject GRU sizes out of range."""
        if not all(1 <= size <= MAX_LAYER_SIZE for size in self.gru):
            raise ValueError(f"GRU sizes must be between 1 and {MAX_LAYER_SIZE}")
        return self

    @property
    def n_hidden(self) -> int:
        """Size of the flat hidden state: all GRU layers, first to last."""
        return sum(self.gru)

    @property
    def n_metadata(self) -> int:
        """Number of inputs of the metadata branch."""
        return 0 if self.metadata is None else 2 * len(self.metadata.columns)

    @property
    def n_weights(self) -> int:
        """Number of trained values."""
        return sum(int(np.prod(shape)) for shape in self.shapes().values())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every weight array by name.

        GRU layers follow PyTorch: ``gru.<i>.weight_ih`` (3 * size, inputs), ``weight_hh``
        (3 * size, size), ``bias_ih`` and ``bias_hh`` (3 * size,), gates in the order reset, update,
        new. Dense layers ``trunk.<i>``, ``metadata.<i>``, ``head.<i>`` and ``output`` have ``weight``
        (outputs, inputs) and ``bias`` (outputs,).
        """
        shapes: dict[str, tuple[int, ...]] = {}
        width = self.n_inputs
        for index, size in enumerate(self.gru):
            shapes[f"gru.{index}.weight_ih"] = (3 * size, width)
            shapes[f"gru.{index}.weight_hh"] = (3 * size, size)
            shapes[f"gru.{index}.bias_ih"] = (3 * size,)
            shapes[f"gru.{index}.bias_hh"] = (3 * size,)
            width = size
        width = _add_dense(shapes, "trunk", self.trunk, width)
        if self.metadata is not None:
            width += _add_dense(shapes, "metadata", self.metadata.layers, self.n_metadata)
        width = _add_dense(shapes, "head", self.head, width)
        shapes["output.weight"] = (self.n_classes, width)
        shapes["output.bias"] = (self.n_classes,)
        return shapes


def _add_dense(
    shapes: dict[str, tuple[int, ...]], name: str, layers: tuple[DenseSpec, ...], width: int
) -> int:
    for index, layer in enumerate(layers):
        shapes[f"{name}.{index}.weight"] = (layer.size, width)
        shapes[f"{name}.{index}.bias"] = (layer.size,)
        width = layer.size
    return width


def paper_network(
    n_classes: int, *, n_inputs: int = 4, latent: int = 100, metadata: MetadataSpec | None = None
) -> NetworkSpec:
    """Return the network of arXiv 2502.18558.

    Parameters
    ----------
    n_classes
        Size of the output layer.
    n_inputs
        Features per step; the paper's are four.
    latent
        Size of the last hidden layer; 100 gives the paper's number of weights, about 123,000.
    metadata
        The branch for redshift and E(B-V); the published transfer runs had none.
    """
    return NetworkSpec(
        n_inputs=n_inputs,
        gru=(100, 100),
        trunk=(DenseSpec(size=100, activation="tanh"),),
        metadata=metadata,
        head=(DenseSpec(size=100, activation="relu"), DenseSpec(size=latent, activation="relu")),
        n_classes=n_classes,
    )


def check_weights(spec: NetworkSpec, weights: Weights) -> Weights:
    """Check weights against an architecture.

    Parameters
    ----------
    spec
        The architecture.
    weights
        Arrays by name.

    Returns
    -------
    mapping of str to ndarray
        The same weights as C-ordered, read-only float32, in the order of `NetworkSpec.shapes`.

    Raises
    ------
    BundleError
        If an array is missing, unknown, not float32, of another shape, or not finite.
    """
    shapes = spec.shapes()
    if missing := sorted(set(shapes) - set(weights)):
        raise BundleError(f"weights lack {', '.join(missing)}")
    if unknown := sorted(set(weights) - set(shapes)):
        raise BundleError(f"weights hold unknown arrays: {', '.join(unknown)}")
    return MappingProxyType({name: _checked(name, weights[name], shape) for name, shape in shapes.items()})


def _checked(name: str, array: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    if array.dtype != np.float32:
        raise BundleError(f"weights: {name} is {array.dtype}, not float32")
    if array.shape != shape:
        raise BundleError(f"weights: {name} has shape {array.shape}, not {shape}")
    if not np.isfinite(array).all():
        raise BundleError(f"weights: {name} holds values that are not finite")
    checked = np.ascontiguousarray(array).view()
    checked.flags.writeable = False
    return checked


def encode_metadata(
    spec: MetadataSpec, redshift: NDArray[np.float32], mwebv: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Encode properties of objects as input of the metadata branch.

    Parameters
    ----------
    spec
        The metadata branch.
    redshift, mwebv
        float32, shape (n,), mwebv in mag. NaN counts as missing, as do a redshift that is not positive and a
        negative E(B-V).

    Returns
    -------
    ndarray, shape (n, 2 * n_columns), float32
        For each column two values: the property, 0 if missing; and 1 if it is missing, else 0.
    """
    z = np.asarray(redshift, np.float64)
    dust = np.asarray(mwebv, np.float64)
    z = np.clip(np.where(z > 0.0, z, np.nan), MIN_REDSHIFT, MAX_REDSHIFT)
    dust = np.minimum(np.where(dust >= 0.0, dust, np.nan), MAX_MWEBV)
    # ln z + 2 maps z = 0.05 ... 1 to -1 ... 2.
    values = {"redshift": z, "log_redshift": np.log(z) + 2.0, "mwebv": dust}
    columns: list[NDArray[np.float64]] = []
    for name in spec.columns:
        is_missing = np.isnan(values[name])
        columns += [np.where(is_missing, 0.0, values[name]), is_missing.astype(np.float64)]
    return np.stack(columns, axis=1).astype(np.float32)
