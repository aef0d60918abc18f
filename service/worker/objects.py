"""Reading the objects of a batch from the store, and writing them back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from service.core.ports.store import ObjectStore
from service.core.state.layout import next_counter, recent_length
from service.core.state.object_state import (
    EMPTY_STATE,
    NO_ARCHIVED_ROWS,
    ObjectState,
    StateError,
    decode_recent,
    decode_state,
)
from service.core.state.summary import ClassNames, index_entries, summarise
from service.worker.object_update import ObjectUpdate

__all__ = ["ObjectRepository"]

log = structlog.get_logger(__name__)


class ObjectRepository:
    """Loads objects as `ObjectUpdate`, and saves them together with their summaries and index entries.

    Parameters
    ----------
    store
        The store of objects.
    class_names
        Class names of the models that results name.
    """

    def __init__(self, store: ObjectStore, class_names: ClassNames) -> None:
        self._store = store
        self._class_names = class_names

    def load(
        self,
        pending: Mapping[str, list[int]],
        needs_archived_rows: Callable[[Sequence[ObjectUpdate]], list[bool]],
    ) -> list[ObjectUpdate]:
        """Read objects in one round trip, and in a second one those that need their archived rows.

        Parameters
        ----------
        pending
            Object key to the indices of its alerts in the batch.
        needs_archived_rows
            Tells this of objects that have some.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        blobs = self._store.load_recent(list(pending))
        updates = [
            ObjectUpdate(key, alerts, blob, next_counter(blob), _read_recent(key, blob))
            for (key, alerts), blob in zip(pending.items(), blobs, strict=True)
        ]
        incomplete = [i for i, update in enumerate(updates) if not update.state.has_all_rows]
        if incomplete:
            is_needed = needs_archived_rows([updates[i] for i in incomplete])
            chosen = [i for i, needed in zip(incomplete, is_needed, strict=True) if needed]
            whole = self._store.load([updates[i].key for i in chosen])
            for i, blob in zip(chosen, whole, strict=True):
                key, alerts = updates[i].key, updates[i].alerts
                updates[i] = ObjectUpdate(key, alerts, blob, next_counter(blob), _read(key, blob))
        return updates

    def save(self, updates: Sequence[ObjectUpdate]) -> dict[str, list[int]]:
        """Write the objects that changed, and the index entries of all.

        Entries of unchanged objects are written again: the batch may have been interrupted between the two
        writes the first time.

        Returns
        -------
        dict
            The objects that another worker changed meanwhile, in the form of `load`'s `pending`.

        Raises
        ------
        StoreUnavailableError
            The store does not answer. Any of the objects may have been written.
        """
        summaries = summarise([update.state for update in updates])
        writes = [
            update.write(summary)
            for update, summary in zip(updates, summaries.stored(), strict=True)
            if update.changed
        ]
        saved = iter(self._store.save(writes))
        is_current = [not update.changed or next(saved) for update in updates]
        current = [i for i, is_ in enumerate(is_current) if is_]
        keys = [updates[i].key for i in current]
        self._store.index.add(index_entries(keys, summaries.take(current), self._class_names))
        return {u.key: u.alerts for u, is_ in zip(updates, is_current, strict=True) if not is_}


def _read_recent(key: str, blob: bytes | None) -> ObjectState:
    if blob is None:
        return EMPTY_STATE
    try:
        return decode_recent(blob)
    except StateError as error:
        # The packet carries the light curve: the object is rebuilt from it.
        log.warning("replacing unreadable object", object=key, error=str(error))
        return EMPTY_STATE


def _read(key: str, blob: bytes | None) -> ObjectState:
    if blob is None:
        return EMPTY_STATE
    try:
        return decode_state(blob)
    except StateError as error:
        state = _read_recent(key, blob[: recent_length(blob)])
        if state.archived.n_rows:  # only the archived rows are unreadable
            log.warning("dropping unreadable archived rows", object=key, error=str(error))
            return replace(state, archived=NO_ARCHIVED_ROWS, has_all_rows=True, model=0)
        return state
