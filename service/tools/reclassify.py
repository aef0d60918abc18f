"""Any model over the stored light curves: which alerts are due, what it says, and where that goes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.core.abstention import AbstentionPolicy
from service.core.alerts import OBSERVATION, AlertBatch, Kind, Survey
from service.core.classification import Classification, Reason
from service.core.classifier import ObjectClassifier
from service.core.point_in_time import classify_at
from service.core.ports.messages import OutgoingMessage
from service.core.ports.store import ModelInfo, ObjectStore
from service.core.records.encoding import AlertTimes, encode_avro, encode_json, native_records
from service.core.state.object_state import ObjectState, StateError, decode_state
from service.core.state.shadow_history import add_results, read_histories
from service.kafka.sink import KafkaSink
from service.kafka.topic_ranges import RangeReader
from service.settings import OutputFormat
from service.tools.audit.topic_extents import true_extents
from service.tools.transactions import abort_and_close
from service.worker.clock import SystemClock

__all__ = ["PendingObject", "Reclassifier", "ResultStore", "ShadowResults", "TopicResults", "surveys_of"]

OBJECTS_AT_A_TIME = 200
PATIENCE = timedelta(minutes=2)
MODEL_HEADER = "model"
ALERT_HEADER = "alert"

# What was decided by the alert itself, not by a model: it holds for every model.
OF_THE_ALERT = frozenset({Reason.SOLAR_SYSTEM, Reason.LOW_REAL_BOGUS, Reason.STAR})


class PendingObject(NamedTuple):
    """One alert of an object as of which it is to be classified.

    Attributes
    ----------
    key
        The object's.
    state
        As it is stored.
    earlier
        What the model at work said of that alert.
    """

    key: str
    state: ObjectState
    earlier: Classification


class ResultStore(Protocol):
    """Where answers go, each alert's once however often the command is called."""

    def known(self, due: Sequence[PendingObject]) -> list[bool]:
        """Say which alerts have their answer there already."""

    def write(self, due: Sequence[PendingObject], made: Sequence[Classification]) -> None:
        """Write answers, all or none where the place can do that."""


def surveys_of(survey: Survey) -> tuple[Survey, ...]:
    """Give the surveys whose light curves a model can read."""
    return (Survey.ZTF,) if survey is Survey.ZTF else (Survey.LSST, Survey.ELASTICC)


class ShadowResults:
    """Results beside the objects, in a history of the model's own.

    Parameters
    ----------
    store
        Of objects.
    model
        Whose answers these are.
    limit
        Answers kept per object.
    """

    def __init__(self, store: ObjectStore, model: ModelInfo, limit: int) -> None:
        store.register_model(model)
        self._store = store.for_model(model.digest)
        self._limit = limit

    def known(self, due: Sequence[PendingObject]) -> list[bool]:
        """Look the alerts up in the history."""
        keys = list(dict.fromkeys(one.key for one in due))
        histories = dict(zip(keys, read_histories(self._store, keys), strict=True))
        return [histories[one.key].find(one.earlier.alert_id) is not None for one in due]

    def write(self, due: Sequence[PendingObject], made: Sequence[Classification]) -> None:
        """Add to the histories; an answer that is there stays."""
        by_key: dict[str, list[Classification]] = {}
        for one, answer in zip(due, made, strict=True):
            by_key.setdefault(one.key, []).append(answer)
        add_results(self._store, by_key, self._limit, SystemClock().pause)


class TopicResults:
    """Results in a topic, in transactions; what it holds already is read at the start.

    Parameters
    ----------
    topic
        Exists.
    options
        librdkafka options, the brokers among them.
    sink
        Connected, and closed by the caller.
    model
        Whose answers these are.
    output_format
        Encoding of the records.
    again
        Write what is there once more.
    """

    def __init__(
        self,
        topic: str,
        options: Mapping[str, Any],
        sink: KafkaSink,
        model: ModelInfo,
        output_format: OutputFormat,
        *,
        again: bool,
    ) -> None:
        self._topic = topic
        self._sink = sink
        self._model = model
        self._encode = encode_avro if output_format is OutputFormat.AVRO else encode_json
        self._digest = f"{model.digest:016x}".encode()
        self._written: set[bytes] = set() if again else self._read(options)

    def _read(self, options: Mapping[str, Any]) -> set[bytes]:
        ranges = {
            place: range(one.low, one.high) for place, one in true_extents(options, [self._topic]).items()
        }
        with RangeReader(options, ranges, PATIENCE) as reader:
            return {
                _short(record.headers[ALERT_HEADER])
                for record in reader
                if record.headers.get(MODEL_HEADER) == self._digest
            }

    def known(self, due: Sequence[PendingObject]) -> list[bool]:
        """Look the alerts up among what the topic holds."""
        return [_short(_alert_header(one)) in self._written for one in due]

    def write(self, due: Sequence[PendingObject], made: Sequence[Classification]) -> None:
        """Publish in one transaction."""
        alerts = _heads(due)
        now_ms = max(one.classified_at_ms for one in made)
        times = AlertTimes(np.full(len(due), -1, np.int64), now_ms)
        names = {self._model.digest: self._model.classifier}
        values = self._encode(native_records(alerts, made, names, times))
        self._sink.begin()
        self._sink.produce(
            OutgoingMessage(
                self._topic,
                object_id.encode(),
                value,
                [(MODEL_HEADER, self._digest), (ALERT_HEADER, _alert_header(one))],
            )
            for one, object_id, value in zip(due, alerts.object_id, values, strict=True)
        )
        self._sink.commit(abort_and_close)
        self._written |= {_short(_alert_header(one)) for one in due}


@dataclass(slots=True)
class Reclassifier:
    """Runs a model over stored objects.

    Parameters
    ----------
    store
        Of objects; they are only read.
    classifier
        The model.
    results
        Where its answers go.
    every_alert
        Classify as of each alert whose classification is kept, not as of the latest alone.
    since_mjd_tai
        Pass over objects without an alert since.

    Attributes
    ----------
    objects
        How many objects met which fate: ``read``, ``unknown``, ``unreadable``, ``without alerts``,
        ``before --since``.
    alerts
        How many alerts met which fate: ``classified``, ``there already``, or a reason of abstention.
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
        """Classify objects; gives from time to time how many were dealt with since the last time.

        Parameters
        ----------
        keys
            Of objects; one that comes again is passed over.
        now_ms
            Unix time of the results.
        """
        rest = iter(keys)
        while some := list(islice(rest, OBJECTS_AT_A_TIME)):
            new = [key for key in dict.fromkeys(some) if _short(key.encode()) not in self._seen]
            self._seen |= {_short(key.encode()) for key in new}
            self._take(new, now_ms)
            yield len(some)

    def _take(self, keys: Sequence[str], now_ms: int) -> None:
        stored = zip(keys, self.store.load(keys), strict=True)
        due = [alert for key, blob in stored for alert in self._due(key, blob)]
        is_known = self.results.known(due)
        due = [alert for alert, known in zip(due, is_known, strict=True) if not known]
        self.alerts["there already"] += sum(is_known)
        if due:
            made = self._classify(due, now_ms)
            self.results.write(due, made)
            self.alerts.update(one.reason.label for one in made)

    def _due(self, key: str, blob: bytes | None) -> list[PendingObject]:
        """Give the alerts of an object that are to be classified, and count what the object is."""
        state, fate = _read(blob, self.since_mjd_tai)
        self.objects[fate] += 1
        if state is None:
            return []
        history = state.history
        order = np.argsort(history.entries["mjd_tai"], kind="stable").tolist()
        return [
            PendingObject(key, state, history[place]) for place in (order if self.all_epochs else order[-1:])
        ]

    def _classify(self, due: Sequence[PendingObject], now_ms: int) -> list[Classification]:
        bundle = self.classifier.bundle
        times = np.array([one.earlier.mjd_tai for one in due])
        outcome = classify_at(self.classifier, [one.state for one in due], times)
        own = AbstentionPolicy().reasons(
            _heads(due),
            np.arange(len(due)),
            outcome.summary,
            window_days=bundle.window_days,
            min_detections=bundle.min_detections,
        )
        reasons = [
            one.earlier.reason if one.earlier.reason in OF_THE_ALERT else reason
            for one, reason in zip(due, own.tolist(), strict=True)
        ]
        alert_ids = np.array([one.earlier.alert_id for one in due], np.uint64)
        return self.classifier.classifications(
            outcome, np.array(reasons, np.uint8), alert_ids, times, now_ms
        ).rows()


def _read(blob: bytes | None, since_mjd_tai: float) -> tuple[ObjectState | None, str]:
    """Read an object, and say what became of it."""
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


def _heads(due: Sequence[PendingObject]) -> AlertBatch:
    """Give what is stored of alerts in the form in which they came."""
    n = len(due)
    names = [one.key.partition(":") for one in due]
    unknown = np.full(n, np.nan, np.float32)
    return AlertBatch(
        message=np.arange(n),
        survey=tuple(Survey(survey) for survey, _, _ in names),
        object_id=tuple(name for _, _, name in names),
        alert_id=np.array([one.earlier.alert_id for one in due], np.uint64),
        mjd_tai=np.array([one.earlier.mjd_tai for one in due]),
        ra_deg=np.array([one.state.ra_deg for one in due]),
        dec_deg=np.array([one.state.dec_deg for one in due]),
        band=_bands(due),
        is_solar_system=np.zeros(n, np.bool_),
        real_bogus=unknown,
        star_galaxy=unknown,
        star_distance_arcsec=unknown,
        redshift=unknown,
        redshift_err=unknown,
        mwebv=unknown,
        offsets=np.zeros(n + 1, np.int64),
        observations=np.empty(0, OBSERVATION),
    )


def _bands(due: Sequence[PendingObject]) -> NDArray[np.uint8]:
    """Give the band of each alert: that of its own detection, else of the row nearest in time."""
    bands = np.zeros(len(due), np.uint8)
    for place, one in enumerate(due):
        rows = one.state.observations
        own = (rows["source_id"] == one.earlier.alert_id) & (rows["kind"] == Kind.DETECTION)
        nearest = int(np.argmin(np.abs(rows["mjd_tai"] - one.earlier.mjd_tai)))
        bands[place] = rows["band"][int(own.argmax()) if own.any() else nearest]
    return bands


def _alert_header(one: PendingObject) -> bytes:
    return f"{one.key}:{one.earlier.alert_id}".encode()


def _short(name: bytes) -> bytes:
    """Shorten a name: of a thousand million, two have the same short form with a chance of 1 in 10^20."""
    return blake2b(name, digest_size=16).digest()
