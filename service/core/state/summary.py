"""An object in short: what lists, searches and the live stream say of it, without its light curve.

A stored summary is `SUMMARY_COLUMNS` followed by the calibrated class vector, float32. It is
stored beside the state of its object and written with it.
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
        ("model", "<u8"),  # that gave the vector; 0 without one
        ("alert_id", "<u8"),  # that the vector is of; 0 without one
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
"""A class of less than this probability is not searched for, unless it is the most probable one."""

ClassNames = Callable[[int], Sequence[str]]
"""Gives the names of a model's classes by its digest; none for one that is not known."""

IndexName = tuple[str, ...]
"""Which index: ("t", survey), ("p", survey), or ("c", survey, class name)."""


@dataclass(frozen=True, slots=True)
class Summaries:
    """n objects in short.

    Attributes
    ----------
    heads
        `SUMMARY_COLUMNS`, shape (n,).
    vectors
        Bytes of the class vector of each, float32; empty for none.
    """

    columns: NDArray[np.void]
    vectors: list[bytes]

    def stored(self) -> list[bytes]:
        """Give the stored form of each."""
        heads, size = self.columns.tobytes(), SUMMARY_COLUMNS.itemsize
        return [heads[i * size : (i + 1) * size] + vector for i, vector in enumerate(self.vectors)]

    def take(self, index: Sequence[int]) -> "Summaries":
        """Give some of them."""
        return Summaries(self.columns[list(index)], [self.vectors[i] for i in index])

    def by_model(self) -> Mapping[int, tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Give which objects have a vector of each model, and these vectors, shape (m, n_classes)."""
        groups: dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}
        for model in np.unique(self.columns["model"]).tolist():
            members = np.flatnonzero((self.columns["model"] == model) & (self.columns["best"] != ABSENT))
            if len(members):
                joined = b"".join([self.vectors[i] for i in members.tolist()])
                groups[model] = members, np.frombuffer(joined, "<f4").reshape(len(members), -1)
        return groups


def read_summaries(stored: Sequence[bytes]) -> Summaries:
    """Read stored summaries; one that cannot be read comes back without alert and without vector."""
    size = SUMMARY_COLUMNS.itemsize
    unknown = np.zeros(1, SUMMARY_COLUMNS)
    unknown["reason"] = unknown["band"] = unknown["best"] = ABSENT
    filler = unknown.tobytes()
    good = [len(one) >= size and one[0] == VERSION for one in stored]
    heads = b"".join([one[:size] if ok else filler for one, ok in zip(stored, good, strict=True)])
    vectors = [one[size:] if ok else b"" for one, ok in zip(stored, good, strict=True)]
    return Summaries(np.frombuffer(heads, SUMMARY_COLUMNS), vectors)


def summarise(states: Sequence[ObjectState]) -> Summaries:
    """Bring many objects into their short form."""
    heads = np.zeros(len(states), SUMMARY_COLUMNS)
    heads["version"] = VERSION
    for name in ("ra_deg", "dec_deg"):
        heads[name] = [getattr(state, name) for state in states]
    heads["last_mjd_tai"] = [state.last_alert_mjd_tai for state in states]
    _fill_photometry(heads, states)
    return Summaries(heads, _fill_classes(heads, states))


def _fill_photometry(heads: NDArray[np.void], states: Sequence[ObjectState]) -> None:
    rows, offsets = pack([state.observations for state in states])
    detected = np.flatnonzero(rows["kind"] == Kind.DETECTION)
    bounds = np.searchsorted(detected, offsets)  # rows are by time within an object
    heads["n_detections"] = counts = np.diff(bounds)
    heads["first_mjd_tai"] = heads["magnitude"] = np.nan
    heads["band"] = ABSENT
    some = np.flatnonzero(counts)
    first, last = detected[bounds[:-1][some]], detected[bounds[1:][some] - 1]
    heads["first_mjd_tai"][some] = rows["mjd_tai"][first]
    heads["band"][some] = rows["band"][last]
    heads["magnitude"][some] = magnitude_of_flux_njy(rows["flux_njy"][last])
    behind = [place for place, state in enumerate(states) if not state.has_all_rows]
    if behind:
        heads[behind] = _with_settled(heads[behind], [states[place].archived.checkpoint for place in behind])


def _with_settled(heads: NDArray[np.void], checkpoints: Sequence[NDArray[np.float64]]) -> NDArray[np.void]:
    """Add to heads, which tell of the rows behind them, the settled ones."""
    known = np.array(checkpoints).T
    some = known[N_LISTED_DETECTIONS] > 0
    alone = some & (heads["n_detections"] == 0)
    heads["band"][alone] = known[LAST_DETECTION_BAND, alone]
    heads["magnitude"][alone] = magnitude_of_flux_njy(known[LAST_DETECTION_FLUX_NJY, alone])
    heads["n_detections"] += known[N_LISTED_DETECTIONS].astype(heads["n_detections"].dtype)
    heads["first_mjd_tai"][some] = known[FIRST_DETECTION_MJD_TAI, some]
    return heads


def _fill_classes(heads: NDArray[np.void], states: Sequence[ObjectState]) -> list[bytes]:
    """Fill in what the latest alerts were answered; gives the class vectors."""
    heads["reason"] = heads["best"] = ABSENT
    vectors = [b""] * len(states)
    by_width: dict[int, list[tuple[int, bytes]]] = {}
    for place, state in enumerate(states):
        entries = state.history.entries
        if len(entries):
            last, reason = _latest(state.history, state.last_alert_mjd_tai)
            heads["reason"][place] = reason
            if last is not None:
                by_width.setdefault(state.history.width, []).append((place, entries[last].tobytes()))
    for width, found in by_width.items():
        places = np.array([place for place, _ in found])
        chosen = np.frombuffer(b"".join([entry for _, entry in found]), entry_dtype(width))
        probability = chosen["probability"]
        best = probability.argmax(axis=1)
        heads["model"][places] = chosen["model"]
        heads["alert_id"][places] = chosen["alert_id"]
        heads["best"][places] = best
        heads["best_probability"][places] = probability[np.arange(len(best)), best]
        packed, size = np.ascontiguousarray(probability).tobytes(), 4 * width
        lengths = (4 * chosen["n_classes"].astype(np.int64)).tolist()
        for i, (place, length) in enumerate(zip(places.tolist(), lengths, strict=True)):
            vectors[place] = packed[i * size : i * size + length]
    return vectors


def _latest(history: History, last_alert_mjd_tai: float) -> tuple[int | None, int]:
    """Give the place of the latest classification, None where nothing was classified, and the latest reason.

    By the time of the alerts, whatever the order in which they came; the usual case, that the last entry
    is the latest, is decided without sorting.
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
    """Say where objects stand in each index.

    Parameters
    ----------
    keys
        `service.core.alerts.object_key` of n objects.
    summaries
        Of the same objects.
    class_names
        Of every model they name.

    Returns
    -------
    dict
        Index to the survey's own name of an object to its score: the time of its latest alert, MJD TAI; its
        pixel; the probability of the class, where that is at least `INDEXED_FROM` or the greatest.
    """
    found: dict[IndexName, dict[str, float]] = {}
    heads = summaries.columns
    names = [key.partition(":") for key in keys]
    columns = zip(
        names,
        heads["last_mjd_tai"].tolist(),
        pixels(heads["ra_deg"], heads["dec_deg"]).tolist(),
        strict=True,
    )
    for (survey, _, name), mjd_tai, pixel in columns:
        if mjd_tai == mjd_tai:  # NaN, of no alert, differs from itself
            found.setdefault(("t", survey), {})[name] = mjd_tai
        if pixel != NOWHERE:
            found.setdefault(("p", survey), {})[name] = pixel
    for model, (members, vectors) in summaries.by_model().items():
        class_of = class_names(model)
        if len(class_of) != vectors.shape[1]:
            continue  # a model that nobody knows any more
        likely = vectors >= INDEXED_FROM
        likely[np.arange(len(members)), heads["best"][members]] = True
        rows, classes = np.nonzero(likely)
        scores = vectors[rows, classes].tolist()
        for place, one, score in zip(members[rows].tolist(), classes.tolist(), scores, strict=True):
            survey, _, name = names[place]
            found.setdefault(("c", survey, class_of[one]), {})[name] = score
    return found
