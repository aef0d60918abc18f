"""Run a model over stored objects."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from service.core.abstention import AbstentionPolicy
from service.core.classification import Classification, Reason
from service.core.classifier import ObjectClassifier
from service.core.point_in_time import classify_at
from service.core.ports.store import ObjectStore
from service.core.state.object_state import ObjectState, StateError, decode_state
from service.tools.reclassify.pending import PendingAlert, alert_batch
from service.tools.reclassify.results import ResultStore, short_name

__all__ = ["OBJECTS_PER_BATCH", "Reclassifier"]

OBJECTS_PER_BATCH = 200

# Decided by the alert itself, not by a model: these hold for every model.
ALERT_REASONS = frozenset({Reason.SOLAR_SYSTEM, Reason.LOW_REAL_BOGUS, Reason.STAR})


@dataclass(slots=True)
class Reclassifier:
    """Runs a model over stored objects, which are only read.

    Parameters
    ----------
    store
        The store of objects.
    classifier
        The model.
    results
        Where the results go.
    all_epochs
        Classify as of every alert whose classification is stored, not only as of the latest.
    since_mjd_tai
        Skip objects whose latest alert is older.

    Attributes
    ----------
    objects
        Number of objects by what became of them: ``read``, ``unknown``, ``unreadable``, ``without alerts``,
        ``before --since``.
    alerts
        Number of alerts by what became of them: ``classified``, ``there already``, or a reason of abstention.
    """

    store: ObjectStore
    classifier: ObjectClassifier
    results: ResultStore
    all_epochs: bool = False
    since_mjd_tai: float = -np.inf
    objects: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)
    _seen: set[bytes] = field(default_factory=set)

    def run(self, keys: Iterable[str], now_ms: int) -> Iterator[int]:
        """Classify objects, and yield the number of objects of each batch that is done.

        Parameters
        ----------
        keys
            Object keys; repeated ones are skipped.
        now_ms
            Time of the results, Unix milliseconds.

        Raises
        ------
        TransientError
            The store or the broker does not answer; what was written so far stays.
        """
        remaining = iter(keys)
        while batch := list(islice(remaining, OBJECTS_PER_BATCH)):
            new = [key for key in dict.fromkeys(batch) if short_name(key.encode()) not in self._seen]
            self._seen |= {short_name(key.encode()) for key in new}
            self._run_batch(new, now_ms)
            yield len(batch)

    def _run_batch(self, keys: Sequence[str], now_ms: int) -> None:
        stored = zip(keys, self.store.load(keys), strict=True)
        pending = [alert for key, blob in stored for alert in self._pending(key, blob)]
        is_known = self.results.known(pending)
        pending = [alert for alert, known in zip(pending, is_known, strict=True) if not known]
        self.alerts["there already"] += sum(is_known)
        if pending:
            results = self._classify(pending, now_ms)
            self.results.write(pending, results)
            self.alerts.update(result.reason.label for result in results)

    def _pending(self, key: str, blob: bytes | None) -> list[PendingAlert]:
        """Return the alerts of an object that are to be classified, and count the object."""
        state, outcome = _read(blob, self.since_mjd_tai)
        self.objects[outcome] += 1
        if state is None:
            return []
        history = state.history
        by_time = np.argsort(history.entries["mjd_tai"], kind="stable").tolist()
        selected = by_time if self.all_epochs else by_time[-1:]
        return [PendingAlert(key, state, history[index]) for index in selected]

    def _classify(self, pending: Sequence[PendingAlert], now_ms: int) -> list[Classification]:
        bundle = self.classifier.bundle
        times = np.array([alert.earlier.mjd_tai for alert in pending])
        outcome = classify_at(self.classifier, [alert.state for alert in pending], times)
        model_reasons = AbstentionPolicy().reasons(
            alert_batch(pending),
            np.arange(len(pending)),
            outcome.summary,
            window_days=bundle.window_days,
            min_detections=bundle.min_detections,
        )
        reasons = [
            alert.earlier.reason if alert.earlier.reason in ALERT_REASONS else reason
            for alert, reason in zip(pending, model_reasons.tolist(), strict=True)
        ]
        alert_ids = np.array([alert.earlier.alert_id for alert in pending], np.uint64)
        return self.classifier.classifications(
            outcome, np.array(reasons, np.uint8), alert_ids, times, now_ms
        ).rows()


def _read(blob: bytes | None, since_mjd_tai: float) -> tuple[ObjectState | None, str]:
    """Return an object's state if it is to be classified, and what became of the object."""
    if blob is None:
        return None, "unknown"
    try:
        state = decode_state(blob)
    except StateError:
        return None, "unreadable"
    if not len(state.history) or not len(state.observations):
        return None, "without alerts"
    if state.last_alert_mjd_tai < since_mjd_tai:
        return None, "before --since"
    return state, "read"
