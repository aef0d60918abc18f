"""How the state of one object lies in bytes.

::

    offset  size
         0     4  magic "NJOB"
         4     4  u32  CRC-32 of the head from offset 16 to its end
         8     8  u64  counter of writes, which the store compares and sets
        16     2  u16  format version
        18     2  u16  classes that a stored classification has room for
        20     8  u64  model of the hidden state, 0 for none
        28     4  u32  steps that the hidden state has seen
        32     4  u32  length of the hidden state
        36     4  u32  number of observations in the head
        40     4  u32  number of classifications
        44     4  u32  number of settled observations
        48     4  u32  CRC-32 of the settled observations
        52    24  f64  ra_deg, dec_deg, last_alert_mjd_tai
        76    12  f32  redshift, redshift_err, mwebv
        88        hidden state, f32
                  observations, 30 bytes each, as in `OBSERVATION`
                  where some are settled: checkpoint, f64, and hidden state behind them, f32
                  classifications, oldest first, as in `service.core.state.history`
    here the head ends; it is a value by itself
                  settled observations, the oldest ones

All numbers are little-endian. An object of 20 observations with two hidden layers of 100 and no
classifications takes 88 + 800 + 600 = 1488 bytes. The counter lies outside the checksum and at a place
that no version moves, so that the store can compare it without knowing the rest.
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
"""Where the 8 bytes of the compare-and-set counter lie, in every format version."""

HEADER = struct.Struct("<4sIQ HHQIIIIII 3d3f")
_LENGTHS = struct.Struct("<IIII")  # hidden state, observations, classifications, settled observations
_LENGTHS_AT = 32
_N_ARCHIVED_AT, _NONE = 44, bytes(4)
_VERSION = FORMAT_VERSION.to_bytes(2, "little")
_WIDTH_AT = 18
CHECKPOINT = np.dtype(("<f8", (CHECKPOINT_SIZE,)))
COUNTER = struct.Struct("<Q")
CHECKED_FROM = 16  # what follows the counter


def stored_counter(blob: bytes | None) -> bytes:
    """Give the counter's bytes of a stored value, even one that cannot be decoded; zero for None.

    Fewer than 8 bytes come back where the value ends before them.
    """
    return COUNTER.pack(0) if blob is None else blob[COUNTER_OFFSET : COUNTER_OFFSET + COUNTER.size]


def next_counter(blob: bytes | None) -> int:
    """Give the counter of the value that may replace `blob`."""
    return int.from_bytes(stored_counter(blob), "little") % (2**64 - 1) + 1


def recent_length(blob: bytes) -> int:
    """Give where the head of a stored value ends; the value's length for bytes that are none."""
    if not _is_readable(blob):
        return len(blob)
    n_hidden, n_rows, n_entries, n_settled = _LENGTHS.unpack_from(blob, _LENGTHS_AT)
    width = int.from_bytes(blob[_WIDTH_AT : _WIDTH_AT + 2], "little")
    return HEADER.size + sum(part_sizes(n_hidden, n_rows, n_entries, n_settled, width))


def has_archived_rows(blob: bytes | None) -> bool:
    """Say whether a stored value, or its head, tells of settled rows."""
    # Of nearly all values the first comparison is the only one: it is made of each, twice.
    if blob is None or blob[_N_ARCHIVED_AT : _N_ARCHIVED_AT + 4] == _NONE or not _is_readable(blob):
        return False
    return bool(_LENGTHS.unpack_from(blob, _LENGTHS_AT)[3])


def _is_readable(blob: bytes) -> bool:
    """Say whether a header of this format version is there."""
    return len(blob) >= HEADER.size and blob.startswith(MAGIC) and blob[16:18] == _VERSION


def part_sizes(
    n_hidden: int, n_rows: int, n_entries: int, n_settled: int, width: int
) -> tuple[int, int, int, int]:
    """Give the bytes of hidden state, observations, checkpoint and classifications."""
    return (
        4 * n_hidden,
        OBSERVATION.itemsize * n_rows,
        (CHECKPOINT.itemsize + 4 * n_hidden) * bool(n_settled),
        (ENTRY_COLUMNS.itemsize + 8 * width) * n_entries,
    )
