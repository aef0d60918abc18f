"""Put the objects of an archive into the store."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from service.archive.arrow_schema import StoredObject
from service.archive.files import ArchiveReader
from service.archive.manifest import read_filters, read_models
from service.core.ports.store import StateWrite
from service.core.search.filters import FilterSpec
from service.core.state.object_state import encode_state
from service.core.state.summary import ClassNames, index_entries, summarise
from service.redis.store import RedisStore

__all__ = ["ArchiveImport", "put_filters", "put_objects", "put_shadow_results"]

OBJECTS_PER_WRITE = 500


@dataclass(slots=True)
class ArchiveImport:
    """The import of one archive.

    Parameters
    ----------
    directory
        Directory of the archive.
    since
        Import only this night and later ones; None for all.
    replace
        Overwrite what the store has; by default it is kept.

    Attributes
    ----------
    n_objects_kept
        Objects that the store had and kept.
    n_filters, n_filters_kept
        Filters that were written, and those that the store had and kept.

    Raises
    ------
    InputError
        The directory does not contain an archive.
    """

    directory: Path
    since: date | None = None
    replace: bool = False
    n_objects_kept: int = 0
    n_filters: int = 0
    n_filters_kept: int = 0
    _archive: ArchiveReader = field(init=False)
    _files: list[Path] = field(init=False)
    _shadow_files: dict[int, list[Path]] = field(init=False)

    def __post_init__(self) -> None:
        self._archive = ArchiveReader(self.directory)
        self._files = self._archive.files(since=self.since)
        self._shadow_files = self._archive.shadow_files(since=self.since)
        if self.replace:
            # The last write wins, and that must be the newest night's.
            for files in (self._files, *self._shadow_files.values()):
                files.reverse()

    @property
    def n_objects(self) -> int:
        """Number of objects in the files; one that occurs in several nights counts in each.

        Raises
        ------
        InputError
            A file is damaged or cannot be opened.
        """
        return self._archive.count(self._files)

    def run(self, store: RedisStore, advance: Callable[[int, int], None]) -> None:
        """Write models, filters, objects and shadow results.

        Parameters
        ----------
        store
            The store of objects.
        advance
            Called with the number of objects written and the number read.

        Raises
        ------
        InputError
            A file cannot be read.
        StoreUnavailableError
            The store does not answer; what was written so far stays.
        """
        models, filters = read_models(self.directory), read_filters(self.directory)
        for model in models.values():
            store.register_model(model)
        self.n_filters = put_filters(store, filters, replace=self.replace)
        self.n_filters_kept = len(filters) - self.n_filters
        names = {digest: [name for _, name in model.classes] for digest, model in models.items()}
        for path in self._files:
            for objects in self._archive.objects(path, at_a_time=OBJECTS_PER_WRITE):
                n_written = put_objects(
                    store, objects, lambda digest: names.get(digest, ()), replace=self.replace
                )
                self.n_objects_kept += len(objects) - n_written
                advance(n_written, len(objects))
        for digest, files in self._shadow_files.items():
            for path in files:
                for objects in self._archive.objects(path, at_a_time=OBJECTS_PER_WRITE):
                    put_shadow_results(store, digest, objects, replace=self.replace)


def put_filters(store: RedisStore, filters: Sequence[FilterSpec], *, replace: bool) -> int:
    """Write stored filters.

    Parameters
    ----------
    store
        The store of objects.
    filters
        What to write.
    replace
        Overwrite filters of the same names.

    Returns
    -------
    int
        Number of filters written.

    Raises
    ------
    StoreUnavailableError
        The store does not answer.
    """
    existing = set() if replace else {spec.name for spec in store.filters.all()}
    new = [spec for spec in filters if spec.name not in existing]
    for spec in new:
        store.filters.put(spec)
    return len(new)


def put_shadow_results(
    store: RedisStore, digest: int, objects: Sequence[StoredObject], *, replace: bool
) -> None:
    """Write one model's shadow results, with their expiry times.

    Parameters
    ----------
    store
        The store of objects.
    digest
        The model's.
    objects
        What to write.
    replace
        Overwrite results of the same objects.

    Raises
    ------
    StoreUnavailableError
        The store does not answer.
    """
    store_of_model, keys = store.for_model(digest), [item.key for item in objects]
    previous = store_of_model.load(keys) if replace else [None] * len(objects)
    writes = [
        StateWrite(item.key, encode_state(item.state), old)
        for item, old in zip(objects, previous, strict=True)
    ]
    is_written = store_of_model.save(writes)
    store_of_model.expire_at(
        [(item.key, item.expires_at_ms) for item, won in zip(objects, is_written, strict=True) if won]
    )


def put_objects(
    store: RedisStore, objects: Sequence[StoredObject], class_names: ClassNames, *, replace: bool
) -> int:
    """Write objects with their summaries, expiry times and index entries.

    Parameters
    ----------
    store
        The store of objects.
    objects
        What to write.
    class_names
        Returns the class names of a model, given its digest.
    replace
        Overwrite objects of the same keys.

    Returns
    -------
    int
        Number of objects written.

    Raises
    ------
    StoreUnavailableError
        The store does not answer.
    """
    keys = [item.key for item in objects]
    previous = store.load(keys) if replace else [None] * len(objects)
    summaries = summarise([item.state for item in objects])
    is_written = store.save(
        [
            StateWrite(item.key, encode_state(item.state), old, summary)
            for item, old, summary in zip(objects, previous, summaries.stored(), strict=True)
        ]
    )
    written = [index for index, won in enumerate(is_written) if won]
    store.expire_at([(keys[index], objects[index].expires_at_ms) for index in written])
    store.index.add(index_entries([keys[index] for index in written], summaries.take(written), class_names))
    return len(written)
