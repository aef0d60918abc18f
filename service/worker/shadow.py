"""A second model that answers the same alerts aside, to be compared with the one at work.

It sees the light curves as the model at work does and touches nothing of it: neither states nor results nor
counts. Its answers are remembered beside the objects, so that a repeated alert has the same answer again;
what it had read of a light curve is not, so that each alert costs the reading of the whole.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from service.core.abstention import AbstentionPolicy
from service.core.alerts import AlertBatch, Survey, object_key
from service.core.classification import Classification
from service.core.classifier import ObjectClassifier
from service.core.models.bundle import Bundle
from service.core.point_in_time import classifications, classify_as_of
from service.core.ports.messages import OutgoingMessage, SourceMessage
from service.core.ports.store import ModelInfo, ObjectStore
from service.core.state.shadow_history import add_results
from service.worker.object_update import ObjectUpdate
from service.worker.publish import Publisher

__all__ = ["ShadowClassifier"]


class ShadowClassifier:
    """Models beside those at work.

    Parameters
    ----------
    bundles
        Survey to its second model; alerts of other surveys are passed over.
    policy
        When to abstain, the same as of the model at work.
    publisher
        Makes the records; its output is the shadow's topic.
    store
        Of objects; answers are kept beside them.
    history_length
        Answers kept per object.
    """

    def __init__(
        self,
        bundles: Mapping[Survey, Bundle],
        policy: AbstentionPolicy,
        publisher: Publisher,
        store: ObjectStore,
        history_length: int,
    ) -> None:
        loaded = {bundle.digest: ObjectClassifier(bundle) for bundle in bundles.values()}
        self._models = {survey: loaded[bundle.digest] for survey, bundle in bundles.items()}
        self._names = {digest: ModelInfo.of(one.bundle).classifier for digest, one in loaded.items()}
        self._policy = policy
        self._publisher = publisher
        self._store = store
        self._history_length = history_length

    def prepare(self) -> None:
        """Register the models, and compile what they need where no cache on disk has it.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        for model in {id(one): one for one in self._models.values()}.values():
            self._store.register_model(ModelInfo.of(model.bundle))
            model.warm_up()

    def classify(
        self, alerts: AlertBatch, index: Sequence[int], objects: Sequence[ObjectUpdate], now_ms: int
    ) -> dict[int, Classification]:
        """Classify alert ``index[i]`` by what is known of ``objects[i]`` now, of its own time and before.

        Parameters
        ----------
        alerts
            Where the alerts are.
        index
            Shape (n,).
        objects
            n objects, whose states hold the rows of those alerts.
        now_ms
            Unix time.

        Returns
        -------
        dict
            Index of each alert of a survey that has a shadow to its result.
        """
        results: dict[int, Classification] = {}
        for survey, model in self._models.items():
            pairs = [
                (place, one)
                for place, one in zip(index, objects, strict=True)
                if alerts.survey[place] is survey
            ]
            if pairs:
                results |= self._classify(model, alerts, pairs, now_ms)
        return results

    def _classify(
        self,
        model: ObjectClassifier,
        alerts: AlertBatch,
        pairs: Sequence[tuple[int, ObjectUpdate]],
        now_ms: int,
    ) -> dict[int, Classification]:
        index = np.array([place for place, _ in pairs], np.int64)
        times = alerts.mjd_tai[index]
        outcome = classify_as_of(model, [one.state for _, one in pairs], times)
        reasons = self._policy.reasons(
            alerts,
            index,
            outcome.summary,
            window_days=model.bundle.window_days,
            min_detections=model.bundle.min_detections,
        ).tolist()
        made = classifications(
            model, outcome, reasons, alerts.alert_id[index].tolist(), times.tolist(), now_ms
        )
        return dict(zip(index.tolist(), made, strict=True))

    def store_and_encode(
        self,
        messages: Sequence[SourceMessage],
        alerts: AlertBatch,
        made: Mapping[int, Classification],
        ingested_ms: int,
    ) -> list[OutgoingMessage]:
        """Remember the answers of a batch and make their records.

        Parameters
        ----------
        messages
            The batch.
        alerts
            What was decoded of it.
        made
            As `classify` gave them, of all turns.
        ingested_ms
            Unix time at which the batch was taken up.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        results = self._remember(alerts, made)
        chosen = sorted(results)
        if not chosen:
            return []
        answers = [results[place] for place in chosen]
        return self._publisher.records_for(messages, alerts, chosen, answers, self._names, ingested_ms)

    def _remember(self, alerts: AlertBatch, made: Mapping[int, Classification]) -> dict[int, Classification]:
        """Store answers beside the objects; gives the ones that count."""
        results: dict[int, Classification] = {}
        for digest in self._names:
            own = sorted(place for place, one in made.items() if one.model == digest)
            keys = {place: object_key(alerts.survey[place], alerts.object_id[place]) for place in own}
            by_key: dict[str, dict[int, Classification]] = {}
            for place in own:  # of an alert that came twice the first answer counts
                by_key.setdefault(keys[place], {}).setdefault(made[place].alert_id, made[place])
            counted = add_results(
                self._store.for_model(digest),
                {key: list(answers.values()) for key, answers in by_key.items()},
                self._history_length,
            )
            known = {(key, one.alert_id): one for key, answers in counted.items() for one in answers}
            results |= {place: known[keys[place], made[place].alert_id] for place in own}
        return results
