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
"""Returns the stored states of objects by their keys; None for each that is not stored."""

_REASONS = {reason.label: int(reason) for reason in Reason if reason}
_BANDS = {name: number for number, name in enumerate(BAND_NAMES)}


class Vocabulary:
    """Numbers for the class lists of records, which do not carry their model's digest.

    May be shared between threads: a number depends on the names alone.
    """

    def __init__(self) -> None:
        self._names: dict[int, tuple[str, ...]] = {}

    def number(self, names: tuple[str, ...]) -> int:
        """Return the number of a list of classes.

        Parameters
        ----------
        names
            Class names, in the order of a model.
        """
        number = zlib.crc32("\0".join(names).encode()) + 1
        self._names[number] = names
        return number

    def names(self, number: int) -> tuple[str, ...]:
        """Return the list of classes of a number.

        Parameters
        ----------
        number
            As `number` returned it.
        """
        return self._names[number]


@dataclass(frozen=True, slots=True)
class ResultBatch:
    """n published results.

    Attributes
    ----------
    records
        Native records.
    keys
        `service.core.alerts.object_key` of each result's object.
    surveys
        Survey of each.
    summaries
        Summary of each object as of the alert; the model is a number of the vocabulary.
    states
        Present state of each object; None where it is not stored, or not readable.
    vocabulary
        Class names of the summaries' models.
    """

    records: list[Record]
    keys: list[str]
    surveys: list[str]
    summaries: Summaries
    states: list[ObjectState | None]
    vocabulary: Vocabulary


def result_batch(records: Sequence[Record], load: LoadStates, vocabulary: Vocabulary) -> ResultBatch:
    """Return results with what the states of their objects add: first detection and magnitude.

    Parameters
    ----------
    records
        n native records.
    load
        Returns the states.
    vocabulary
        Receives the records' class lists.
    """
    surveys = [record["survey"] for record in records]
    keys = [object_key(Survey(record["survey"]), record["object_id"]) for record in records]
    distinct = list(dict.fromkeys(keys))
    states: Mapping[str, ObjectState | None] = {
        key: None if blob is None else _read_state(blob)
        for key, blob in zip(distinct, load(distinct), strict=True)
    }
    each = [states[key] for key in keys]
    return ResultBatch(list(records), keys, surveys, _summaries(records, each, vocabulary), each, vocabulary)


def detections_as_of(state: ObjectState, mjd_tai: float) -> Observations:
    """Return the detections of an object up to a time, by time.

    Parameters
    ----------
    state
        With all rows.
    mjd_tai
        Days; later rows do not count.
    """
    rows = state.observations
    detections: Observations = rows[(rows["mjd_tai"] <= mjd_tai) & (rows["kind"] == Kind.DETECTION)]
    return detections


def _read_state(blob: bytes) -> ObjectState | None:
    try:
        return decode_state(blob)
    except StateError:
        return None


def _summaries(
    records: Sequence[Record], states: Sequence[ObjectState | None], vocabulary: Vocabulary
) -> Summaries:
    columns = np.zeros(len(records), SUMMARY_COLUMNS)
    columns["version"] = VERSION
    columns["first_mjd_tai"] = columns["magnitude"] = np.nan
    for name, field in (("ra_deg", "ra_deg"), ("dec_deg", "dec_deg"), ("last_mjd_tai", "mjd_tai")):
        columns[name] = [np.nan if record[field] is None else record[field] for record in records]
    for name in ("n_detections", "alert_id"):
        columns[name] = [record[name] for record in records]
    columns["reason"] = [_REASONS.get(record["reason"], Reason.CLASSIFIED) for record in records]
    columns["band"] = [_BANDS[record["band"]] for record in records]
    vectors = [_vector(columns[i : i + 1], record, vocabulary) for i, record in enumerate(records)]
    for i, (record, state) in enumerate(zip(records, states, strict=True)):
        if state is not None:
            _add_photometry(columns[i : i + 1], record, state)
    return Summaries(columns, vectors)


def _vector(row: NDArray[np.void], record: Record, vocabulary: Vocabulary) -> bytes:
    """Fill in the class vector of one record, and return its bytes."""
    classes = record["classifications"]
    if not classes:
        row["best"] = ABSENT
        return b""
    vector: NDArray[np.float32] = np.array([entry["probability"] for entry in classes], "<f4")
    row["model"] = vocabulary.number(tuple(entry["class_name"] for entry in classes))
    row["best"] = best = int(vector.argmax())
    row["best_probability"] = vector[best]
    return vector.tobytes()


def _add_photometry(row: NDArray[np.void], record: Record, state: ObjectState) -> None:
    detections = detections_as_of(state, record["mjd_tai"])
    if len(detections):
        of_alert = np.flatnonzero(detections["source_id"] == np.uint64(record["alert_id"]))
        latest = detections[of_alert[-1] if len(of_alert) else -1]
        row["first_mjd_tai"] = detections["mjd_tai"][0]
        row["band"] = latest["band"]
        row["magnitude"] = magnitude_of_flux_njy(latest["flux_njy"])
