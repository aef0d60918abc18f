"""Summaries: what lists, searches and the live stream show of an object, without its light curve.

A stored summary is `SUMMARY_COLUMNS` followed by the calibrated class vector, float32. It has a
key of its own and is written together with the state of its object.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Kind
from service.core.classification import Reason
from service.core.features.featuriser import pack
from service.core.photometry import magnitude_of_flux_njy
from service.core.sky import NOWHERE, pixels
from service.core.state.checkpoint import (
    FIRST_DETECTION_MJD_TAI,
    LAST_DETECTION_BAND,
    LAST_DETECTION_FLUX_NJY,
    N_LISTED_DETECTIONS,
)
from service.core.state.history import History, entry_dtype
from service.core.state.object_state import ObjectState

__all__ = [
    "ABSENT",
    "INDEXED_FROM",
    "SUMMARY_COLUMNS",
    "ClassNames",
    "IndexName",
    "Summaries",
    "index_entries",
    "read_summaries",
    "summarise",
]

SUMMARY_COLUMNS = np.dtype(
    [
        ("version", "u1"),  # VERSION
        ("reason", "u1"),  # Reason of the latest alert; NONE where no alert is known
        ("band", "u1"),  # of the latest detection; NONE without one
        ("best", "u1"),  # place of the most probable class in the vector; NONE without a vector
        ("n_detections", "<u4"),
        ("model", "<u8"),  # of the vector; 0 without one
        ("alert_id", "<u8"),  # of the vector; 0 without one
        ("ra_deg", "<f8"),  # of the latest alert
        ("dec_deg", "<f8"),
        ("last_mjd_tai", "<f8"),  # time of the latest alert
        ("first_mjd_tai", "<f8"),  # of the first detection; NaN without one
        ("magnitude", "<f4"),  # AB, of the latest detection; NaN where its flux is not positive
        ("best_probability", "<f4"),  # 0 without a vector
    ]
)
"""64 bytes, packed, little-endian."""

VERSION = 1
ABSENT = 255

INDEXED_FROM = 0.1
"""A class of lower probability is not indexed, unless it is the most probable one."""

ClassNames = Callable[[int], Sequence[str]]
"""Returns the names of a model's classes by its digest; empty for an unknown model."""

IndexName = tuple[str, ...]
"""An index: ("t", survey) by time, ("p", survey) by position, or ("c", survey, class name)."""


@dataclass(frozen=True, slots=True)
class Summaries:
    """Summaries of n objects.

    Attributes
    ----------
    columns
        `SUMMARY_COLUMNS`, shape (n,).
    vectors
        Length n: bytes of each object's class vector, float32; empty for none.
    """

    columns: NDArray[np.void]
    vectors: list[bytes]

    def stored(self) -> list[bytes]:
        """Return the stored form of each."""
        packed, size = self.columns.tobytes(), SUMMARY_COLUMNS.itemsize
        return [packed[i * size : (i + 1) * size] + vector for i, vector in enumerate(self.vectors)]

    def take(self, index: Sequence[int]) -> "Summaries":
        """Return those at some indices.

        Parameters
        ----------
        index
            Indices, in the order of the result.
        """
        return Summaries(self.columns[list(index)], [self.vectors[i] for i in index])

    def by_model(self) -> Mapping[int, tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Return for each model the indices of its objects, shape (m,), and their vectors, (m, n_classes)."""
        groups: dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}
        for model in np.unique(self.columns["model"]).tolist():
            members = np.flatnonzero((self.columns["model"] == model) & (self.columns["best"] != ABSENT))
            if len(members):
                joined = b"".join([self.vectors[i] for i in members.tolist()])
                groups[model] = members, np.frombuffer(joined, "<f4").reshape(len(members), -1)
        return groups


def read_summaries(stored: Sequence[bytes]) -> Summaries:
    """Return stored summaries; one that cannot be read is returned without alert and without vector.

    Parameters
    ----------
    stored
        Length n, as of `Summaries.stored`.
    """
    size = SUMMARY_COLUMNS.itemsize
    unknown = np.zeros(1, SUMMARY_COLUMNS)
    unknown["reason"] = unknown["band"] = unknown["best"] = ABSENT
    filler = unknown.tobytes()
    is_valid = [len(blob) >= size and blob[0] == VERSION for blob in stored]
    packed = b"".join([blob[:size] if ok else filler for blob, ok in zip(stored, is_valid, strict=True)])
    vectors = [blob[size:] if ok else b"" for blob, ok in zip(stored, is_valid, strict=True)]
    return Summaries(np.frombuffer(packed, SUMMARY_COLUMNS), vectors)


def summarise(states: Sequence[ObjectState]) -> Summaries:
    """Return the summaries of n objects.

    Parameters
    ----------
    states
        Of n objects.
    """
    columns = np.zeros(len(states), SUMMARY_COLUMNS)
    columns["version"] = VERSION
    for name in ("ra_deg", "dec_deg"):
        columns[name] = [getattr(state, name) for state in states]
    columns["last_mjd_tai"] = [state.last_alert_mjd_tai for state in states]
    _fill_photometry(columns, states)
    return Summaries(columns, _fill_classes(columns, states))


def _fill_photometry(columns: NDArray[np.void], states: Sequence[ObjectState]) -> None:
    rows, offsets = pack([state.observations for state in states])
    detections = np.flatnonzero(rows["kind"] == Kind.DETECTION)
    bounds = np.searchsorted(detections, offsets)  # rows are in order of time within an object
    columns["n_detections"] = counts = np.diff(bounds)
    columns["first_mjd_tai"] = columns["magnitude"] = np.nan
    columns["band"] = ABSENT
    detected = np.flatnonzero(counts)
    first, last = detections[bounds[:-1][detected]], detections[bounds[1:][detected] - 1]
    columns["first_mjd_tai"][detected] = rows["mjd_tai"][first]
    columns["band"][detected] = rows["band"][last]
    columns["magnitude"][detected] = magnitude_of_flux_njy(rows["flux_njy"][last])
    incomplete = [i for i, state in enumerate(states) if not state.has_all_rows]
    if incomplete:
        checkpoints = [states[i].archived.checkpoint for i in incomplete]
        columns[incomplete] = _with_archived_rows(columns[incomplete], checkpoints)


def _with_archived_rows(
    columns: NDArray[np.void], checkpoints: Sequence[NDArray[np.float64]]
) -> NDArray[np.void]:
    """Return columns of recent rows completed by what checkpoints say of the archived ones."""
    archived = np.array(checkpoints).T
    detected = archived[N_LISTED_DETECTIONS] > 0
    only_there = detected & (columns["n_detections"] == 0)
    columns["band"][only_there] = archived[LAST_DETECTION_BAND, only_there]
    columns["magnitude"][only_there] = magnitude_of_flux_njy(archived[LAST_DETECTION_FLUX_NJY, only_there])
    columns["n_detections"] += archived[N_LISTED_DETECTIONS].astype(columns["n_detections"].dtype)
    columns["first_mjd_tai"][detected] = archived[FIRST_DETECTION_MJD_TAI, detected]
    return columns


def _fill_classes(columns: NDArray[np.void], states: Sequence[ObjectState]) -> list[bytes]:
    """Fill in the results of the latest alerts; return the class vectors."""
    columns["reason"] = columns["best"] = ABSENT
    vectors = [b""] * len(states)
    by_width: dict[int, list[tuple[int, bytes]]] = {}
    for i, state in enumerate(states):
        entries = state.history.entries
        if len(entries):
            last, reason = _latest(state.history, state.last_alert_mjd_tai)
            columns["reason"][i] = reason
            if last is not None:
                by_width.setdefault(state.history.width, []).append((i, entries[last].tobytes()))
    for width, of_width in by_width.items():
        objects = np.array([i for i, _ in of_width])
        entries = np.frombuffer(b"".join([entry for _, entry in of_width]), entry_dtype(width))
        probability = entries["probability"]
        best = probability.argmax(axis=1)
        columns["model"][objects] = entries["model"]
        columns["alert_id"][objects] = entries["alert_id"]
        columns["best"][objects] = best
        columns["best_probability"][objects] = probability[np.arange(len(best)), best]
        packed, size = np.ascontiguousarray(probability).tobytes(), 4 * width
        lengths = (4 * entries["n_classes"].astype(np.int64)).tolist()
        for k, (i, length) in enumerate(zip(objects.tolist(), lengths, strict=True)):
            vectors[i] = packed[k * size : k * size + length]
    return vectors


def _latest(history: History, last_alert_mjd_tai: float) -> tuple[int | None, int]:
    """Return the index of the latest classification, None where there is none, and the latest reason.

    Latest by the time of the alerts, whatever the order in which they came; the usual case, that the last
    entry is the latest, is decided without sorting.
    """
    entry = history.entries[-1]
    reason = int(entry["reason"])
    if reason == Reason.CLASSIFIED and entry["mjd_tai"] == last_alert_mjd_tai:
        return len(history) - 1, reason
    order = np.argsort(history.entries["mjd_tai"], kind="stable")
    reasons = history.entries["reason"][order]
    classified = np.flatnonzero(reasons == Reason.CLASSIFIED)
    return int(order[classified[-1]]) if len(classified) else None, int(reasons[-1])


def index_entries(
    keys: Sequence[str], summaries: Summaries, class_names: ClassNames
) -> dict[IndexName, dict[str, float]]:
    """Return the index entries of n objects.

    Parameters
    ----------
    keys
        `service.core.alerts.object_key` of the objects.
    summaries
        Of the same objects.
    class_names
        Of every model that they name.

    Returns
    -------
    dict
        Index to object id to score: the time of the latest alert, MJD TAI; the HEALPix pixel; the probability
        of the class, where that is at least `INDEXED_FROM` or the greatest.
    """
    entries: dict[IndexName, dict[str, float]] = {}
    columns = summaries.columns
    names = [key.partition(":") for key in keys]
    rows = zip(
        names,
        columns["last_mjd_tai"].tolist(),
        pixels(columns["ra_deg"], columns["dec_deg"]).tolist(),
        strict=True,
    )
    for (survey, _, object_id), mjd_tai, pixel in rows:
        if mjd_tai == mjd_tai:  # NaN, for no alert, differs from itself
            entries.setdefault(("t", survey), {})[object_id] = mjd_tai
        if pixel != NOWHERE:
            entries.setdefault(("p", survey), {})[object_id] = pixel
    for model, (members, vectors) in summaries.by_model().items():
        class_of = class_names(model)
        if len(class_of) != vectors.shape[1]:
            continue  # a model that is no longer registered
        is_indexed = vectors >= INDEXED_FROM
        is_indexed[np.arange(len(members)), columns["best"][members]] = True
        objects, classes = np.nonzero(is_indexed)
        scores = vectors[objects, classes].tolist()
        for i, class_index, score in zip(members[objects].tolist(), classes.tolist(), scores, strict=True):
            survey, _, object_id = names[i]
            entries.setdefault(("c", survey, class_of[class_index]), {})[object_id] = score
    return entries
