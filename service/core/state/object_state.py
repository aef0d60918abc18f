"""The state of one object, and its stored form, whose layout is in `service.core.state.layout`.

The oldest rows of a long light curve are *archived*: the store keeps them in a value of their own, and an
alert that brings only later rows is processed without them. So the cost of an alert does not grow with the
history of its object.
"""

import math
import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import OBSERVATION, Observations
from service.core.state.checkpoint import CHECKPOINT_SIZE, END_MJD_TAI, initial_checkpoints
from service.core.state.history import History
from service.core.state.layout import (
    CHECKED_FROM,
    CHECKPOINT,
    COUNTER_OFFSET,
    FORMAT_VERSION,
    HEADER,
    MAGIC,
    part_sizes,
    recent_length,
)
from service.errors import ServiceError

__all__ = [
    "EMPTY_STATE",
    "NO_ARCHIVED_ROWS",
    "ArchivedRows",
    "ObjectState",
    "StateError",
    "decode_recent",
    "decode_state",
    "encode_recent",
    "encode_state",
]


_FLOAT = np.dtype("<f4")


class StateError(ServiceError):
    """A stored value is not the state of an object; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class ArchivedRows:
    """What is known of the archived rows of a light curve without reading them.

    Attributes
    ----------
    n_rows
        Their number.
    checksum
        CRC-32 of their bytes.
    checkpoint
        float64, `service.core.state.checkpoint`, for the features of the state's model.
    hidden
        float32: that model's hidden state after the last of them.
    """

    n_rows: int
    checksum: int
    checkpoint: NDArray[np.float64]
    hidden: NDArray[np.float32]

    @property
    def end_mjd_tai(self) -> float:
        """Time of the last of them; every other row of the object is later."""
        return float(self.checkpoint[END_MJD_TAI])


NO_ARCHIVED_ROWS = ArchivedRows(0, 0, initial_checkpoints(1)[0], np.empty(0, np.float32))


@dataclass(slots=True, eq=False)
class ObjectState:
    """What the service stores of one object. Survey and object id are its key in the store.

    Never changed in place, only replaced; a frozen dataclass would cost 2 us for each of an alert's two.

    Attributes
    ----------
    counter
        Number of times the object was written; 0 for an object that is not stored.
    model
        Digest of the bundle whose network computed `hidden`; 0 for none.
    hidden_step
        Steps of the feature sequence that `hidden` has seen.
    hidden
        float32, flat; empty for none. May be read-only.
    ra_deg, dec_deg
        Of the latest alert, ICRS degrees.
    last_alert_mjd_tai
        Time of the latest alert, days.
    redshift, redshift_err, mwebv
        The latest values that a packet carried; NaN for none.
    observations
        `OBSERVATION`, canonical (`service.core.lightcurve.merge`). May be read-only.
    history
        Classifications in order of processing, oldest first.
    archived
        The archived rows.
    has_all_rows
        Whether `observations` includes the archived rows; otherwise it has only the recent ones.
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
    archived: ArchivedRows = NO_ARCHIVED_ROWS
    has_all_rows: bool = True

    @property
    def recent_rows(self) -> Observations:
        """The rows after the archived ones."""
        return self.observations[self.archived.n_rows :] if self.has_all_rows else self.observations


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
"""An object that is not stored."""


def encode_state(state: ObjectState) -> bytes:
    """Return the stored form of a state with all its rows.

    Parameters
    ----------
    state
        With all its rows.

    Raises
    ------
    ValueError
        An array has another dtype or shape than `ObjectState` names, or the archived rows are missing.
    """
    if not state.has_all_rows:
        raise ValueError("the archived rows were not read")
    recent, archived = encode_recent(state), state.observations[: state.archived.n_rows]
    return recent + archived.tobytes() if len(archived) else recent


def encode_recent(state: ObjectState) -> bytes:
    """Return the stored form of a state without the archived rows, which are stored already.

    Parameters
    ----------
    state
        With or without its archived rows.

    Raises
    ------
    ValueError
        As `encode_state`.
    """
    rows, archived = state.recent_rows, state.archived
    _require_vector("hidden", state.hidden, _FLOAT)
    _require_vector("observations", rows, OBSERVATION)
    if archived.n_rows and len(archived.hidden) != len(state.hidden):
        raise ValueError(f"hidden states of {len(archived.hidden)} and {len(state.hidden)} values")
    header = HEADER.pack(
        MAGIC,
        0,
        state.counter,
        FORMAT_VERSION,
        state.history.width,
        state.model,
        state.hidden_step,
        len(state.hidden),
        len(rows),
        len(state.history),
        archived.n_rows,
        archived.checksum,
        state.ra_deg,
        state.dec_deg,
        state.last_alert_mjd_tai,
        state.redshift,
        state.redshift_err,
        state.mwebv,
    )
    checkpoint = archived.checkpoint.tobytes() + archived.hidden.tobytes() if archived.n_rows else b""
    parts = header[CHECKED_FROM:], state.hidden.tobytes(), rows.tobytes(), checkpoint, state.history.packed
    checked = b"".join(parts)
    checksum = zlib.crc32(checked).to_bytes(4, "little")
    return b"".join((MAGIC, checksum, header[COUNTER_OFFSET:CHECKED_FROM], checked))


def decode_state(blob: bytes) -> ObjectState:
    """Return a stored state with all its rows; its arrays are read-only, and mostly views of `blob`.

    Parameters
    ----------
    blob
        As `encode_state` returns it.

    Raises
    ------
    StateError
        The bytes are not a state, of another format version, damaged, or inconsistent.
    """
    end = recent_length(blob)
    state = decode_recent(blob[:end])
    if not state.archived.n_rows:
        if len(blob) > end:
            raise StateError(f"{len(blob)} bytes where the header says {end}")
        return state
    size = OBSERVATION.itemsize * state.archived.n_rows
    if len(blob) != end + size:
        raise StateError(f"{len(blob) - end} bytes of archived rows where the header says {size}")
    if zlib.crc32(memoryview(blob)[end:]) != state.archived.checksum:
        raise StateError("checksum mismatch: the archived rows are damaged")
    rows = np.frombuffer(blob[end:] + state.observations.tobytes(), OBSERVATION)
    return replace(state, observations=rows, has_all_rows=True)


def decode_recent(blob: bytes) -> ObjectState:
    """Return a stored state without its archived rows, if it has any.

    Parameters
    ----------
    blob
        As `encode_recent` returns it.

    Raises
    ------
    StateError
        As `decode_state`.
    """
    if len(blob) < HEADER.size:
        raise StateError(f"{len(blob)} bytes are fewer than the {HEADER.size} of a header")
    magic, checksum, counter, version, width, model, step, *rest = HEADER.unpack_from(blob)
    n_hidden, n_rows, n_entries, n_archived, archived_checksum, *numbers = rest
    ra_deg, dec_deg, last_mjd_tai, redshift, redshift_err, mwebv = numbers
    if magic != MAGIC:
        raise StateError(f"begins with {magic!r} instead of {MAGIC!r}")
    if version != FORMAT_VERSION:
        raise StateError(f"format version {version}; this program reads {FORMAT_VERSION}")
    if zlib.crc32(memoryview(blob)[CHECKED_FROM:]) != checksum:
        raise StateError("checksum mismatch: the value is damaged")
    sizes = part_sizes(n_hidden, n_rows, n_entries, n_archived, width)
    if HEADER.size + sum(sizes) != len(blob):
        raise StateError(f"{len(blob)} bytes where the header says {HEADER.size + sum(sizes)}")
    rows_at = HEADER.size + sizes[0]
    checkpoint_at = rows_at + sizes[1]
    archived = NO_ARCHIVED_ROWS
    if n_archived:
        checkpoint = np.frombuffer(blob, "<f8", CHECKPOINT_SIZE, checkpoint_at)
        hidden = np.frombuffer(blob, _FLOAT, n_hidden, checkpoint_at + CHECKPOINT.itemsize)
        archived = ArchivedRows(n_archived, archived_checksum, checkpoint, hidden)
    return ObjectState(
        counter=counter,
        model=model,
        hidden_step=step,
        hidden=np.frombuffer(blob, _FLOAT, n_hidden, HEADER.size),
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        last_alert_mjd_tai=last_mjd_tai,
        redshift=redshift,
        redshift_err=redshift_err,
        mwebv=mwebv,
        observations=np.frombuffer(blob, OBSERVATION, n_rows, rows_at),
        history=_decode_history(blob, width, checkpoint_at + sizes[2]),
        archived=archived,
        has_all_rows=not n_archived,
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
