"""Light curves as network input for training, made by the service's own featuriser."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from service.core.features.featuriser import Featuriser
from service.core.network.spec import MetadataSpec, encode_metadata
from training.data.labels import class_index
from training.data.light_curves import LabelledLightCurves, ragged_index

__all__ = ["Batch", "Encoded", "batches_of_like_length", "encode", "pad"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """n objects as the network reads them.

    Attributes
    ----------
    x, offsets
        Features of all steps, float32, shape (steps, n_inputs), and int64, shape (n + 1,), as in
        `FeatureBatch`.
    truth
        int64, shape (n,): class index, -1 where unknown.
    redshift, mwebv
        float32, shape (n,); NaN where unknown. E(B-V) in mag.
    """

    x: NDArray[np.float32]
    offsets: NDArray[np.int64]
    truth: NDArray[np.int64]
    redshift: NDArray[np.float32]
    mwebv: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.truth)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of steps of each object, shape (n,)."""
        return np.diff(self.offsets)


@dataclass(frozen=True, slots=True)
class Batch:
    """Objects padded to equal length.

    Attributes
    ----------
    x
        float32, shape (batch, steps, inputs); zeros after an object's last step.
    lengths, truth
        int64, shape (batch,): number of steps, class index.
    metadata
        float32, shape (batch, n_metadata); None for a network without a metadata branch.
    """

    x: torch.Tensor
    lengths: torch.Tensor
    truth: torch.Tensor
    metadata: torch.Tensor | None

    @property
    def mask(self) -> torch.Tensor:
        """True at real steps, False at padding, shape (batch, steps)."""
        return torch.arange(self.x.shape[1], device=self.x.device)[None, :] < self.lengths[:, None]


def encode(curves: LabelledLightCurves, featuriser: Featuriser, classes: tuple[str, ...]) -> Encoded:
    """Return the features of all objects.

    Parameters
    ----------
    curves
        Labels must be class names already.
    featuriser
        Turns observations into steps.
    classes
        Names of the network's outputs, in order.
    """
    batch = featuriser.encode(curves.observations, curves.offsets)
    truth = class_index(curves.label, classes)
    return Encoded(batch.x, batch.offsets, truth, curves.redshift, curves.mwebv)


def batches_of_like_length(
    lengths: NDArray[np.int64], batch_size: int, generator: np.random.Generator | None = None
) -> Iterator[NDArray[np.int64]]:
    """Group objects of similar length, to keep padding short; objects without steps are left out.

    Parameters
    ----------
    lengths
        Shape (n,), number of steps of each object.
    batch_size
        Largest number of objects in a batch.
    generator
        Shuffles the batches; None: in order of length, for prediction.

    Yields
    ------
    ndarray, int64
        Indices of the objects of one batch.
    """
    jitter = generator.random(len(lengths)) * 0.25 if generator is not None else np.zeros(len(lengths))
    # Lengths are blurred by a quarter so that batches differ from epoch to epoch.
    order = np.argsort(np.log1p(lengths) + jitter, kind="stable")
    order = order[lengths[order] > 0]
    starts = np.arange(0, len(order), batch_size)
    if generator is not None:
        starts = generator.permutation(starts)
    for start in starts:
        yield order[start : start + batch_size]


def pad(
    data: Encoded,
    index: NDArray[np.int64],
    max_steps: int,
    metadata: MetadataSpec | None,
    *,
    hide: NDArray[np.bool_] | None = None,
    device: torch.device | str = "cpu",
) -> Batch:
    """Return some objects as one batch, padded with zeros.

    Parameters
    ----------
    data
        All objects.
    index
        Shape (batch,): which of them.
    max_steps
        Later steps are cut off.
    metadata
        The network's metadata branch; None for a network without.
    hide
        bool, shape (batch, 2): treat the redshift, and E(B-V), as unknown.
    device
        Where the tensors are put.
    """
    lengths = np.minimum(data.lengths[index], max_steps)
    x = np.zeros((len(index), int(lengths.max(initial=1)), data.x.shape[1]), dtype=np.float32)
    step = ragged_index(np.zeros(len(index), np.int64), lengths)
    x[np.repeat(np.arange(len(index)), lengths), step] = data.x[ragged_index(data.offsets[index], lengths)]
    encoded_metadata = None
    if metadata is not None:
        values = np.column_stack([data.redshift[index], data.mwebv[index]])
        values = np.where(hide, np.nan, values) if hide is not None else values
        columns = encode_metadata(metadata, values[:, 0], values[:, 1])
        encoded_metadata = torch.from_numpy(columns).to(device)
    return Batch(
        torch.from_numpy(x).to(device),
        torch.from_numpy(lengths).to(device),
        torch.from_numpy(data.truth[index]).to(device),
        encoded_metadata,
    )
