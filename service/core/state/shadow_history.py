"""What a model says aside, remembered beside the object: an alert has one answer of each model, for good.

Each model has a value of its own for each object, in the form of an object's state without a light curve.
Nothing of it is read where the object itself is, so that no answer of the model at work depends on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from service.core.classification import Classification
from service.core.ports.store import ObjectStore, StateWrite
from service.core.state.history import History
from service.core.state.layout import next_counter
from service.core.state.object_state import EMPTY_STATE, StateError, decode_state, encode_state
from service.errors import StoreUnavailableError

__all__ = ["add_results", "read_histories", "read_history"]

MAX_ATTEMPTS = 30

Results = Mapping[str, Sequence[Classification]]


def add_results(store: ObjectStore, made: Results, limit: int) -> dict[str, list[Classification]]:
    """Store answers, unless the same alerts have one already.

    Parameters
    ----------
    store
        Of one model's answers: `ObjectStore.for_model`.
    made
        Object to new answers, each alert once.
    limit
        Answers kept per object.

    Returns
    -------
    dict
        The same objects and alerts with the answers that count: where there was one, that one.

    Raises
    ------
    StoreUnavailableError
        The store does not answer, or others wrote the same objects at every attempt.
    """
    counted: dict[str, list[Classification]] = {}
    todo = dict(made)
    for _ in range(MAX_ATTEMPTS):
        writes = []
        for key, blob in zip(todo, store.load(list(todo)), strict=True):
            known = read_history(blob)
            counted[key] = [known.find(one.alert_id) or one for one in todo[key]]
            new = [one for one in todo[key] if known.find(one.alert_id) is None]
            if new:
                history = known.appended(new, limit=limit)
                state = replace(EMPTY_STATE, counter=next_counter(blob), history=history)
                writes.append(StateWrite(key, encode_state(state), blob))
        written = store.save(writes)
        todo = {write.key: todo[write.key] for write, won in zip(writes, written, strict=True) if not won}
        if not todo:
            return counted
    raise StoreUnavailableError(f"{len(todo)} objects were changed by others at {MAX_ATTEMPTS} attempts")


def read_histories(store: ObjectStore, keys: Sequence[str]) -> list[History]:
    """Read what a model said of some objects."""
    return [read_history(blob) for blob in store.load(keys)]


def read_history(blob: bytes | None) -> History:
    """Read a stored value; one that cannot be read counts as none, since it can be made again."""
    if blob is None:
        return History()
    try:
        return decode_state(blob).history
    except StateError:
        return History()
