"""The deployed models, and the registry of all models that stored classifications name."""

from collections.abc import Mapping

import structlog

from service.core.alerts import Survey
from service.core.classifier import classifiers_by_survey
from service.core.models.bundle import Bundle
from service.core.models.info import ModelInfo
from service.core.models.registry import ModelRegistry
from service.core.ports.store import ObjectStore

__all__ = ["WorkerModels"]

log = structlog.get_logger(__name__)


class WorkerModels:
    """Which model classifies a survey's alerts.

    Parameters
    ----------
    bundles
        Survey to its model; alerts of a survey without one are abstained from.
    store
        Where models are registered.

    Attributes
    ----------
    classifiers
        Survey to its classifier; surveys with the same bundle share one.
    registry
        The models that results name.
    """

    def __init__(self, bundles: Mapping[Survey, Bundle], store: ObjectStore) -> None:
        self.classifiers = classifiers_by_survey(bundles)
        self.registry = ModelRegistry(store, map(ModelInfo.of, bundles.values()))

    def warm_up(self) -> None:
        """Compile what the models need, where the cache on disk does not have it."""
        for classifier in dict.fromkeys(self.classifiers.values()):
            log.info("preparing model", model=classifier.bundle.name, version=classifier.bundle.version)
            classifier.warm_up()
