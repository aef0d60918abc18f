"""Objects as a worker would have stored them."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from service.core.alerts import OBSERVATION, Kind, Observations
from service.core.classification import Classification, Reason
from service.core.ports.store import ObjectStore, StateWrite
from service.core.state.history import History
from service.core.state.layout import next_counter
from service.core.state.object_state import EMPTY_STATE, ObjectState, encode_state
from service.core.state.summary import index_entries, summarise

__all__ = ["abstention", "classification", "light_curve", "object_state", "put", "put_all"]

START_MJD_TAI = 60000.25


def light_curve() -> Observations:
    """Give two detections, a forced row of negative flux, and an upper limit, in g and r."""
    rows = [
        (START_MJD_TAI, 0.0, 500.0, 1, Kind.UPPER_LIMIT, 11, 1),
        (START_MJD_TAI + 2, 10_000.0, 500.0, 1, Kind.DETECTION, 2**63 + 5, 1),
        (START_MJD_TAI + 3, -120.5, 300.0, 2, Kind.FORCED, 12, 1),
        (START_MJD_TAI + 4, 20_000.0, 450.0, 2, Kind.DETECTION, 13, 1),
    ]
    return np.array(rows, OBSERVATION)


def classification(
    alert_id: int, model: int, probabilities: Sequence[float], *, day: float = 0.0
) -> Classification:
    """Give the result for an alert; the raw probabilities are the calibrated ones in reverse."""
    probability = np.array(probabilities, np.float32)
    return Classification(
        alert_id=alert_id,
        mjd_tai=START_MJD_TAI + day,
        classified_at_ms=1_700_000_000_123,
        n_detections=2,
        n_observations=4,
        reason=Reason.CLASSIFIED,
        model=model,
        raw_probability=probability[::-1].copy(),
        probability=probability,
    )


def abstention(alert_id: int, reason: Reason, *, day: float = 0.0) -> Classification:
    """Give the result for an alert that was not classified."""
    return dataclasses.replace(classification(alert_id, 0, [], day=day), reason=reason)


def object_state(history: Sequence[Classification] = ()) -> ObjectState:
    """Give a state with `light_curve`, and some of what packets may carry."""
    return dataclasses.replace(
        EMPTY_STATE,
        ra_deg=150.5,
        dec_deg=-2.25,
        last_alert_mjd_tai=START_MJD_TAI + 4,
        redshift=0.05,
        observations=light_curve(),
        history=History.of(history),
    )


def put(store: ObjectStore, key: str, state: ObjectState) -> None:
    """Store an object under its qualified id."""
    put_all(store, {key: state})


def put_all(store: ObjectStore, states: Mapping[str, ObjectState]) -> None:
    """Store objects under their qualified ids, and where they stand in the index."""
    replaced = store.load(list(states))
    summaries = summarise(list(states.values()))
    writes = [
        StateWrite(key, encode_state(dataclasses.replace(state, counter=next_counter(old))), old, summary)
        for (key, state), old, summary in zip(states.items(), replaced, summaries.stored(), strict=True)
    ]
    if not all(store.save(writes)):
        raise RuntimeError("an object was written by somebody else")
    models = store.models()
    names = {digest: tuple(name for _, name in one.classes) for digest, one in models.items()}
    store.index.add(index_entries(list(states), summaries, lambda digest: names.get(digest, ())))
