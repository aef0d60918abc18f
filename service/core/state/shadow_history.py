"""Results of models other than the deployed one, stored per object and model.

Each model has a value of its own for each object, in the form of an object's state without a light curve.
Nothing of it is read where the object itself is, so that no result of the deployed model depends on it. An
alert keeps the first result that a model gave it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from service.core.classification import Classification
from service.core.compare_and_set import Pause, save_until_current
from service.core.ports.store import ObjectStore, StateWrite
from service.core.state.history import History
from service.core.state.layout import next_counter
from service.core.state.object_state import EMPTY_STATE, StateError, decode_state, encode_state

__all__ = ["add_results", "read_histories", "read_history"]

Results = Mapping[str, Sequence[Classification]]
"""Object key to results of one model, each alert once."""


def add_results(
    store: ObjectStore, results: Results, limit: int, pause: Pause
) -> dict[str, list[Classification]]:
    """Store results, except of alerts that have one already.

    Parameters
    ----------
    store
        The store of one model's results: `ObjectStore.for_model`.
    results
        The new results.
    limit
        Results kept per object.
    pause
        Waits between attempts where another writer changed the same objects.

    Returns
    -------
    dict
        The same objects and alerts with the results that hold: the stored one where there was one.

    Raises
    ------
    StoreUnavailableError
        The store does not answer, or other writers won at every attempt.
    """
    stored: dict[str, list[Classification]] = {}

    def attempt(pending: Results) -> Results:
        writes = []
        for key, blob in zip(pending, store.load(list(pending)), strict=True):
            history = read_history(blob)
            known = [history.find(result.alert_id) for result in pending[key]]
            stored[key] = [old or new for old, new in zip(known, pending[key], strict=True)]
            added = [new for old, new in zip(known, pending[key], strict=True) if old is None]
            if added:
                extended = history.appended(added, limit=limit)
                state = replace(EMPTY_STATE, counter=next_counter(blob), history=extended)
                writes.append(StateWrite(key, encode_state(state), blob))
        saved = store.save(writes)
        return {write.key: pending[write.key] for write, won in zip(writes, saved, strict=True) if not won}

    save_until_current(results, attempt, pause)
    return stored


def read_histories(store: ObjectStore, keys: Sequence[str]) -> list[History]:
    """Return the results that `store` (`ObjectStore.for_model`) holds of each object, empty for none.

    Parameters
    ----------
    store
        The store of one model's results: `ObjectStore.for_model`.
    keys
        Keys of n objects.
    """
    return [read_history(blob) for blob in store.load(keys)]


def read_history(blob: bytes | None) -> History:
    """Return the results in a stored value; none where it cannot be read, since they can be made again.

    Parameters
    ----------
    blob
        A stored value; None where there is none.
    """
    if blob is None:
        return History()
    try:
        return decode_state(blob).history
    except StateError:
        return History()
