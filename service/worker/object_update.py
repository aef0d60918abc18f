"""One object while a batch is processed, and what becomes of its settled rows."""

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
        Counter of the value to be written.
    state
        As of the alerts processed so far.
    changed
        Whether `state` is to be written.
    repeats
        Whether the alert in hand was answered before; its result is then not remembered again.
    keeps_settled
        Whether the stored settled rows stay as they are, apart from what is added to them.
    newly_settled
        Rows to be added to them.
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
        """Give what is to be stored."""
        if self.state.has_all_rows and not self.keeps_archived:
            return StateWrite(self.key, encode_state(self.state), self.blob, summary)
        return StateWrite(self.key, encode_recent(self.state), self.blob, summary, self.newly_archived)

    def apply(self, state: ObjectState, first_changed: int) -> None:
        """Take the state after one more alert.

        Parameters
        ----------
        state
            With the settled rows of the state before.
        first_changed
            As in `MergedLightCurve`.
        """
        before, self.state, self.changed = self.state, state, True
        n_settled = before.archived.n_rows
        if not before.has_all_rows or not n_settled:
            return
        if first_changed < n_settled or state.model != before.model:
            self.state = replace(state, archived=NO_ARCHIVED_ROWS)
            self.keeps_archived = False
            return
        rows = state.observations[:n_settled].tobytes()
        if rows != before.observations[:n_settled].tobytes():  # reported again, which only the bytes tell
            self.state = replace(state, archived=replace(state.archived, checksum=zlib.crc32(rows)))
            self.keeps_archived = False

    def archive(self, cut: int, checkpoint: NDArray[np.float64], hidden: NDArray[np.float32]) -> None:
        """Settle the first `cut` rows behind the settled ones."""
        state, before = self.state, self.state.archived
        rows = state.recent_rows[:cut].tobytes()
        settled = ArchivedRows(before.n_rows + cut, zlib.crc32(rows, before.checksum), checkpoint, hidden)
        if state.has_all_rows:
            self.state = replace(state, archived=settled)
            self.keeps_archived = False
        else:
            self.state = replace(state, archived=settled, observations=state.observations[cut:])
            self.newly_archived += rows
