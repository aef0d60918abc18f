"""One batch: decode, load, update, save, publish."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import structlog

from service.backoff import conflict_pause
from service.core.alerts import DecodedBatch
from service.core.classification import Classification
from service.core.compare_and_set import save_until_current
from service.core.ports.messages import SourceMessage
from service.core.ports.store import ObjectStore
from service.core.state.object_state import ObjectState
from service.decoding.decoder import RawMessage
from service.logs import compiling
from service.worker.clock import Clock
from service.worker.context import Batch
from service.worker.index_sweep import IndexSweep
from service.worker.models import WorkerModels
from service.worker.object_update import ObjectUpdate
from service.worker.objects import ObjectRepository
from service.worker.publish import BatchResult, Publisher
from service.worker.shadow import ShadowClassifier
from service.worker.topics import SourceTopics
from service.worker.trace import NO_TRACE, Tracer
from service.worker.update import ObjectUpdater

__all__ = ["BatchProcessor", "MessageDecoder"]

log = structlog.get_logger(__name__)


class MessageDecoder(Protocol):
    """Turns bytes into alerts."""

    def decode(self, messages: Sequence[RawMessage]) -> DecodedBatch:
        """Decode messages; each gives its alerts or one rejection.

        Parameters
        ----------
        messages
            Messages with the survey of each.
        """

    def warm_up(self) -> None:
        """Compile what is not compiled yet."""


class BatchProcessor:
    """Decode, load, update, save, publish.

    An alert that was processed before, as its object's history tells, gets its stored result again,
    whatever is known by now; rows that it did not bring then are still merged, so that two packets of one
    alert leave the same light curve in either order. Alerts of one object are processed in order of
    arrival, each as if alone, so the results do not depend on how messages are cut into batches.

    Parameters
    ----------
    topics
        Survey of each topic.
    decoder
        Bytes to alerts.
    store
        The store of objects.
    models
        The deployed models, and the registry of all models.
    updater
        Processes one alert of each of many objects.
    publisher
        Results to messages.
    clock
        Time.
    shadow
        Models whose results are compared with those of the deployed ones; None for none.
    tracer
        Times the steps.
    """

    def __init__(
        self,
        topics: SourceTopics,
        decoder: MessageDecoder,
        store: ObjectStore,
        models: WorkerModels,
        updater: ObjectUpdater,
        publisher: Publisher,
        clock: Clock,
        shadow: ShadowClassifier | None = None,
        tracer: Tracer = NO_TRACE,
    ) -> None:
        self._topics = topics
        self._decoder = decoder
        self._objects = ObjectRepository(store, models.registry.class_names)
        self._models = models
        self._updater = updater
        self._publisher = publisher
        self._clock = clock
        self._shadow = shadow
        self._tracer = tracer
        self._sweep = IndexSweep(store.index)

    def prepare(self) -> None:
        """Register the models and compile what is not compiled yet.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        self._models.registry.register()
        with compiling(log):
            if self._shadow is not None:
                self._shadow.prepare()
            self._models.warm_up()
            self._decoder.warm_up()

    def idle(self) -> None:
        """Do nothing."""

    def process(self, messages: Sequence[SourceMessage]) -> BatchResult:
        """Process a batch; safe to be repeated with the same messages.

        Parameters
        ----------
        messages
            As polled.

        Raises
        ------
        TransientError
            The store or the schema registry does not answer. Some objects may have been saved.
        """
        batch = self._decode(messages)
        # Another worker may hold alerts of the same objects: those that it saved first are processed again.
        save_until_current(
            batch.alerts_by_object(),
            lambda pending: self._process_objects(batch, pending),
            conflict_pause(self._clock.sleep),
        )
        return self._publish(batch)

    def _process_objects(self, batch: Batch, pending: dict[str, list[int]]) -> dict[str, list[int]]:
        """Load, update and save objects; return those that another worker changed meanwhile."""
        updates = self._load(batch, pending)
        self._update(batch, updates)
        return self._save(updates)

    def _decode(self, messages: Sequence[SourceMessage]) -> Batch:
        ingested_ms = self._clock.now_ms()
        raw = [RawMessage(message.value or b"", self._topics.survey(message.topic)) for message in messages]
        with self._tracer.span("decode", len(raw)):
            return Batch(messages, ingested_ms, self._decoder.decode(raw))

    def _load(self, batch: Batch, pending: dict[str, list[int]]) -> list[ObjectUpdate]:
        with self._tracer.span("load", len(pending)):
            updates = self._objects.load(pending, lambda few: self._needs_archived_rows(batch, few))
        named = {model for update in updates for model in update.state.history.entries["model"].tolist()}
        if not self._models.registry.knows(named):
            self._models.registry.refresh()  # a worker with another model runs
        return updates

    def _update(self, batch: Batch, updates: Sequence[ObjectUpdate]) -> None:
        """Process the first alert of every object, then the second of those that have one, and so on."""
        with self._tracer.span("classify", len(updates)):
            now_ms = self._clock.now_ms()
            current, turn = list(updates), 0
            while current := [update for update in current if len(update.alerts) > turn]:
                self._update_turn(batch, current, turn, now_ms)
                turn += 1
            self._updater.compact(updates)

    def _save(self, updates: Sequence[ObjectUpdate]) -> dict[str, list[int]]:
        with self._tracer.span("save", len(updates)):
            return self._objects.save(updates)

    def _publish(self, batch: Batch) -> BatchResult:
        with self._tracer.span("encode", len(batch.alerts)):
            result = self._publisher.publish(batch, self._models.registry.known)
        if self._shadow is not None:
            result.outgoing.extend(self._shadow.store_and_encode(batch))
        self._sweep.step(batch.ingested_ms)
        return result

    def _update_turn(self, batch: Batch, updates: Sequence[ObjectUpdate], turn: int, now_ms: int) -> None:
        """Process alert number `turn` of each object."""
        alerts = batch.alerts
        index = [update.alerts[turn] for update in updates]
        alert_ids = alerts.alert_id[index].tolist()
        stored = [self._stored_result(u.state, id_) for u, id_ in zip(updates, alert_ids, strict=True)]
        for update, result in zip(updates, stored, strict=True):
            update.is_repeat = result is not None
        # A repeated alert is processed again only for the rows that it did not bring the first time.
        repeats = [update for update in updates if update.is_repeat]
        changes = self._updater.changes_light_curve(alerts, [u.alerts[turn] for u in repeats], repeats)
        due = [u for u in updates if not u.is_repeat]
        due += [update for update, changed in zip(repeats, changes, strict=True) if changed]
        due_index = [update.alerts[turn] for update in due]
        made = self._updater.update(alerts, due_index, due, now_ms)
        batch.results.update(
            {i: result for i, result in zip(index, stored, strict=True) if result is not None}
        )
        batch.results.update(
            {i: result for u, i, result in zip(due, due_index, made, strict=True) if not u.is_repeat}
        )
        if self._shadow is not None:
            batch.shadow_results |= self._shadow.classify(alerts, index, updates, now_ms)

    def _stored_result(self, state: ObjectState, alert_id: int) -> Classification | None:
        """Return the stored result of an alert, if there is one that can be published again."""
        result = state.history.find(alert_id) if len(state.history) else None
        is_readable = result is not None and self._models.registry.knows([result.model])
        return result if is_readable else None

    def _needs_archived_rows(self, batch: Batch, updates: Sequence[ObjectUpdate]) -> list[bool]:
        """Return for each object whether its alerts cannot be processed without its archived rows."""
        if self._shadow is not None:  # it reads whole light curves
            return [True] * len(updates)
        alerts = batch.alerts
        earliest_row = np.minimum.reduceat(alerts.observations["mjd_tai"], alerts.offsets[:-1])
        earliest = np.minimum(earliest_row, alerts.mjd_tai)
        index = [i for update in updates for i in update.alerts]
        starts = np.cumsum([0, *(len(update.alerts) for update in updates[:-1])])
        return self._updater.needs_archived_rows(
            [alerts.survey[update.alerts[0]] for update in updates],
            [update.state for update in updates],
            np.minimum.reduceat(earliest[index], starts),
        )
