"""Published results in batches, with what their objects' states add to them."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import BAND_NAMES, Kind, Observations, Survey, object_key
from service.core.classification import Reason
from service.core.photometry import magnitude_of_flux_njy
from service.core.records.published import Record
from service.core.state.object_state import ObjectState, StateError, decode_state
from service.core.state.summary import ABSENT, SUMMARY_COLUMNS, VERSION, Summaries

__all__ = ["LoadStates", "ResultBatch", "Vocabulary", "detections_as_of", "result_batch"]

LoadStates = Callable[[Sequence[str]], Sequence[bytes | None]]
"""Gives the stored states of objects by their keys; None for each that is not known."""

_REASONS = {reason.label: int(reason) for reason in Reason if reason}
_BANDS = {name: number for number, name in enumerate(BAND_NAMES)}


class Vocabulary:
    """Numbers for the lists of classes that records carry, which do not name their model's digest.

    Safe to be shared between threads: a number follows from the names alone.
    """

    def __init__(self) -> None:
        self._names: dict[int, tuple[str, ...]] = {}

    def number(self, names: tuple[str, ...]) -> int:
        """Give the number of a list of classes."""
        number = zlib.crc32("\0".join(names).encode()) + 1
        self._names[number] = names
        return number

    def names(self, number: int) -> tuple[str, ...]:
        """Give the list of classes of a number."""
        return self._names[number]


@dataclass(frozen=True, slots=True)
class ResultBatch:
    """n published results.

    Attributes
    ----------
    records
        Native records.
    keys
        `service.core.alerts.object_key` of each.
    surveys
        Survey of each.
    summaries
        Each object as of the alert; the model is a number of the vocabulary.
    states
        Of each object as of now; None where it is not stored, or not readable.
    vocabulary
        Names the classes of the summaries.
    """

    records: list[Record]
    keys: list[str]
    surveys: list[str]
    summaries: Summaries
    states: list[ObjectState | None]
    vocabulary: Vocabulary


def result_batch(records: Sequence[Record], load: LoadStates, vocabulary: Vocabulary) -> ResultBatch:
    """Give results with what the states of their objects add: first detection and magnitude.

    Parameters
    ----------
    records
        n native records.
    load
        Gives the states.
    vocabulary
        Takes up the records' classes.
    """
    surveys = [record["survey"] for record in records]
    keys = [object_key(Survey(one["survey"]), one["object_id"]) for one in records]
    distinct = list(dict.fromkeys(keys))
    states: Mapping[str, ObjectState | None] = {
        key: None if blob is None else _read_state(blob)
        for key, blob in zip(distinct, load(distinct), strict=True)
    }
    each = [states[key] for key in keys]
    return ResultBatch(list(records), keys, surveys, _summaries(records, each, vocabulary), each, vocabulary)


def detections_as_of(state: ObjectState, mjd_tai: float) -> Observations:
    """Give the detections of an object up to a time, by time."""
    rows = state.observations
    found: Observations = rows[(rows["mjd_tai"] <= mjd_tai) & (rows["kind"] == Kind.DETECTION)]
    return found


def _read_state(blob: bytes) -> ObjectState | None:
    try:
        return decode_state(blob)
    except StateError:
        return None


def _summaries(
    records: Sequence[Record], states: Sequence[ObjectState | None], vocabulary: Vocabulary
) -> Summaries:
    heads = np.zeros(len(records), SUMMARY_COLUMNS)
    heads["version"] = VERSION
    heads["first_mjd_tai"] = heads["magnitude"] = np.nan
    for name, field in (("ra_deg", "ra_deg"), ("dec_deg", "dec_deg"), ("last_mjd_tai", "mjd_tai")):
        heads[name] = [np.nan if one[field] is None else one[field] for one in records]
    for name in ("n_detections", "alert_id"):
        heads[name] = [one[name] for one in records]
    heads["reason"] = [_REASONS.get(one["reason"], Reason.CLASSIFIED) for one in records]
    heads["band"] = [_BANDS[one["band"]] for one in records]
    vectors = [_vector(heads[place : place + 1], one, vocabulary) for place, one in enumerate(records)]
    for place, (record, state) in enumerate(zip(records, states, strict=True)):
        if state is not None:
            _add_photometry(heads[place : place + 1], record, state)
    return Summaries(heads, vectors)


def _vector(head: NDArray[np.void], record: Record, vocabulary: Vocabulary) -> bytes:
    """Fill in the class vector of one record."""
    classes = record["classifications"]
    if not classes:
        head["best"] = ABSENT
        return b""
    vector: NDArray[np.float32] = np.array([one["probability"] for one in classes], "<f4")
    head["model"] = vocabulary.number(tuple(one["class_name"] for one in classes))
    head["best"] = best = int(vector.argmax())
    head["best_probability"] = vector[best]
    return vector.tobytes()


def _add_photometry(head: NDArray[np.void], record: Record, state: ObjectState) -> None:
    detections = detections_as_of(state, record["mjd_tai"])
    if len(detections):
        own = np.flatnonzero(detections["source_id"] == np.uint64(record["alert_id"]))
        head["first_mjd_tai"] = detections["mjd_tai"][0]
        head["magnitude"] = magnitude_of_flux_njy(detections["flux_njy"][own[-1] if len(own) else -1])
