"""Labelled light curves as columns: what every reader returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.core.alerts import OBSERVATION, Kind, Observations, Survey

__all__ = [
    "Columns",
    "LabelledLightCurves",
    "PhotometryTable",
    "assemble",
    "concatenate",
    "detection_kinds",
    "ragged_index",
]

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class LabelledLightCurves:
    """n light curves with labels; element i of every column is one object.

    Attributes
    ----------
    survey
        Whose passbands the bands are.
    object_id, label, source
        str, shape (n,): name, class as its source spells it (empty where unknown), and data set.
    canonical_id
        str, shape (n,): records with one canonical name are one object (IAU name without prefix).
    redshift, mwebv
        float32, shape (n,), NaN where unknown; E(B-V) of the Milky Way in mag.
    ra_deg, dec_deg
        float64, shape (n,), ICRS degrees, NaN where unknown.
    offsets
        int64, shape (n + 1,): rows ``offsets[i]:offsets[i + 1]`` of `observations` are object i's.
    observations
        `OBSERVATION`, sorted by time within an object.
    """

    survey: Survey
    object_id: NDArray[np.str_]
    label: NDArray[np.str_]
    source: NDArray[np.str_]
    canonical_id: NDArray[np.str_]
    redshift: NDArray[np.float32]
    mwebv: NDArray[np.float32]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    offsets: NDArray[np.int64]
    observations: Observations

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.object_id)

    def rows(self, index: int) -> Observations:
        """Return the observations of object `index`, in order of time.

        Parameters
        ----------
        index
            Of the object.
        """
        return self.observations[self.offsets[index] : self.offsets[index + 1]]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of rows of each object, shape (n,)."""
        return np.diff(self.offsets)

    @property
    def owner(self) -> NDArray[np.int64]:
        """Index of the object that each row belongs to, shape (rows,)."""
        return np.repeat(np.arange(len(self)), self.counts)

    def take(self, index: ArrayLike | slice) -> "LabelledLightCurves":
        """Return some of the objects.

        Parameters
        ----------
        index
            Indices (in the order wanted), a mask of shape (n,), or a slice.
        """
        chosen = np.arange(len(self))[index if isinstance(index, slice) else np.asarray(index)]
        columns: dict[str, Any] = {name: getattr(self, name)[chosen] for name in _PER_OBJECT}
        lengths = self.counts[chosen]
        picked = ragged_index(self.offsets[chosen], lengths)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return replace(self, **columns, offsets=offsets, observations=self.observations[picked])

    def keep_rows(self, keep: NDArray[np.bool_]) -> "LabelledLightCurves":
        """Return the light curves without some rows; objects stay, even if empty.

        Parameters
        ----------
        keep
            Shape (rows,), False for the rows to drop.
        """
        lengths = np.bincount(self.owner[keep], minlength=len(self))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return replace(self, offsets=offsets, observations=self.observations[keep])

    def relabel(self, label: ArrayLike) -> "LabelledLightCurves":
        """Return the light curves with other labels.

        Parameters
        ----------
        label
            str, shape (n,).
        """
        return replace(self, label=np.asarray(label, dtype=np.str_))


_PER_OBJECT = tuple(
    field.name
    for field in fields(LabelledLightCurves)
    if field.name not in ("survey", "offsets", "observations")
)


@dataclass(frozen=True, slots=True)
class PhotometryTable:
    """Photometry of many objects as columns of one length, in any order.

    Attributes
    ----------
    object_id
        str, the object of each row.
    mjd_tai, flux_njy, flux_err_njy
        float64; nJy are AB with zero point 31.4.
    band, kind
        uint8, `Band` and `Kind`.
    """

    object_id: NDArray[np.str_]
    mjd_tai: NDArray[np.float64]
    flux_njy: NDArray[np.float64]
    flux_err_njy: NDArray[np.float64]
    band: NDArray[np.uint8]
    kind: NDArray[np.uint8]


def ragged_index(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the concatenation of ``arange(start, start + length)`` for every pair.

    Parameters
    ----------
    starts, lengths
        Shape (n,).

    Returns
    -------
    ndarray, shape (lengths.sum(),), int64
    """
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    index: NDArray[np.int64] = np.arange(total, dtype=np.int64) + np.repeat(
        starts - (ends - lengths), lengths
    )
    return index


def assemble(survey: Survey, source: str, objects: Columns, rows: PhotometryTable) -> LabelledLightCurves:
    """Join a table of objects and a table of photometry.

    Parameters
    ----------
    survey
        Whose passbands the bands are.
    source
        Name of the data set.
    objects
        Columns of one length: object_id, and where known label, canonical_id, redshift, mwebv, ra_deg,
        dec_deg.
    rows
        Rows of objects that are not listed are left out, as are values that are not finite or have no
        positive error.
    """
    names = np.asarray(objects["object_id"], dtype=np.str_)
    order = np.argsort(names)
    position = np.searchsorted(names[order], rows.object_id).clip(0, max(len(names) - 1, 0))
    owner = order[position] if len(names) else np.zeros(len(rows.object_id), np.int64)
    good = (names[owner] == rows.object_id) & np.isfinite(rows.mjd_tai) & np.isfinite(rows.flux_njy)
    good &= np.isfinite(rows.flux_err_njy) & (rows.flux_err_njy > 0)
    index = np.flatnonzero(good)
    # Ties are ordered by kind and band, as in the tables that the service reads.
    keys = (rows.band[index], rows.kind[index], rows.mjd_tai[index], owner[index])
    index = index[np.lexsort(keys)]
    table = np.zeros(len(index), dtype=OBSERVATION)
    for name in ("mjd_tai", "flux_njy", "flux_err_njy", "band", "kind"):
        table[name] = getattr(rows, name)[index]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner[index], minlength=len(names)))])
    table["source_id"] = np.arange(len(index)) - offsets[owner[index]]
    return LabelledLightCurves(
        survey=survey,
        object_id=names,
        label=_text(objects, "label", len(names)),
        source=np.full(len(names), source),
        canonical_id=_text(objects, "canonical_id", len(names)) if "canonical_id" in objects else names,
        redshift=_number(objects, "redshift", len(names)).astype(np.float32),
        mwebv=_number(objects, "mwebv", len(names)).astype(np.float32),
        ra_deg=_number(objects, "ra_deg", len(names)),
        dec_deg=_number(objects, "dec_deg", len(names)),
        offsets=offsets.astype(np.int64),
        observations=table,
    )


def concatenate(sets: Sequence[LabelledLightCurves]) -> LabelledLightCurves:
    """Return several sets of one survey as one.

    Parameters
    ----------
    sets
        At least one.

    Raises
    ------
    ValueError
        They are of different surveys.
    """
    if len({part.survey for part in sets}) != 1:
        raise ValueError("sets of different surveys have different passbands and cannot be concatenated")
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in sets]) for name in _PER_OBJECT
    }
    lengths = np.concatenate([part.counts for part in sets])
    return LabelledLightCurves(
        survey=sets[0].survey,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        observations=np.concatenate([part.observations for part in sets]),
        **columns,
    )


def detection_kinds(detected: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return `Kind.DETECTION` where `detected` is true, `Kind.FORCED` elsewhere, uint8, shape (rows,).

    Parameters
    ----------
    detected
        Shape (rows,).
    """
    return np.where(detected, Kind.DETECTION, Kind.FORCED).astype(np.uint8)


def _text(objects: Columns, name: str, length: int) -> NDArray[np.str_]:
    return np.asarray(objects[name], dtype=np.str_) if name in objects else np.full(length, "")


def _number(objects: Columns, name: str, length: int) -> NDArray[np.float64]:
    return np.asarray(objects[name], dtype=np.float64) if name in objects else np.full(length, np.nan)
