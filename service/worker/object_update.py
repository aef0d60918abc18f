"""One object while a batch is processed, and what becomes of its settled rows."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Observations
from service.core.classifier import ObjectClassifier
from service.core.features.featuriser import pack
from service.core.lightcurve.merge import days
from service.core.ports.store import StateWrite
from service.core.state.checkpoint import TRIGGER_MJD_TAI
from service.core.state.object_state import NOTHING_SETTLED, ObjectState, Settled, encode_head, encode_state

__all__ = ["KEPT_ROWS", "MOST_ROWS", "Work", "settle"]

MOST_ROWS = 192
"""Unsettled rows of an object, beyond which the oldest of them are settled."""

KEPT_ROWS = 96
"""So many rows are not settled: what a packet repeats of an object in ZTF (30 days), or in LSST's main
survey (a year), should be among them."""


@dataclass(slots=True)
class Work:
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
    repeats: bool = False
    keeps_settled: bool = True
    newly_settled: bytes = b""

    def write(self, summary: bytes) -> StateWrite:
        """Give what is to be stored."""
        if self.state.is_whole and not self.keeps_settled:
            return StateWrite(self.key, encode_state(self.state), self.blob, summary)
        return StateWrite(self.key, encode_head(self.state), self.blob, summary, self.newly_settled)

    def take(self, state: ObjectState, first_changed: int) -> None:
        """Take the state after one more alert.

        Parameters
        ----------
        state
            With the settled rows of the state before.
        first_changed
            As in `MergedLightCurve`.
        """
        before, self.state, self.changed = self.state, state, True
        n_settled = before.settled.n_rows
        if not before.is_whole or not n_settled:
            return
        if first_changed < n_settled or state.model != before.model:
            self.state = replace(state, settled=NOTHING_SETTLED)
            self.keeps_settled = False
            return
        rows = state.observations[:n_settled].tobytes()
        if rows != before.observations[:n_settled].tobytes():  # reported again, which only the bytes tell
            self.state = replace(state, settled=replace(state.settled, checksum=zlib.crc32(rows)))
            self.keeps_settled = False

    def settle(self, cut: int, checkpoint: NDArray[np.float64], hidden: NDArray[np.float32]) -> None:
        """Settle the first `cut` rows behind the settled ones."""
        state, before = self.state, self.state.settled
        rows = state.unsettled[:cut].tobytes()
        settled = Settled(before.n_rows + cut, zlib.crc32(rows, before.checksum), checkpoint, hidden)
        if state.is_whole:
            self.state = replace(state, settled=settled)
            self.keeps_settled = False
        else:
            self.state = replace(state, settled=settled, observations=state.observations[cut:])
            self.newly_settled += rows


def settle(classifier: ObjectClassifier, objects: Sequence[Work]) -> None:
    """Settle the oldest rows of those objects that have many.

    Parameters
    ----------
    classifier
        Whose features and hidden states the objects have.
    objects
        After all their alerts: how far the next ones reach back is not known yet.
    """
    long = [one for one in objects if one.changed and len(one.state.unsettled) > MOST_ROWS]
    cuts = [(one, _cut(one)) for one in long]
    chosen = [(one, cut) for one, cut in cuts if cut]
    if not chosen:
        return
    rows, offsets = pack([one.state.unsettled[:cut] for one, cut in chosen])
    made = classifier.settle(rows, offsets, classifier.begun([one.state.settled for one, _ in chosen]))
    for (one, cut), checkpoint, hidden in zip(chosen, made.checkpoints, made.hidden, strict=True):
        if np.isfinite(checkpoint[TRIGGER_MJD_TAI]):
            one.settle(cut, checkpoint, hidden)


def _cut(one: Work) -> int:
    """Give how many of the unsettled rows can be settled: whole days, but for the last rows."""
    rows: Observations = one.state.unsettled
    mjd_tai = np.ascontiguousarray(rows["mjd_tai"])
    numbers = days(mjd_tai)
    cut = int(np.searchsorted(numbers, numbers[len(rows) - KEPT_ROWS]))
    return cut if cut > 0 and np.isfinite(mjd_tai[cut - 1]) else 0
