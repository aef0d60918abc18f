"""The state of one object as a single binary value.

::

    offset  size
         0     4  magic "NJOB"
         4     4  u32  CRC-32 of all bytes from offset 16
         8     8  u64  counter of writes, which the store compares and sets
        16     2  u16  format version
        18     2  u16  classes that a stored classification has room for
        20     8  u64  model of the hidden state, 0 for none
        28     4  u32  steps that the hidden state has seen
        32     4  u32  length of the hidden state
        36     4  u32  number of observations
        40     4  u32  number of classifications
        44    24  f64  ra_deg, dec_deg, last_alert_mjd_tai
        68    12  f32  redshift, redshift_err, mwebv
        80        hidden state, f32
                  observations, 30 bytes each, as in `OBSERVATION`
                  classifications, oldest first, as in `service.core.history`

All numbers are little-endian. An object of 20 observations with two hidden layers of 100 and no
classifications takes 80 + 800 + 600 = 1480 bytes. The counter lies outside the checksum and at a place
that no version moves, so that the store can compare it without knowing the rest.
"""

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, Observations
from service.core.history import ENTRY_HEAD, History
from service.errors import ServiceError

__all__ = [
    "COUNTER_OFFSET",
    "EMPTY_STATE",
    "ObjectState",
    "StateError",
    "decode_state",
    "encode_state",
    "next_counter",
    "stored_counter",
]

MAGIC = b"NJOB"
FORMAT_VERSION = 1

COUNTER_OFFSET = 8
"""Where the 8 bytes of the compare-and-set counter lie, in every format version."""

_HEADER = struct.Struct("<4sIQ HHQIIII 3d3f")
_COUNTER = struct.Struct("<Q")
_CHECKED_FROM = 16  # what follows the counter


class StateError(ServiceError):
    """A stored value is not the state of an object; the message names what is wrong with it."""


@dataclass(frozen=True, slots=True, eq=False)
class ObjectState:
    """What the service remembers of one object. Survey and object id are its key in the store.

    Attributes
    ----------
    counter
        How often this object was written; 0 for an object that is not stored.
    model
        Digest of the bundle whose network gave `hidden`; 0 for none.
    hidden_step
        Steps of the feature sequence that `hidden` has seen.
    hidden
        float32, flat; empty for none. May be read-only.
    ra_deg, dec_deg
        Of the latest alert, ICRS degrees.
    last_alert_mjd_tai
        Time of the latest alert, days.
    redshift, redshift_err, mwebv
        The latest context a packet gave; NaN for none.
    observations
        `OBSERVATION`, canonical (`service.core.lightcurve`). May be read-only.
    history
        Classifications in order of processing, oldest first.
    """

    counter: int
    model: int
    hidden_step: int
    hidden: NDArray[np.float32]
    ra_deg: float
    dec_deg: float
    last_alert_mjd_tai: float
    redshift: float
    redshift_err: float
    mwebv: float
    observations: Observations
    history: History


EMPTY_STATE = ObjectState(
    counter=0,
    model=0,
    hidden_step=0,
    hidden=np.empty(0, np.float32),
    ra_deg=math.nan,
    dec_deg=math.nan,
    last_alert_mjd_tai=math.nan,
    redshift=math.nan,
    redshift_err=math.nan,
    mwebv=math.nan,
    observations=np.empty(0, OBSERVATION),
    history=History(),
)
"""An object that the store does not know."""


def stored_counter(blob: bytes | None) -> bytes:
    """Give the counter's bytes of a stored value, even one that cannot be decoded; zero for None.

    Fewer than 8 bytes come back where the value ends before them.
    """
    return _COUNTER.pack(0) if blob is None else blob[COUNTER_OFFSET : COUNTER_OFFSET + _COUNTER.size]


def next_counter(blob: bytes | None) -> int:
    """Give the counter of the value that may replace `blob`."""
    return int.from_bytes(stored_counter(blob), "little") % (2**64 - 1) + 1


def encode_state(state: ObjectState) -> bytes:
    """Give the stored form of a state.

    Raises
    ------
    ValueError
        An array has not the type or the shape that `ObjectState` names.
    """
    _require_vector("hidden", state.hidden, np.dtype("<f4"))
    _require_vector("observations", state.observations, OBSERVATION)
    header = _HEADER.pack(
        MAGIC,
        0,
        state.counter,
        FORMAT_VERSION,
        state.history.width,
        state.model,
        state.hidden_step,
        len(state.hidden),
        len(state.observations),
        len(state.history),
        state.ra_deg,
        state.dec_deg,
        state.last_alert_mjd_tai,
        state.redshift,
        state.redshift_err,
        state.mwebv,
    )
    # The arrays are read where they are: of a long light curve this makes one copy.
    parts = (
        header[_CHECKED_FROM:],
        *map(_bytes_of, (state.hidden, state.observations)),
        state.history.packed,
    )
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return b"".join((MAGIC, checksum.to_bytes(4, "little"), _COUNTER.pack(state.counter), *parts))


def _bytes_of(array: NDArray[np.generic]) -> Any:
    """Give the bytes of an array without copying them."""
    return np.ascontiguousarray(array).data


def decode_state(blob: bytes) -> ObjectState:
    """Read a stored state; its arrays are read-only views of `blob`.

    Raises
    ------
    StateError
        The bytes are no state, of another format version, damaged, or do not add up.
    """
    if len(blob) < _HEADER.size:
        raise StateError(f"{len(blob)} bytes are fewer than the {_HEADER.size} of a header")
    magic, checksum, counter, version, width, model, step, *rest = _HEADER.unpack_from(blob)
    n_hidden, n_rows, n_entries, ra_deg, dec_deg, last_mjd_tai, redshift, redshift_err, mwebv = rest
    if magic != MAGIC:
        raise StateError(f"begins with {magic!r} instead of {MAGIC!r}")
    if version != FORMAT_VERSION:
        raise StateError(f"format version {version}; this program reads {FORMAT_VERSION}")
    if zlib.crc32(memoryview(blob)[_CHECKED_FROM:]) != checksum:
        raise StateError("checksum does not fit: the value is damaged")
    sizes = 4 * n_hidden, OBSERVATION.itemsize * n_rows, (ENTRY_HEAD.itemsize + 8 * width) * n_entries
    if _HEADER.size + sum(sizes) != len(blob):
        raise StateError(f"{len(blob)} bytes where the header tells of {_HEADER.size + sum(sizes)}")
    rows_at = _HEADER.size + sizes[0]
    return ObjectState(
        counter=counter,
        model=model,
        hidden_step=step,
        hidden=np.frombuffer(blob, "<f4", n_hidden, _HEADER.size),
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        last_alert_mjd_tai=last_mjd_tai,
        redshift=redshift,
        redshift_err=redshift_err,
        mwebv=mwebv,
        observations=np.frombuffer(blob, OBSERVATION, n_rows, rows_at),
        history=_decode_history(blob, width, rows_at + sizes[1]),
    )


def _decode_history(blob: bytes, width: int, offset: int) -> History:
    history = History.of_packed(blob[offset:], width)
    if history.is_sound():
        return history
    reason, n_classes = (int(history.entries[name].max()) for name in ("reason", "n_classes"))
    if n_classes > width:
        raise StateError(f"a classification has {n_classes} classes in room for {width}")
    raise StateError(f"a classification has the unknown reason {reason}")


def _require_vector(name: str, array: NDArray[np.generic], dtype: np.dtype[np.generic]) -> None:
    if array.ndim != 1 or array.dtype != dtype:
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, not {dtype} of one dimension")
