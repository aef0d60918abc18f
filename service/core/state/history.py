"""The classifications of one object, oldest first, kept in their stored form."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

from service.core.classification import Classification, ClassificationBatch, Reason

__all__ = ["ENTRY_COLUMNS", "History", "entry_dtype", "packed_entries"]

ENTRY_COLUMNS = np.dtype(
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

_STRUCT = struct.Struct("<QdqQIIHBB")  # the same fields; packs one entry in a tenth of NumPy's time
_N_CLASSES_AT, _REASON_AT = 40, 42  # their offsets
_SHARED_COLUMNS = [name for name in ENTRY_COLUMNS.names or () if name not in {"n_classes", "reserved"}]


@lru_cache
def entry_dtype(width: int) -> np.dtype[np.void]:
    """Return the dtype of a stored classification with room for `width` classes.

    All entries of one object have the width of its widest, so that an alert is found by one comparison of a
    column instead of by reading every entry.

    Parameters
    ----------
    width
        Number of classes.
    """
    columns = [(name, ENTRY_COLUMNS[name].str) for name in ENTRY_COLUMNS.names or ()]
    vectors = [("raw_probability", "<f4", (width,)), ("probability", "<f4", (width,))]
    return np.dtype([*columns, *vectors])


class History(Sequence[Classification]):
    """Classifications in order of processing; immutable, and decoded only on access.

    Reads as a tuple of `Classification`. It is kept as its stored bytes: a worker reads some 10,000 of them
    a second from the store, adds an entry to each, and writes them back.

    Parameters
    ----------
    entries
        Shape (n,), of `entry_dtype`.
    """

    __slots__ = ("packed", "width")

    packed: bytes
    """The entries, concatenated."""

    width: int
    """Classes that each entry has room for."""

    def __init__(self, entries: NDArray[np.void] | None = None) -> None:
        self.packed = b"" if entries is None else entries.tobytes()
        self.width = 0 if entries is None else int(entries.dtype["probability"].shape[0])

    @classmethod
    def of(cls, classifications: Iterable[Classification]) -> Self:
        """Return a history of the given classifications.

        Parameters
        ----------
        classifications
            Oldest first.
        """
        items = tuple(classifications)
        width = max((len(item.probability) for item in items), default=0)
        return cls.of_packed(b"".join(_pack(item, width) for item in items), width)

    @classmethod
    def of_packed(cls, packed: bytes, width: int) -> Self:
        """Return a history of entries in their stored form.

        Parameters
        ----------
        packed
            Entries of `entry_dtype`, concatenated.
        width
            Classes that each has room for.
        """
        history = cls()
        if packed:
            history.packed, history.width = packed, width
        return history

    @property
    def entries(self) -> NDArray[np.void]:
        """Shape (n,), of `entry_dtype`; read-only."""
        return np.frombuffer(self.packed, entry_dtype(self.width))

    @property
    def alert_ids(self) -> NDArray[np.uint64]:
        """Alert of each classification, uint64, shape (n,)."""
        return self.entries["alert_id"]

    def find(self, alert_id: int) -> Classification | None:
        """Return the classification of an alert, the last of several, None where there is none.

        Parameters
        ----------
        alert_id
            candid or diaSourceId.
        """
        pattern, size = alert_id.to_bytes(8, "little"), _entry_size(self.width)
        offset = self.packed.rfind(pattern)
        while offset > 0 and offset % size:  # the same bytes by chance, within an entry
            offset = self.packed.rfind(pattern, 0, offset + len(pattern) - 1)
        return None if offset < 0 else self[offset // size]

    def appended(self, items: Iterable[Classification], *, limit: int) -> Self:
        """Return the history with classifications appended, cut to the latest `limit`.

        Parameters
        ----------
        items
            Oldest first.
        limit
            Classifications to keep.
        """
        added = items if isinstance(items, History) else self.of(items)
        width = max(self.width, added.width)
        return self.of_packed(_widened(self, width) + _widened(added, width), width)[-limit:]

    def with_entry(self, entry: bytes, width: int, *, limit: int) -> Self:
        """Return the history with an entry of `packed_entries` appended, cut to the latest `limit`.

        Parameters
        ----------
        entry, width
            One element of the result of `packed_entries`.
        limit
            Classifications to keep.
        """
        if self.packed and width != self.width:
            return self.appended(self.of_packed(entry, width), limit=limit)
        return self.of_packed((self.packed + entry)[-limit * len(entry) :], width)

    def is_sound(self) -> bool:
        """Return whether each entry has a known reason and no more classes than there is room for."""
        if not self.packed:
            return True
        size = _entry_size(self.width)
        # Slices of bytes are ten times as fast as NumPy for the few entries of one object.
        low, high = self.packed[_N_CLASSES_AT::size], self.packed[_N_CLASSES_AT + 1 :: size]
        n_classes = max(low) if not any(high) else int(self.entries["n_classes"].max())
        return n_classes <= self.width and max(self.packed[_REASON_AT::size]) < len(Reason)

    def __len__(self) -> int:
        return len(self.packed) // _entry_size(self.width)

    def __iter__(self) -> Iterator[Classification]:
        return map(_read, self.entries)

    @overload
    def __getitem__(self, index: int) -> Classification: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> Classification | Self:
        if isinstance(index, slice):
            size = _entry_size(self.width)
            start, stop, step = index.indices(len(self))
            if step == 1:
                return self.of_packed(self.packed[start * size : max(stop, start) * size], self.width)
            return type(self)(self.entries[index])
        return _read(self.entries[index])

    def __repr__(self) -> str:
        return f"History({list(self)!r})"


def packed_entries(results: ClassificationBatch) -> list[tuple[bytes, int]]:
    """Return the stored form of each of n results, as `History.of` would, and its width in classes.

    Parameters
    ----------
    results
        Of n alerts, each of another object.
    """
    n, n_classes = results.probability.shape
    entries = np.zeros(n, entry_dtype(n_classes))
    for name in _SHARED_COLUMNS:
        entries[name] = getattr(results, name)
    entries["n_classes"] = np.where(results.reason == Reason.CLASSIFIED, n_classes, 0)
    entries["raw_probability"], entries["probability"] = results.raw_probability, results.probability
    packed, size, empty_size = entries.tobytes(), entries.itemsize, ENTRY_COLUMNS.itemsize
    is_empty = (entries["n_classes"] == 0).tolist()
    return [
        (packed[start : start + empty_size], 0) if empty else (packed[start : start + size], n_classes)
        for start, empty in zip(range(0, n * size, size), is_empty, strict=True)
    ]


def _entry_size(width: int) -> int:
    """Return the size of an entry of `entry_dtype` in bytes."""
    return ENTRY_COLUMNS.itemsize + 8 * width


def _pack(item: Classification, width: int) -> bytes:
    """Return the bytes of one entry of `entry_dtype`."""
    n_classes = len(item.probability)
    if len(item.raw_probability) != n_classes:
        raise ValueError(f"{len(item.raw_probability)} raw but {n_classes} calibrated probabilities")
    columns = _STRUCT.pack(
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
    return b"".join((columns, raw.tobytes(), padding, calibrated.tobytes(), padding))


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


def _widened(history: History, width: int) -> bytes:
    """Return the entries with room for `width` classes in each."""
    if history.width == width or not history.packed:
        return history.packed
    if history.width == 0:
        size, room = ENTRY_COLUMNS.itemsize, bytes(8 * width)
        starts = range(0, len(history.packed), size)
        return b"".join([history.packed[start : start + size] + room for start in starts])
    wide = np.zeros(len(history), entry_dtype(width))
    for name in ENTRY_COLUMNS.names or ():
        wide[name] = history.entries[name]
    for name in ("raw_probability", "probability"):
        wide[name][:, : history.width] = history.entries[name]
    return wide.tobytes()
