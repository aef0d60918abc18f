"""Rebuild the search index from stored states."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from service.core.alerts import Survey
from service.core.ports.store import ObjectStore, StateWrite
from service.core.search.criteria import Criteria
from service.core.state.layout import next_counter
from service.core.state.object_state import ObjectState, StateError, decode_state, encode_state
from service.core.state.summary import ClassNames, IndexName, index_entries, read_summaries, summarise

__all__ = ["Reindexer"]

KEYS_PER_SCAN = 1000


class Reindexer:
    """Indexes every object, then removes stale entries from the index.

    Parameters
    ----------
    store
        The store of objects.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        names = {digest: model.class_names for digest, model in store.models().items()}
        self._class_names: ClassNames = lambda digest: names.get(digest, ())
        self._counts: Counter[str] = Counter(indexed=0, summaries_written=0, unreadable=0, entries_removed=0)

    def run(self) -> dict[str, int]:
        """Rebuild the index while workers may go on.

        Returns
        -------
        dict
            Numbers of objects ``indexed`` and ``unreadable``, of ``summaries_written`` and of
            ``entries_removed``.

        Raises
        ------
        StoreUnavailableError
            The store does not answer; what was done so far stays.
        """
        for survey in Survey:
            for keys in self._store.keys(survey):
                self._index(keys)
        for name in self._store.index.names():
            self._remove_stale(name)
        return dict(self._counts)

    def _index(self, keys: Sequence[str]) -> None:
        objects = list(self._load(keys))
        keys = [key for key, _, _ in objects]
        summaries = summarise([state for _, _, state in objects])
        previous = self._store.index.summaries(keys)
        writes = [
            StateWrite(key, _with_next_counter(state, blob), blob, new)
            for (key, blob, state), new, old in zip(objects, summaries.stored(), previous, strict=True)
            if new != old
        ]
        # A worker that writes meanwhile wins: its state is newer and comes with its own summary.
        self._counts["summaries_written"] += sum(self._store.save(writes))
        self._store.index.add(index_entries(keys, summaries, self._class_names))
        self._counts["indexed"] += len(objects)

    def _load(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes, ObjectState]]:
        for key, blob in zip(keys, self._store.load(keys), strict=True):
            if blob is not None:
                try:
                    yield key, blob, decode_state(blob)
                except StateError:
                    self._counts["unreadable"] += 1

    def _remove_stale(self, name: IndexName) -> None:
        """Remove entries of objects that are gone, and of classes that are no longer probable."""
        index, cursor, is_first = self._store.index, 0, True
        while cursor or is_first:
            is_first = False
            cursor, keys = index.scan(name, cursor, count=KEYS_PER_SCAN)
            summaries = list(zip(keys, index.summaries(keys), strict=True))
            stale = [key for key, summary in summaries if summary is None]
            if name[0] == "c":
                existing = [(key, summary) for key, summary in summaries if summary is not None]
                stale += self._improbable(name[2], existing)
            index.remove(name, stale)
            self._counts["entries_removed"] += len(stale)

    def _improbable(self, class_name: str, objects: Sequence[tuple[str, bytes]]) -> list[str]:
        """Return the keys of objects, given with their summaries, for which a class is not probable."""
        summaries = read_summaries([summary for _, summary in objects])
        criteria = Criteria(class_name=class_name, min_probability=0.0)
        passes = criteria.mask([key.partition(":")[0] for key, _ in objects], summaries, self._class_names)
        return [objects[index][0] for index in np.flatnonzero(~passes).tolist()]


def _with_next_counter(state: ObjectState, blob: bytes) -> bytes:
    return encode_state(dataclasses.replace(state, counter=next_counter(blob)))
