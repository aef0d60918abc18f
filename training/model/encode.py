"""Light curves as the network's training input, through the service's own featuriser."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from service.core.features import Featuriser
from service.core.network import MetadataSpec, encode_metadata
from training.data.labels import class_index
from training.data.light_curves import LightCurves, ragged_index

__all__ = ["Batch", "Encoded", "batches_of_like_length", "encode", "pad"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Objects as the network reads them.

    Attributes
    ----------
    x, offsets
        Features of all steps, float32 (steps, n_inputs), and int64 (n + 1,) as in `FeatureBatch`.
    truth
        int64, shape (n,), class index, -1 where unknown.
    redshift, mwebv
        float32, shape (n,), NaN where unknown.
    """

    x: NDArray[np.float32]
    offsets: NDArray[np.int64]
    truth: NDArray[np.int64]
    redshift: NDArray[np.float32]
    mwebv: NDArray[np.float32]

    def __len__(self) -> int:
        """Count the objects."""
        return len(self.truth)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each object, shape (n,)."""
        return np.diff(self.offsets)


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded objects: `x` (batch, steps, inputs), `lengths` and `truth` (batch,), `metadata` or None."""

    x: torch.Tensor
    lengths: torch.Tensor
    truth: torch.Tensor
    metadata: torch.Tensor | None

    @property
    def mask(self) -> torch.Tensor:
        """True at real steps, shape (batch, steps)."""
        return torch.arange(self.x.shape[1], device=self.x.device)[None, :] < self.lengths[:, None]


def encode(curves: LightCurves, featuriser: Featuriser, classes: tuple[str, ...]) -> Encoded:
    """Featurise every object; labels must be class names already."""
    batch = featuriser.encode(curves.observations, curves.offsets)
    truth = class_index(curves.label, classes)
    return Encoded(batch.x, batch.offsets, truth, curves.redshift, curves.mwebv)


def batches_of_like_length(
    lengths: NDArray[np.int64], batch_size: int, generator: np.random.Generator | None = None
) -> Iterator[NDArray[np.int64]]:
    """Deal objects with steps into batches, similar lengths together, batches in random order.

    With no generator the order is by length, for prediction.
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
    data: Encoded, index: NDArray[np.int64], *, max_steps: int, metadata: MetadataSpec | None,
    hide: NDArray[np.bool_] | None = None, device: torch.device | str = "cpu",
) -> Batch:  # fmt: skip
    """Put the chosen objects side by side, zeros after their ends.

    Parameters
    ----------
    max_steps
        Later steps are cut off.
    metadata
        The network's branch, or None for a network without.
    hide
        bool, shape (len(index), 2): treat redshift, and E(B-V), as unknown.
    """
    lengths = np.minimum(data.lengths[index], max_steps)
    x = np.zeros((len(index), int(lengths.max(initial=1)), data.x.shape[1]), dtype=np.float32)
    place = ragged_index(np.zeros(len(index), np.int64), lengths)
    x[np.repeat(np.arange(len(index)), lengths), place] = data.x[ragged_index(data.offsets[index], lengths)]
    extra = None
    if metadata is not None:
        known = np.column_stack([data.redshift[index], data.mwebv[index]])
        known = np.where(hide, np.nan, known) if hide is not None else known
        columns = encode_metadata(metadata, known[:, 0], known[:, 1])
        extra = torch.from_numpy(columns).to(device)
    return Batch(
        torch.from_numpy(x).to(device),
        torch.from_numpy(lengths).to(device),
        torch.from_numpy(data.truth[index]).to(device),
        extra,
    )
