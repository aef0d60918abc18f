"""Write stored objects to an archive."""

import resource
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path

from service.archive.arrow_schema import StoredObject
from service.archive.directory import make_directory
from service.archive.files import ArchiveWriter, night_of
from service.archive.manifest import write_filters, write_models
from service.core.alerts import Survey
from service.core.state.object_state import StateError, decode_state
from service.redis.store import RedisStore

__all__ = ["export_objects", "prepare_export", "read_objects"]

OBJECTS_PER_READ = 1000


def prepare_export(directory: Path) -> None:
    """Create the archive's directory, and raise this process's limit of open files to the system's.

    One file stays open for each night and model.

    Parameters
    ----------
    directory
        The archive's directory.

    Raises
    ------
    InputError
        It cannot be used.
    """
    make_directory(directory)
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))


def export_objects(
    store: RedisStore,
    directory: Path,
    surveys: Iterable[Survey],
    since: date | None,
    advance: Callable[[int, int], None],
) -> int:
    """Write objects, their shadow results, models and filters to an archive.

    Parameters
    ----------
    store
        The store of objects, which is only read.
    directory
        The archive's directory.
    surveys
        Surveys whose objects are written.
    since
        Leave out objects without an alert in this night or a later one; None to write all.
    advance
        Called with the number of objects written and the number read.

    Returns
    -------
    int
        Number of objects and shadow results left out because they could not be read.

    Raises
    ------
    InputError
        The archive cannot be written.
    StoreUnavailableError
        The store does not answer.
    """
    n_unreadable = 0
    models = store.models()
    with ArchiveWriter(directory) as archive:
        write_models(directory, models)
        write_filters(directory, store.filters.all())
        for survey in surveys:
            for keys in store.keys(survey):
                objects, n_bad = read_objects(store, keys)
                n_unreadable += n_bad
                nights = {item.key: night_of(item.state.last_alert_mjd_tai) for item in objects}
                selected = [item for item in objects if since is None or nights[item.key] >= since]
                archive.add(selected)
                for digest in models:
                    shadow, n_bad = read_objects(store.for_model(digest), [item.key for item in selected])
                    n_unreadable += n_bad
                    archive.add_shadow(digest, [(nights[item.key], item) for item in shadow])
                advance(len(selected), len(keys))
    return n_unreadable


def read_objects(store: RedisStore, keys: Sequence[str]) -> tuple[list[StoredObject], int]:
    """Read objects with their expiry times.

    Parameters
    ----------
    store
        The store of objects, or of one model's shadow results.
    keys
        Object keys; those that are not stored are left out.

    Returns
    -------
    objects : list of StoredObject
        Objects that could be read.
    n_unreadable : int
        Number of objects that could not.

    Raises
    ------
    StoreUnavailableError
        The store does not answer.
    """
    objects, n_unreadable = [], 0
    for start in range(0, len(keys), OBJECTS_PER_READ):
        chunk = keys[start : start + OBJECTS_PER_READ]
        columns = zip(chunk, store.load(chunk), store.expiries(chunk), strict=True)
        for key, blob, expires_at_ms in columns:
            try:
                if blob is not None:
                    objects.append(StoredObject(key, decode_state(blob), expires_at_ms))
            except StateError:
                n_unreadable += 1
    return objects, n_unreadable
