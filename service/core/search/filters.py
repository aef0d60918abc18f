"""Named filters of results: what an alert's result must be, and what its object's past must have been.

A filter sees an object as of the alert: rows of the light curve up to its time, and the results that were
made before its own. The same result therefore passes or fails whenever it is looked at, as long as the
object is stored and the history reaches back to the alert.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from service.core.alerts import Survey
from service.core.classification import Classification, Reason
from service.core.records.result_batch import ResultBatch, detections_as_of
from service.core.search.criteria import Criteria
from service.core.sky import Cone
from service.core.state.object_state import ObjectState

__all__ = ["TOPIC_PREFIX", "FilterSpec", "FilterStore", "read_filter", "write_filter"]

TOPIC_PREFIX = "nightjar.filter."
"""A filter's matches go to the topic of this and its name."""

RISING_SIGMAS = 2.0
"""Brighter by so many standard deviations of the difference counts as rising."""


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """A filter.

    Attributes
    ----------
    name
        Lower-case letters, digits and hyphens.
    criteria
        What the result itself must be.
    rising
        The alert's detection is brighter than the one before it in the same passband.
    stable_epochs
        This and the results before it, so many in all, each have the class, or else the same one, as the most
        probable; 0 for no condition.
    first_time
        None of the results before it passes the criteria's class and probability.
    description
        For people.
    """

    name: str
    criteria: Criteria
    rising: bool = False
    stable_epochs: int = 0
    first_time: bool = False
    description: str = ""

    @property
    def topic(self) -> str:
        """Where matches are published."""
        return TOPIC_PREFIX + self.name

    def mask(self, batch: ResultBatch) -> NDArray[np.bool_]:
        """Say which results pass; bool, shape (n,)."""
        passes = self.criteria.mask(batch.surveys, batch.summaries, batch.vocabulary.names)
        passes &= batch.summaries.columns["reason"] == Reason.CLASSIFIED
        if self.rising or self.stable_epochs or self.first_time:
            for place in np.flatnonzero(passes).tolist():
                passes[place] = self._past_passes(batch, place)
        return passes

    def _past_passes(self, batch: ResultBatch, place: int) -> bool:
        state, record = batch.states[place], batch.records[place]
        if state is None:
            return False  # what is not known does not pass
        if self.rising and not _is_rising(state, record["alert_id"], record["mjd_tai"]):
            return False
        if not self.stable_epochs and not self.first_time:
            return True
        past = _results_before(state, record["alert_id"])
        if past is None:
            return False
        names = tuple(one["class_name"] for one in record["classifications"])
        best = names[int(batch.summaries.columns["best"][place])]
        return self._is_stable(past, names, best) and not (
            self.first_time and self._had_class_before(past, names)
        )

    def _is_stable(self, past: Sequence[Classification], names: Sequence[str], best: str) -> bool:
        wanted = self.criteria.class_name or best
        bests = [*(_best(one, names) for one in past), best]
        needed = self.stable_epochs
        return not needed or (len(bests) >= needed and set(bests[-needed:]) == {wanted})

    def _had_class_before(self, past: Sequence[Classification], names: Sequence[str]) -> bool:
        wanted, least = self.criteria.class_name, np.float32(self.criteria.min_probability or 0.0)
        for one in past:
            if len(one.probability) != len(names):
                continue  # of a model with other classes
            if wanted is None:
                found = bool(one.probability.max() >= least)
            elif self.criteria.min_probability is None:
                found = _best(one, names) == wanted
            else:
                found = bool(one.probability[names.index(wanted)] >= least)
            if found:
                return True
        return False


class FilterStore(Protocol):
    """Where filters are kept; every method raises `StoreUnavailableError` where it does not answer."""

    def all(self) -> list[FilterSpec]:
        """Read every filter, by name."""

    def put(self, spec: FilterSpec) -> bool:
        """Write a filter; whether it is new."""

    def remove(self, name: str) -> bool:
        """Take a filter away; whether there was one."""


def write_filter(spec: FilterSpec) -> dict[str, Any]:
    """Give a filter as it is stored."""
    return asdict(spec)


def read_filter(value: dict[str, Any]) -> FilterSpec:
    """Read a stored filter."""
    criteria = dict(value["criteria"])
    criteria["surveys"] = tuple(Survey(one) for one in criteria["surveys"])
    criteria["cone"] = Cone(**criteria["cone"]) if criteria["cone"] else None
    return FilterSpec(**(value | {"criteria": Criteria(**criteria)}))


def _is_rising(state: ObjectState, alert_id: int, mjd_tai: float) -> bool:
    detections = detections_as_of(state, mjd_tai)
    own = np.flatnonzero(detections["source_id"] == np.uint64(alert_id))
    if not len(own):
        return False
    last = detections[own[-1]]
    before = detections[(detections["band"] == last["band"]) & (detections["mjd_tai"] < last["mjd_tai"])]
    if not len(before):
        return False
    noise_njy = math.hypot(last["flux_err_njy"], before[-1]["flux_err_njy"])
    return float(last["flux_njy"]) - float(before[-1]["flux_njy"]) > RISING_SIGMAS * noise_njy


def _results_before(state: ObjectState, alert_id: int) -> list[Classification] | None:
    """Give the classified results made before an alert's own, oldest first; None where that is not kept."""
    own = np.flatnonzero(state.history.alert_ids == np.uint64(alert_id))
    if not len(own):
        return None
    return [one for one in state.history[: int(own[0])] if one.reason == Reason.CLASSIFIED]


def _best(one: Classification, names: Sequence[str]) -> str | None:
    return names[int(one.probability.argmax())] if len(one.probability) == len(names) else None
