"""Byte layout of the stored state of one object.

::

    offset  size
         0     4  magic "NJOB"
         4     4  u32  CRC-32 of offset 16 to the end of the classifications
         8     8  u64  counter of writes, which the store compares and sets
        16     2  u16  format version
        18     2  u16  classes that a stored classification has room for
        20     8  u64  model of the hidden state, 0 for none
        28     4  u32  steps that the hidden state has seen
        32     4  u32  length of the hidden state
        36     4  u32  number of recent observations
        40     4  u32  number of classifications
        44     4  u32  number of archived observations
        48     4  u32  CRC-32 of the archived observations
        52    24  f64  ra_deg, dec_deg, last_alert_mjd_tai
        76    12  f32  redshift, redshift_err, mwebv
        88        hidden state, f32
                  recent observations, 30 bytes each, as in `OBSERVATION`
                  where some are archived: checkpoint, f64, and hidden state after them, f32
                  classifications, oldest first, as in `service.core.state.history`
    up to here it is a value by itself, without the archived rows
                  archived observations, the oldest ones

All numbers are little-endian. An object of 20 observations with two hidden layers of 100 and no
classifications takes 88 + 800 + 600 = 1488 bytes. The counter is outside the checksum and at an
offset that no version changes, so that the store can compare it without knowing the rest.
"""

import struct

import numpy as np

from service.core.alerts import OBSERVATION
from service.core.state.checkpoint import CHECKPOINT_SIZE
from service.core.state.history import ENTRY_COLUMNS

__all__ = [
    "CHECKED_FROM",
    "CHECKPOINT",
    "COUNTER",
    "COUNTER_OFFSET",
    "FORMAT_VERSION",
    "HEADER",
    "MAGIC",
    "has_archived_rows",
    "next_counter",
    "part_sizes",
    "recent_length",
    "stored_counter",
]  # fmt: skip

MAGIC = b"NJOB"
FORMAT_VERSION = 2

COUNTER_OFFSET = 8
"""Offset of the 8 bytes of the compare-and-set counter, in every format version."""

HEADER = struct.Struct("<4sIQ HHQIIIIII 3d3f")
_LENGTHS = struct.Struct("<IIII")  # hidden state, recent observations, classifications, archived observations
_LENGTHS_AT = 32
_N_ARCHIVED_AT, _NONE = 44, bytes(4)
_VERSION = FORMAT_VERSION.to_bytes(2, "little")
_WIDTH_AT = 18
CHECKPOINT = np.dtype(("<f8", (CHECKPOINT_SIZE,)))
COUNTER = struct.Struct("<Q")
CHECKED_FROM = 16  # after the counter


def stored_counter(blob: bytes | None) -> bytes:
    """Return the counter's bytes of a stored value, even one that cannot be decoded; zero for None.

    Fewer than 8 bytes are returned where the value ends before them.

    Parameters
    ----------
    blob
        A stored value; None where there is none.
    """
    return COUNTER.pack(0) if blob is None else blob[COUNTER_OFFSET : COUNTER_OFFSET + COUNTER.size]


def next_counter(blob: bytes | None) -> int:
    """Return the counter of the value that may replace `blob`.

    Parameters
    ----------
    blob
        A stored value; None where there is none.
    """
    return int.from_bytes(stored_counter(blob), "little") % (2**64 - 1) + 1


def recent_length(blob: bytes) -> int:
    """Return where the part without archived rows ends; the whole length of bytes that are not a state.

    Parameters
    ----------
    blob
        A stored value, with or without its archived rows.
    """
    if not _is_readable(blob):
        return len(blob)
    n_hidden, n_rows, n_entries, n_archived = _LENGTHS.unpack_from(blob, _LENGTHS_AT)
    width = int.from_bytes(blob[_WIDTH_AT : _WIDTH_AT + 2], "little")
    return HEADER.size + sum(part_sizes(n_hidden, n_rows, n_entries, n_archived, width))


def has_archived_rows(blob: bytes | None) -> bool:
    """Return whether the object of a stored value has archived rows.

    Parameters
    ----------
    blob
        A stored value, with or without these rows; None where there is none.
    """
    # The first comparison decides for nearly all values: it is made twice for each of them.
    if blob is None or blob[_N_ARCHIVED_AT : _N_ARCHIVED_AT + 4] == _NONE or not _is_readable(blob):
        return False
    return bool(_LENGTHS.unpack_from(blob, _LENGTHS_AT)[3])


def _is_readable(blob: bytes) -> bool:
    """Return whether there is a header of this format version."""
    return len(blob) >= HEADER.size and blob.startswith(MAGIC) and blob[16:18] == _VERSION


def part_sizes(
    n_hidden: int, n_rows: int, n_entries: int, n_archived: int, width: int
) -> tuple[int, int, int, int]:
    """Return the sizes in bytes of hidden state, recent observations, checkpoint and classifications.

    Parameters
    ----------
    n_hidden, n_rows, n_entries, n_archived
        Numbers of hidden values, recent observations, classifications and archived observations.
    width
        Classes that each classification has room for.
    """
    return (
        4 * n_hidden,
        OBSERVATION.itemsize * n_rows,
        (CHECKPOINT.itemsize + 4 * n_hidden) * bool(n_archived),
        (ENTRY_COLUMNS.itemsize + 8 * width) * n_entries,
    )
