"""The classifications of one object, oldest first, kept in the form in which they are stored."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

from service.core.classification import Classification, Reason

__all__ = ["ENTRY_HEAD", "History", "entry_dtype"]

ENTRY_HEAD = np.dtype(
    [
        ("alert_id", "<u8"),
        ("mjd_tai", "<f8"),  # days, of the alert
        ("classified_at_ms", "<i8"),  # Unix time
        ("model", "<u8"),  # first 8 bytes of the bundle's digest
        ("n_detections", "<u4"),
        ("n_observations", "<u4"),
        ("n_classes", "<u2"),  # 0 for an abstention
        ("reason", "u1"),  # Reason
        ("reserved", "u1"),  # 0
    ]
)
"""What precedes the probabilities of one stored classification: 44 bytes, packed, little-endian."""

_HEAD = struct.Struct("<QdqQIIHBB")  # the same fields; packing one entry by it costs a tenth of NumPy's


@lru_cache
def entry_dtype(width: int) -> np.dtype[np.void]:
    """Give the stored form of a classification with room for `width` classes.

    All entries of one object have the width of its widest, so that an alert is found among them by one
    comparison of a column instead of by reading every entry.
    """
    head = [(name, ENTRY_HEAD[name].str) for name in ENTRY_HEAD.names or ()]
    vectors = [("raw_probability", "<f4", (width,)), ("probability", "<f4", (width,))]
    return np.dtype([*head, *vectors])


class History(Sequence[Classification]):
    """Classifications in order of processing; immutable, and read only where asked.

    Reads as a tuple of `Classification`.

    Parameters
    ----------
    entries
        Shape (n,), of `entry_dtype`.
    """

    __slots__ = ("entries",)

    def __init__(self, entries: NDArray[np.void] | None = None) -> None:
        self.entries = np.empty(0, entry_dtype(0)) if entries is None else entries

    @classmethod
    def of(cls, classifications: Iterable[Classification]) -> Self:
        """Store classifications given one by one."""
        items = tuple(classifications)
        width = max((len(item.probability) for item in items), default=0)
        return cls._of_bytes(b"".join(_pack(item, width) for item in items), width)

    @classmethod
    def _of_bytes(cls, packed: bytes, width: int) -> Self:
        # NumPy joins arrays of records field by field; bytes are joined ten times as fast.
        return cls(np.frombuffer(packed, entry_dtype(width))) if packed else cls()

    @property
    def width(self) -> int:
        """Classes that each entry has room for."""
        return int(self.entries.dtype["probability"].shape[0])

    @property
    def alert_ids(self) -> NDArray[np.uint64]:
        """Alert of each classification, uint64, shape (n,)."""
        return self.entries["alert_id"]

    def find(self, alert_id: int) -> Classification | None:
        """Give the classification of one alert, the last where there are several."""
        matches = np.flatnonzero(self.alert_ids == np.uint64(alert_id))
        return self[int(matches[-1])] if len(matches) else None

    def appended(self, items: Iterable[Classification], *, limit: int) -> Self:
        """Add classifications at the end and drop the oldest beyond `limit`."""
        added = items if isinstance(items, History) else self.of(items)
        width = max(self.width, added.width)
        joined = self._of_bytes(_widened(self, width).tobytes() + _widened(added, width).tobytes(), width)
        return joined[-limit:]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Classification]:
        return map(_read, self.entries)

    @overload
    def __getitem__(self, index: int) -> Classification: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> Classification | Self:
        if isinstance(index, slice):
            return type(self)(self.entries[index])
        return _read(self.entries[index])

    def __repr__(self) -> str:
        return f"History({list(self)!r})"


def _pack(item: Classification, width: int) -> bytes:
    """Give the bytes of one entry of `entry_dtype`."""
    n_classes = len(item.probability)
    if len(item.raw_probability) != n_classes:
        raise ValueError(f"{len(item.raw_probability)} raw but {n_classes} calibrated probabilities")
    head = _HEAD.pack(
        item.alert_id,
        item.mjd_tai,
        item.classified_at_ms,
        item.model,
        item.n_detections,
        item.n_observations,
        n_classes,
        item.reason,
        0,
    )
    raw, calibrated = item.raw_probability.astype("<f4"), item.probability.astype("<f4")
    padding = bytes(4 * (width - n_classes))
    return b"".join((head, raw.tobytes(), padding, calibrated.tobytes(), padding))


def _read(entry: np.void) -> Classification:
    n_classes = int(entry["n_classes"])
    return Classification(
        alert_id=int(entry["alert_id"]),
        mjd_tai=float(entry["mjd_tai"]),
        classified_at_ms=int(entry["classified_at_ms"]),
        n_detections=int(entry["n_detections"]),
        n_observations=int(entry["n_observations"]),
        reason=Reason(int(entry["reason"])),
        model=int(entry["model"]),
        # Copies: a classification must not keep a whole stored value alive.
        raw_probability=np.array(entry["raw_probability"][:n_classes], np.float32),
        probability=np.array(entry["probability"][:n_classes], np.float32),
    )


def _widened(history: History, width: int) -> NDArray[np.void]:
    """Give the entries with room for `width` classes in each."""
    if history.width == width:
        return history.entries
    wide = np.zeros(len(history), entry_dtype(width))
    for name in ENTRY_HEAD.names or ():
        wide[name] = history.entries[name]
    for name in ("raw_probability", "probability"):
        wide[name][:, : history.width] = history.entries[name]
    return wide
