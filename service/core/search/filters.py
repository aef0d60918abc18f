"""Named filters of results: conditions on an alert's result and on its object's past.

A filter evaluates an object as of the alert: rows of the light curve up to its time, and the results made
before its own. The same result therefore passes or fails no matter when it is evaluated, as long as the
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
"""A filter's matches are published to the topic named by this prefix and the filter's name."""

_STORED_NAMES = {"min_mag": "min_magnitude", "max_mag": "max_magnitude"}

RISING_SIGMAS = 2.0
"""Brighter by more than this many standard deviations of the difference counts as rising."""


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """A filter.

    Attributes
    ----------
    name
        Lower-case letters, digits and hyphens.
    criteria
        Conditions on the result itself.
    rising
        The alert's detection is brighter than the one before it in the same passband.
    stable_epochs
        This many results in a row, up to this one, have the criteria's class, or else the same class, as the
        most probable; 0 for no condition.
    first_time
        No earlier result passes the criteria's class and probability.
    description
        Note for people.
    """

    name: str
    criteria: Criteria
    rising: bool = False
    stable_epochs: int = 0
    first_time: bool = False
    description: str = ""

    @property
    def topic(self) -> str:
        """Kafka topic of the matches."""
        return TOPIC_PREFIX + self.name

    def mask(self, batch: ResultBatch) -> NDArray[np.bool_]:
        """Return which results pass; bool, shape (n,).

        Parameters
        ----------
        batch
            n results, with the states of their objects.
        """
        passes = self.criteria.mask(batch.surveys, batch.summaries, batch.vocabulary.names)
        passes &= batch.summaries.columns["reason"] == Reason.CLASSIFIED
        if self.rising or self.stable_epochs or self.first_time:
            for index in np.flatnonzero(passes).tolist():
                passes[index] = self._past_passes(batch, index)
        return passes

    def _past_passes(self, batch: ResultBatch, index: int) -> bool:
        state, record = batch.states[index], batch.records[index]
        if state is None:
            return False  # unknown values fail the condition
        if self.rising and not _is_rising(state, record["alert_id"], record["mjd_tai"]):
            return False
        if not self.stable_epochs and not self.first_time:
            return True
        past = _results_before(state, record["alert_id"])
        if past is None:
            return False
        names = tuple(entry["class_name"] for entry in record["classifications"])
        best = names[int(batch.summaries.columns["best"][index])]
        return self._is_stable(past, names, best) and not (
            self.first_time and self._had_class_before(past, names)
        )

    def _is_stable(self, past: Sequence[Classification], names: Sequence[str], best: str) -> bool:
        class_name = self.criteria.class_name or best
        bests = [*(_best(result, names) for result in past), best]
        needed = self.stable_epochs
        return not needed or (len(bests) >= needed and set(bests[-needed:]) == {class_name})

    def _had_class_before(self, past: Sequence[Classification], names: Sequence[str]) -> bool:
        class_name, least = self.criteria.class_name, np.float32(self.criteria.min_probability or 0.0)
        for result in past:
            if len(result.probability) != len(names):
                continue  # of a model with other classes
            if class_name is None:
                passed = bool(result.probability.max() >= least)
            elif self.criteria.min_probability is None:
                passed = _best(result, names) == class_name
            else:
                passed = bool(result.probability[names.index(class_name)] >= least)
            if passed:
                return True
        return False


class FilterStore(Protocol):
    """Storage of filters; every method raises `StoreUnavailableError` where it does not answer."""

    def all(self) -> list[FilterSpec]:
        """Return every filter, by name."""

    def put(self, spec: FilterSpec) -> bool:
        """Store a filter, and return whether it is new.

        Parameters
        ----------
        spec
            The filter; replaces one of the same name.
        """

    def remove(self, name: str) -> bool:
        """Remove a filter, and return whether there was one.

        Parameters
        ----------
        name
            Name of the filter.
        """


def write_filter(spec: FilterSpec) -> dict[str, Any]:
    """Return a filter in its stored form, which `read_filter` reads.

    The stored form keeps its own names of fields, so that services of an earlier version read it too.

    Parameters
    ----------
    spec
        The filter.
    """
    value = asdict(spec)
    value["criteria"] = {_STORED_NAMES.get(name, name): each for name, each in value["criteria"].items()}
    return value


def read_filter(value: dict[str, Any]) -> FilterSpec:
    """Return the filter of a stored form.

    Parameters
    ----------
    value
        As `write_filter` returns it.
    """
    names = {stored: name for name, stored in _STORED_NAMES.items()}
    criteria = {names.get(stored, stored): each for stored, each in value["criteria"].items()}
    criteria["surveys"] = tuple(Survey(survey) for survey in criteria["surveys"])
    criteria["cone"] = Cone(**criteria["cone"]) if criteria["cone"] else None
    return FilterSpec(**(value | {"criteria": Criteria(**criteria)}))


def _is_rising(state: ObjectState, alert_id: int, mjd_tai: float) -> bool:
    detections = detections_as_of(state, mjd_tai)
    of_alert = np.flatnonzero(detections["source_id"] == np.uint64(alert_id))
    if not len(of_alert):
        return False
    last = detections[of_alert[-1]]
    before = detections[(detections["band"] == last["band"]) & (detections["mjd_tai"] < last["mjd_tai"])]
    if not len(before):
        return False
    noise_njy = math.hypot(last["flux_err_njy"], before[-1]["flux_err_njy"])
    return float(last["flux_njy"]) - float(before[-1]["flux_njy"]) > RISING_SIGMAS * noise_njy


def _results_before(state: ObjectState, alert_id: int) -> list[Classification] | None:
    """Return the classified results made before an alert's own, oldest first; None if not stored."""
    of_alert = np.flatnonzero(state.history.alert_ids == np.uint64(alert_id))
    if not len(of_alert):
        return None
    return [result for result in state.history[: int(of_alert[0])] if result.reason == Reason.CLASSIFIED]


def _best(result: Classification, names: Sequence[str]) -> str | None:
    return names[int(result.probability.argmax())] if len(result.probability) == len(names) else None
