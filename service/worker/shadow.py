"""A second model that classifies the same alerts, to be compared with the deployed one.

It sees the light curves as the deployed model does and affects nothing of it: neither states nor results nor
counts. Its results are stored per object, so that a repeated alert has the same result again; its hidden
states are not, so each alert costs a pass over the whole light curve.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from service.backoff import conflict_pause
from service.core.abstention import AbstentionPolicy
from service.core.alerts import AlertBatch, Survey, object_key
from service.core.classification import Classification
from service.core.classifier import ObjectClassifier, classifiers_by_survey
from service.core.models.bundle import Bundle
from service.core.models.info import ModelInfo
from service.core.point_in_time import classify_at
from service.core.ports.messages import OutgoingMessage
from service.core.ports.store import ObjectStore
from service.core.state.shadow_history import add_results
from service.worker.clock import Clock
from service.worker.context import Batch
from service.worker.object_update import ObjectUpdate
from service.worker.publish import Publisher

__all__ = ["ShadowClassifier"]


class ShadowClassifier:
    """The shadow models.

    Parameters
    ----------
    bundles
        Survey to its shadow model; alerts of other surveys are ignored.
    policy
        When to abstain, the same as for the deployed model.
    publisher
        Makes the records; its output is the shadow topic.
    store
        The store of objects; results are kept in its `for_model`.
    history_length
        Results kept per object.
    clock
        Time.
    """

    def __init__(
        self,
        bundles: Mapping[Survey, Bundle],
        policy: AbstentionPolicy,
        publisher: Publisher,
        store: ObjectStore,
        history_length: int,
        clock: Clock,
    ) -> None:
        self._classifiers = classifiers_by_survey(bundles)
        self._models = {bundle.digest: ModelInfo.of(bundle) for bundle in bundles.values()}
        self._policy = policy
        self._publisher = publisher
        self._store = store
        self._history_length = history_length
        self._clock = clock

    def prepare(self) -> None:
        """Register the models, and compile what they need where the cache on disk does not have it.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        for model in self._models.values():
            self._store.register_model(model)
        for classifier in dict.fromkeys(self._classifiers.values()):
            classifier.warm_up()

    def classify(
        self, alerts: AlertBatch, index: Sequence[int], updates: Sequence[ObjectUpdate], now_ms: int
    ) -> dict[int, Classification]:
        """Classify alert ``index[i]`` from the light curve of ``updates[i]`` up to the alert's time.

        Parameters
        ----------
        alerts
            The batch's alerts.
        index
            Shape (n,).
        updates
            n objects, whose states hold the rows of those alerts.
        now_ms
            Unix time of the classifications.

        Returns
        -------
        dict
            Index of each alert of a survey that has a shadow model to its result.
        """
        results: dict[int, Classification] = {}
        for survey, classifier in self._classifiers.items():
            pairs = [
                (i, update) for i, update in zip(index, updates, strict=True) if alerts.survey[i] is survey
            ]
            if pairs:
                results |= self._classify_survey(classifier, alerts, pairs, now_ms)
        return results

    def store_and_encode(self, batch: Batch) -> list[OutgoingMessage]:
        """Store the shadow results of a batch and return their records.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        results: dict[int, Classification] = {}
        for digest in self._models:
            results |= self._store_results(batch, digest)
        return self._publisher.records_for(batch, results, self._models) if results else []

    def _classify_survey(
        self,
        classifier: ObjectClassifier,
        alerts: AlertBatch,
        pairs: Sequence[tuple[int, ObjectUpdate]],
        now_ms: int,
    ) -> dict[int, Classification]:
        index = np.array([i for i, _ in pairs], np.int64)
        mjd_tai = alerts.mjd_tai[index]
        outcome = classify_at(classifier, [update.state for _, update in pairs], mjd_tai)
        reasons = self._policy.reasons(
            alerts,
            index,
            outcome.summary,
            window_days=classifier.bundle.window_days,
            min_detections=classifier.bundle.min_detections,
        )
        results = classifier.classifications(outcome, reasons, alerts.alert_id[index], mjd_tai, now_ms)
        return dict(zip(index.tolist(), results.rows(), strict=True))

    def _store_results(self, batch: Batch, digest: int) -> dict[int, Classification]:
        """Store one model's results of a batch; return the ones that hold, by index of the alert."""
        alerts = batch.alerts
        results = {i: result for i, result in batch.shadow_results.items() if result.model == digest}
        keys = {i: object_key(alerts.survey[i], alerts.object_id[i]) for i in sorted(results)}
        by_object: dict[str, dict[int, Classification]] = {}
        for i, key in keys.items():  # of an alert that occurs twice the first result holds
            by_object.setdefault(key, {}).setdefault(results[i].alert_id, results[i])
        stored = add_results(
            self._store.for_model(digest),
            {key: list(by_alert.values()) for key, by_alert in by_object.items()},
            self._history_length,
            conflict_pause(self._clock.sleep),
        )
        by_alert = {(key, result.alert_id): result for key, of_key in stored.items() for result in of_key}
        return {i: by_alert[key, results[i].alert_id] for i, key in keys.items()}
