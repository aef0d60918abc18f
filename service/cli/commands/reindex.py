"""``nightjar reindex``: the index of objects made anew from their stored states."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Annotated

import numpy as np
import orjson
import typer

from service.cli.signals import ended_by_signals
from service.core.alerts import Survey
from service.core.ports.store import ObjectStore, StateWrite
from service.core.search.criteria import Criteria
from service.core.state.layout import next_counter
from service.core.state.object_state import ObjectState, StateError, decode_state, encode_state
from service.core.state.summary import ClassNames, IndexName, index_entries, read_summaries, summarise
from service.settings import read_settings
from service.wiring.stores import object_store

__all__ = ["Reindexer", "reindex"]

SCANNED = 1000


def reindex(
    json: Annotated[bool, typer.Option("--json", help="Print the counts as one JSON object.")] = False,
) -> None:
    """Make the index of objects anew from their stored states, beside workers that go on.

    Needed after the index was lost, or for objects that an earlier version stored. Entries of objects that
    are gone, and of classes that are not probable any more, are removed.
    """
    settings = read_settings()
    with ended_by_signals(), closing(object_store(settings)) as objects:
        counts = Reindexer(objects).run()
    if json:
        typer.echo(orjson.dumps(counts).decode())
    else:
        typer.echo(", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in counts.items()))


class Reindexer:
    """Goes through all objects, then through all entries of the index.

    Parameters
    ----------
    store
        Of the objects.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        models = store.models()
        names = {digest: tuple(name for _, name in one.classifier.classes) for digest, one in models.items()}
        self._class_names: ClassNames = lambda digest: names.get(digest, ())
        self._counts: Counter[str] = Counter(indexed=0, summaries_written=0, unreadable=0, entries_removed=0)

    def run(self) -> dict[str, int]:
        """Do it; gives how many objects were indexed, and what else was done.

        Raises
        ------
        StoreUnavailableError
            The store does not answer; what was done so far is done.
        """
        for survey in Survey:
            for keys in self._store.keys(survey):
                self._index(keys)
        for name in self._store.index.names():
            self._clean(name)
        return dict(self._counts)

    def _index(self, keys: Sequence[str]) -> None:
        found = [(key, blob, state) for key, blob, state in self._load(keys)]
        summaries = summarise([state for _, _, state in found])
        kept = self._store.index.summaries([key for key, _, _ in found])
        writes = [
            StateWrite(key, _counted(state, blob), blob, new)
            for (key, blob, state), new, old in zip(found, summaries.stored(), kept, strict=True)
            if new != old
        ]
        # A worker that writes meanwhile wins: what it writes is newer, and has its summary with it.
        self._counts["summaries_written"] += sum(self._store.save(writes))
        self._store.index.add(index_entries([key for key, _, _ in found], summaries, self._class_names))
        self._counts["indexed"] += len(found)

    def _load(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes, ObjectState]]:
        for key, blob in zip(keys, self._store.load(keys), strict=True):
            if blob is not None:
                try:
                    yield key, blob, decode_state(blob)
                except StateError:
                    self._counts["unreadable"] += 1

    def _clean(self, name: IndexName) -> None:
        """Remove what an index has and should not have."""
        index, cursor, is_first = self._store.index, 0, True
        while cursor or is_first:
            is_first = False
            cursor, keys = index.scan(name, cursor, count=SCANNED)
            stored = index.summaries(keys)
            gone = [key for key, one in zip(keys, stored, strict=True) if one is None]
            there = [(key, one) for key, one in zip(keys, stored, strict=True) if one is not None]
            if name[0] == "c":
                gone += self._improbable(name[2], there)
            index.remove(name, gone)
            self._counts["entries_removed"] += len(gone)

    def _improbable(self, class_name: str, objects: Sequence[tuple[str, bytes]]) -> list[str]:
        summaries = read_summaries([one for _, one in objects])
        wanted = Criteria(class_name=class_name, min_probability=0.0)
        passes = wanted.mask([key.partition(":")[0] for key, _ in objects], summaries, self._class_names)
        return [objects[place][0] for place in np.flatnonzero(~passes).tolist()]


def _counted(state: ObjectState, blob: bytes) -> bytes:
    return encode_state(dataclasses.replace(state, counter=next_counter(blob)))
