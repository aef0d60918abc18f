"""Compaction: the oldest rows of a long light curve become archived rows, behind a checkpoint.

The store keeps archived rows apart from an object's value, and reads them only for an alert that needs them,
so the cost of an alert does not grow with its object's history.
"""

from collections.abc import Sequence

import numpy as np

from service.core.classifier import ObjectClassifier
from service.core.features.featuriser import pack
from service.core.lightcurve.merge import days
from service.core.state.checkpoint import TRIGGER_MJD_TAI
from service.worker.object_update import ObjectUpdate

__all__ = ["MAX_RECENT_ROWS", "MIN_RECENT_ROWS", "compact"]

MAX_RECENT_ROWS = 192
"""Recent rows of an object beyond which the oldest of them are archived."""

MIN_RECENT_ROWS = 96
"""Rows that compaction leaves recent: what a packet repeats of an object in ZTF (30 days), or in LSST's main
survey (a year), should be among them."""


def compact(classifier: ObjectClassifier, updates: Sequence[ObjectUpdate]) -> None:
    """Archive the oldest rows of objects that have more than `MAX_RECENT_ROWS` recent ones.

    Parameters
    ----------
    classifier
        The model whose features and hidden states the objects have.
    updates
        After all their alerts: how far back the next ones reach is not known yet.
    """
    long = [
        update for update in updates if update.changed and len(update.state.recent_rows) > MAX_RECENT_ROWS
    ]
    cuts = [(update, _n_to_archive(update)) for update in long]
    chosen = [(update, cut) for update, cut in cuts if cut]
    if not chosen:
        return
    rows, offsets = pack([update.state.recent_rows[:cut] for update, cut in chosen])
    start = classifier.checkpoint_batch([update.state.archived for update, _ in chosen])
    end = classifier.advance_checkpoints(rows, offsets, start)
    for (update, cut), checkpoint, hidden in zip(chosen, end.checkpoints, end.hidden, strict=True):
        if np.isfinite(checkpoint[TRIGGER_MJD_TAI]):
            update.archive(cut, checkpoint, hidden)


def _n_to_archive(update: ObjectUpdate) -> int:
    """Return how many recent rows can be archived: whole days only, leaving `MIN_RECENT_ROWS`."""
    rows = update.state.recent_rows
    mjd_tai = np.ascontiguousarray(rows["mjd_tai"])
    numbers = days(mjd_tai)
    cut = int(np.searchsorted(numbers, numbers[len(rows) - MIN_RECENT_ROWS]))
    return cut if cut > 0 and np.isfinite(mjd_tai[cut - 1]) else 0
