"""One batch: from messages to messages, with the objects' states in the store in between."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import structlog

from service.core.alerts import AlertBatch, DecodedBatch, object_key
from service.core.classification import Classification
from service.core.ports.messages import SourceMessage
from service.core.ports.store import ObjectStore
from service.core.state.layout import next_counter, recent_length
from service.core.state.object_state import (
    EMPTY_STATE,
    NO_ARCHIVED_ROWS,
    ObjectState,
    StateError,
    decode_recent,
    decode_state,
)
from service.core.state.summary import index_entries, summarise
from service.decoding.decoder import RawMessage
from service.errors import StoreUnavailableError
from service.logs import compiling
from service.worker.clock import Clock
from service.worker.index_sweep import IndexSweep
from service.worker.models import ModelShelf
from service.worker.object_update import ObjectUpdate
from service.worker.publish import BatchResult, Publisher
from service.worker.shadow import ShadowClassifier
from service.worker.topics import SourceTopics
from service.worker.trace import NO_TRACE, Tracer
from service.worker.update import ObjectUpdater

__all__ = ["BatchProcessor", "MessageDecoder"]

log = structlog.get_logger(__name__)

# Each time a writer loses a race another one wins it, so many losses in a row mean that something is wrong.
MOST_ATTEMPTS = 30
FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 0.1


class MessageDecoder(Protocol):
    """What makes alerts of bytes."""

    def decode(self, messages: Sequence[RawMessage]) -> DecodedBatch:
        """Decode messages; each gives its alerts or one rejection."""

    def warm_up(self) -> None:
        """Compile what is not compiled yet."""


class BatchProcessor:
    """Decode, merge, classify, store, encode.

    An alert that was processed before, as its object's history tells, gives its stored result again,
    whatever is known by now; rows that it did not bring then are still merged, so that two packets of one
    alert leave the same light curve in either order. Alerts of one object are processed in order of
    arrival, each as if alone, so that the results do not depend on how messages fall into batches.

    Parameters
    ----------
    topics
        Survey of each topic.
    decoder
        Bytes to alerts.
    store
        States of objects.
    models
        Models at work and their register.
    advancer
        Takes objects one alert further.
    publisher
        Results to messages.
    clock
        Time.
    shadow
        Models that answer aside; None for none.
    tracer
        Times the steps.
    """

    def __init__(
        self,
        topics: SourceTopics,
        decoder: MessageDecoder,
        store: ObjectStore,
        models: ModelShelf,
        advancer: ObjectUpdater,
        publisher: Publisher,
        clock: Clock,
        shadow: ShadowClassifier | None = None,
        tracer: Tracer = NO_TRACE,
    ) -> None:
        self._topics = topics
        self._decoder = decoder
        self._store = store
        self._models = models
        self._advancer = advancer
        self._publisher = publisher
        self._clock = clock
        self._shadow = shadow
        self._tracer = tracer
        self._sweep = IndexSweep(store.index)
        self._aside: dict[int, Classification] = {}  # what the shadow says of the batch in hand
        self._random = random.Random()  # noqa: S311  for pauses

    def prepare(self) -> None:
        """Register the models and compile what is not compiled yet.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        self._models.register()
        with compiling(log):
            if self._shadow is not None:
                self._shadow.prepare()
            self._models.warm_up()
            self._decoder.warm_up()

    def idle(self) -> None:
        """Do nothing."""

    def process(self, messages: Sequence[SourceMessage]) -> BatchResult:
        """Process a batch; safe to be repeated with the same messages.

        Raises
        ------
        TransientError
            The store or the schema registry does not answer. Some objects may have been stored.
        """
        ingested_ms = self._clock.now_ms()
        raw = [RawMessage(message.value or b"", self._topics.survey(message.topic)) for message in messages]
        with self._tracer.span("decode", len(raw)):
            decoded = self._decoder.decode(raw)
        self._aside.clear()
        results = self._classify(decoded.alerts)
        with self._tracer.span("encode", len(results)):
            batch = self._publisher.publish(messages, decoded, results, self._models.known, ingested_ms)
        if self._shadow is not None:
            aside = self._shadow.store_and_encode(messages, decoded.alerts, self._aside, ingested_ms)
            batch.outgoing.extend(aside)
        self._sweep.step(ingested_ms)
        return batch

    def _classify(self, alerts: AlertBatch) -> list[Classification]:
        """Bring every alert into its object's state, and give the result of each."""
        results: dict[int, Classification] = {}
        todo = _by_object(alerts)
        for attempt in range(MOST_ATTEMPTS):
            todo = self._attempt(alerts, todo, results)
            if not todo:
                return [results[index] for index in range(len(alerts))]
            # Without chance two workers on the same objects could keep step for ever.
            pause_s = min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S)
            self._clock.sleep(pause_s * self._random.random())
        raise StoreUnavailableError(
            f"{len(todo)} objects were changed by others at each of {MOST_ATTEMPTS} attempts"
        )

    def _attempt(
        self, alerts: AlertBatch, todo: dict[str, list[int]], results: dict[int, Classification]
    ) -> dict[str, list[int]]:
        """Process the alerts of some objects; gives those objects that another worker changed meanwhile."""
        with self._tracer.span("load", len(todo)):
            objects = self._load(alerts, todo)
        self._learn_models(objects)
        with self._tracer.span("classify", len(objects)):
            self._run(alerts, objects, results)
        with self._tracer.span("save", len(objects)):
            return {one.key: one.alerts for one in self._save(objects)}

    def _load(self, alerts: AlertBatch, todo: dict[str, list[int]]) -> list[ObjectUpdate]:
        """Read objects; the settled rows only of those whose alerts reach back to them."""
        blobs = self._store.load_recent(list(todo))
        objects = [
            ObjectUpdate(key, own, blob, next_counter(blob), _read_head(key, blob))
            for (key, own), blob in zip(todo.items(), blobs, strict=True)
        ]
        behind = [place for place, one in enumerate(objects) if not one.state.has_all_rows]
        if not behind:
            return objects
        reaching = self._reaching(alerts, [objects[place] for place in behind])
        chosen = [place for place, reaches in zip(behind, reaching, strict=True) if reaches]
        whole = self._store.load([objects[place].key for place in chosen])
        for place, blob in zip(chosen, whole, strict=True):
            key, own = objects[place].key, objects[place].alerts
            objects[place] = ObjectUpdate(key, own, blob, next_counter(blob), _read(key, blob))
        return objects

    def _reaching(self, alerts: AlertBatch, objects: Sequence[ObjectUpdate]) -> list[bool]:
        """Say for which objects an alert cannot be processed without the settled rows."""
        if self._shadow is not None:  # it reads whole light curves
            return [True] * len(objects)
        brought = np.minimum.reduceat(alerts.observations["mjd_tai"], alerts.offsets[:-1])
        earliest = np.minimum(brought, alerts.mjd_tai)
        own = [index for one in objects for index in one.alerts]
        starts = np.cumsum([0, *(len(one.alerts) for one in objects[:-1])])
        return self._advancer.needs_archived_rows(
            [alerts.survey[one.alerts[0]] for one in objects],
            [one.state for one in objects],
            np.minimum.reduceat(earliest[own], starts),
        )

    def _save(self, objects: Sequence[ObjectUpdate]) -> list[ObjectUpdate]:
        """Write what changed, and where every object stands; gives those that another worker changed.

        Objects that did not change are placed again: this may be the second time for a batch that was cut
        off between the two the first time.
        """
        summaries = summarise([one.state for one in objects])
        columns = zip(objects, summaries.stored(), strict=True)
        writes = [one.write(summary) for one, summary in columns if one.changed]
        written = iter(self._store.save(writes))
        is_kept = [not one.changed or next(written) for one in objects]
        kept = [place for place, keep in enumerate(is_kept) if keep]
        keys = [objects[place].key for place in kept]
        self._store.index.add(index_entries(keys, summaries.take(kept), self._models.class_names))
        return [one for one, keep in zip(objects, is_kept, strict=True) if not keep]

    def _run(
        self, alerts: AlertBatch, objects: list[ObjectUpdate], results: dict[int, Classification]
    ) -> None:
        """Process the first alert of every object, then the second of those that have one, and so on."""
        now_ms = self._clock.now_ms()
        alert_ids = alerts.alert_id.tolist()
        everything, turn = objects, 0
        while objects := [one for one in objects if len(one.alerts) > turn]:
            repeated = self._answer_again(objects, turn, alert_ids, results)
            fresh = [one for one in objects if not one.is_repeat] + self._with_news(alerts, repeated, turn)
            index = [one.alerts[turn] for one in fresh]
            made = self._advancer.update(alerts, index, fresh, now_ms)
            answers = zip(fresh, index, made, strict=True)
            results.update({place: result for one, place, result in answers if not one.is_repeat})
            if self._shadow is not None:
                everyone = [one.alerts[turn] for one in objects]
                self._aside |= self._shadow.classify(alerts, everyone, objects, now_ms)
            turn += 1
        self._advancer.compact(everything)

    def _answer_again(
        self,
        objects: Sequence[ObjectUpdate],
        turn: int,
        alert_ids: Sequence[int],
        results: dict[int, Classification],
    ) -> list[ObjectUpdate]:
        """Give the stored results of alerts that were processed before; gives the objects of those."""
        for one in objects:
            index = one.alerts[turn]
            known = self._result_of(one.state, alert_ids[index])
            one.is_repeat = known is not None
            if known is not None:
                results[index] = known
        return [one for one in objects if one.is_repeat]

    def _with_news(
        self, alerts: AlertBatch, repeated: Sequence[ObjectUpdate], turn: int
    ) -> list[ObjectUpdate]:
        news = self._advancer.changes_light_curve(alerts, [one.alerts[turn] for one in repeated], repeated)
        return [one for one, is_new in zip(repeated, news, strict=True) if is_new]

    def _result_of(self, state: ObjectState, alert_id: int) -> Classification | None:
        """Give the stored result of an alert, if there is one that we can publish again."""
        result = state.history.find(alert_id) if len(state.history) else None
        is_readable = result is not None and (result.model == 0 or result.model in self._models.known)
        return result if is_readable else None

    def _learn_models(self, objects: Sequence[ObjectUpdate]) -> None:
        """Ask the store for models that results name and we do not know: a worker with another one runs."""
        named = {model for one in objects for model in one.state.history.entries["model"].tolist()}
        if not named <= {0, *self._models.known}:
            self._models.learn()


def _by_object(alerts: AlertBatch) -> dict[str, list[int]]:
    """Give the alerts of each object, in order of arrival."""
    owned: dict[str, list[int]] = {}
    for index, (survey, object_id) in enumerate(zip(alerts.survey, alerts.object_id, strict=True)):
        owned.setdefault(object_key(survey, object_id), []).append(index)
    return owned


def _read_head(key: str, blob: bytes | None) -> ObjectState:
    if blob is None:
        return EMPTY_STATE
    try:
        return decode_recent(blob)
    except StateError as error:
        # The packet carries the light curve: the object is built anew from it.
        log.warning("stored object cannot be read and is replaced", object=key, error=str(error))
        return EMPTY_STATE


def _read(key: str, blob: bytes | None) -> ObjectState:
    if blob is None:
        return EMPTY_STATE
    try:
        return decode_state(blob)
    except StateError as error:
        head = _read_head(key, blob[: recent_length(blob)])
        if head.archived.n_rows:  # so it is these that cannot be read, and everything else is good
            log.warning("settled rows cannot be read and are given up", object=key, error=str(error))
            return replace(head, archived=NO_ARCHIVED_ROWS, has_all_rows=True, model=0)
        return head
