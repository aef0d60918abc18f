"""The models at work, and those that stored classifications name."""

from collections.abc import Mapping

import structlog

from service.core.alerts import Survey
from service.core.classifier import ObjectClassifier
from service.core.models.bundle import Bundle
from service.core.ports.store import ModelInfo, ObjectStore
from service.core.records.encoding import Classifier

__all__ = ["ModelShelf"]

log = structlog.get_logger(__name__)


class ModelShelf:
    """Which model classifies a survey's alerts, and what is known of the models of earlier results.

    Parameters
    ----------
    bundles
        Survey to its model; a survey without one is answered by abstaining.
    store
        Where models are registered.
    """

    def __init__(self, bundles: Mapping[Survey, Bundle], store: ObjectStore) -> None:
        self._store = store
        self._bundles = {bundle.digest: bundle for bundle in bundles.values()}
        at_work = {digest: ObjectClassifier(bundle) for digest, bundle in self._bundles.items()}
        self.at_work = {survey: at_work[bundle.digest] for survey, bundle in bundles.items()}
        self._known = {digest: _described(bundle) for digest, bundle in self._bundles.items()}

    @property
    def known(self) -> Mapping[int, Classifier]:
        """What is known of models, by digest."""
        return self._known

    def class_names(self, digest: int) -> tuple[str, ...]:
        """Give the names of a model's classes; none for one that is not known."""
        known = self._known.get(digest)
        return tuple(name for _, name in known.classes) if known else ()

    def register(self) -> None:
        """Write our models into the store, and read those that others wrote.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        for digest, bundle in self._bundles.items():
            self._store.register_model(ModelInfo(digest, bundle.survey, _described(bundle)))
        self.learn()

    def learn(self) -> None:
        """Read the models that the store knows.

        Raises
        ------
        StoreUnavailableError
            The store does not answer.
        """
        others = {digest: model.classifier for digest, model in self._store.models().items()}
        self._known = others | self._known

    def warm_up(self) -> None:
        """Compile what the models need, where no cache on disk has it."""
        for classifier in {id(one): one for one in self.at_work.values()}.values():
            log.info("preparing model", model=classifier.bundle.name, version=classifier.bundle.version)
            classifier.warm_up()


def _described(bundle: Bundle) -> Classifier:
    classes = tuple(zip(bundle.class_ids, bundle.class_names, strict=True))
    return Classifier(bundle.name, bundle.version, bundle.feature_version, classes)
