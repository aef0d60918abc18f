"""One object while a batch is processed: its state, and what is to be written of it."""

import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.core.ports.store import StateWrite
from service.core.state.object_state import (
    NO_ARCHIVED_ROWS,
    ArchivedRows,
    ObjectState,
    encode_recent,
    encode_state,
)

__all__ = ["ObjectUpdate"]


@dataclass(slots=True)
class ObjectUpdate:
    """One object while a batch is processed.

    Attributes
    ----------
    key
        Its key in the store.
    alerts
        Indices of its alerts in the batch, in order of arrival.
    blob
        The value that was read, None where there was none.
    counter
        Compare-and-set counter of the value to be written.
    state
        As of the alerts processed so far.
    changed
        Whether `state` is to be written.
    is_repeat
        Whether the current alert already has a result; it then gets no second history entry.
    keeps_archived
        Whether the stored archived rows stay as they are, apart from what is appended to them.
    newly_archived
        Rows to be appended to them.
    """

    key: str
    alerts: list[int]
    blob: bytes | None
    counter: int
    state: ObjectState
    changed: bool = False
    is_repeat: bool = False
    keeps_archived: bool = True
    newly_archived: bytes = b""

    def write(self, summary: bytes) -> StateWrite:
        """Return what is to be stored.

        Parameters
        ----------
        summary
            Stored form of the object's summary, `service.core.state.summary`.
        """
        if self.state.has_all_rows and not self.keeps_archived:
            return StateWrite(self.key, encode_state(self.state), self.blob, summary)
        return StateWrite(self.key, encode_recent(self.state), self.blob, summary, self.newly_archived)

    def apply(self, state: ObjectState, first_changed: int) -> None:
        """Set the state after one more alert.

        Parameters
        ----------
        state
            The new state, with the archived rows of the previous one.
        first_changed
            First row of the light curve that changed, as in `MergedLightCurve`.
        """
        previous, self.state, self.changed = self.state, state, True
        n_archived = previous.archived.n_rows
        if not previous.has_all_rows or not n_archived:
            return
        if first_changed < n_archived or state.model != previous.model:
            self.state = replace(state, archived=NO_ARCHIVED_ROWS)
            self.keeps_archived = False
            return
        rows = state.observations[:n_archived].tobytes()
        if rows != previous.observations[:n_archived].tobytes():  # reported again, with equal values
            self.state = replace(state, archived=replace(state.archived, checksum=zlib.crc32(rows)))
            self.keeps_archived = False

    def archive(self, n_rows: int, checkpoint: NDArray[np.float64], hidden: NDArray[np.float32]) -> None:
        """Archive the oldest recent rows.

        Parameters
        ----------
        n_rows
            How many.
        checkpoint, hidden
            Of `service.core.state.checkpoint` and of the network, after the last of them.
        """
        state, previous = self.state, self.state.archived
        rows = state.recent_rows[:n_rows].tobytes()
        archived = ArchivedRows(
            previous.n_rows + n_rows, zlib.crc32(rows, previous.checksum), checkpoint, hidden
        )
        if state.has_all_rows:
            self.state = replace(state, archived=archived)
            self.keeps_archived = False
        else:
            self.state = replace(state, archived=archived, observations=state.observations[n_rows:])
            self.newly_archived += rows
