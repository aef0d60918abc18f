"""Objects as a worker leaves them, with as many observations as are wanted."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from service.core.alerts import OBSERVATION, Kind, Observations, Survey, object_key
from service.core.classifier import LightCurveBatch, ObjectClassifier
from service.core.features.featuriser import pack
from service.core.models.bundle import load_bundle
from service.core.ports.store import ObjectStore, StateWrite
from service.core.state.history import History
from service.core.state.object_state import EMPTY_STATE, ObjectState, encode_state
from service.settings import Settings
from service.worker.compaction import compact
from service.worker.object_update import ObjectUpdate
from tests.support.objects import classification

__all__ = ["LAST_MJD_TAI", "put", "remembered", "stored_states"]

LAST_MJD_TAI = 61_000.0


def stored_curve(n_rows: int, number: int) -> Observations:
    """Give a light curve of so many detections and forced measurements, one pair a day."""
    rows = np.zeros(n_rows, OBSERVATION)
    rows["mjd_tai"] = LAST_MJD_TAI - np.arange(n_rows, 0, -1) / 2
    rows["flux_njy"] = 1e4 + 1e3 * np.sin(rows["mjd_tai"] / 7)
    rows["flux_err_njy"] = 500.0
    rows["band"] = 1 + np.arange(n_rows) % 3
    rows["kind"] = np.where(np.arange(n_rows) % 2, Kind.FORCED, Kind.DETECTION)
    rows["source_id"] = 1 + np.arange(n_rows)
    rows["reported_s"] = number
    return rows


def stored_states(n_objects: int, n_rows: int) -> list[ObjectState]:
    """Give the states of objects as a worker would have left them."""
    classifier = ObjectClassifier(load_bundle("lsst"))
    curves = [stored_curve(n_rows, number) for number in range(n_objects)]
    rows, offsets = pack(curves)
    nothing = np.full(n_objects, np.nan, np.float32)
    batch = LightCurveBatch(rows, offsets, np.full(n_objects, LAST_MJD_TAI), nothing, nothing)
    made = classifier.classify(batch, classifier.empty_batch(n_objects))
    states = [
        dataclasses.replace(
            EMPTY_STATE,
            counter=1,
            model=classifier.bundle.digest,
            hidden_step=int(made.hidden_step[number]),
            hidden=made.hidden[number],
            ra_deg=10.0,
            dec_deg=-10.0,
            last_alert_mjd_tai=LAST_MJD_TAI,
            observations=curve,
        )
        for number, curve in enumerate(curves)
    ]
    done = [ObjectUpdate("", [], None, state.counter, state, changed=True) for state in states]
    compact(classifier, done)
    return [one.state for one in done]


def put(objects: ObjectStore, states: Sequence[ObjectState], first: int = 0) -> None:
    """Store the states as those of objects 1, 2 and so on, or from a later one on."""
    names = [object_key(Survey.LSST, str(1 + first + number)) for number in range(len(states))]
    writes = [StateWrite(name, encode_state(s), None) for name, s in zip(names, states, strict=True)]
    assert all(objects.save(writes))


def remembered(state: ObjectState) -> ObjectState:
    """Add a classification for each second observation, the latest 64 at most."""
    n_results = min(len(state.observations) // 2, Settings().history_length)
    n_classes = len(load_bundle("lsst").class_names)
    results = [classification(1 + n, state.model, [1 / n_classes] * n_classes) for n in range(n_results)]
    return dataclasses.replace(state, history=History.of(results))
