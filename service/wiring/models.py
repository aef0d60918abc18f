"""The models that the settings name."""

from collections.abc import Mapping

from service.core.alerts import Survey, model_survey
from service.core.classifier import ObjectClassifier, classifiers_by_survey
from service.core.models.bundle import Bundle, load_bundle
from service.errors import SettingsError
from service.settings import Settings

__all__ = [
    "load_bundles",
    "load_classifiers",
    "load_shadow_bundles",
    "shipped_model",
]


def load_bundles(settings: Settings) -> dict[Survey, Bundle]:
    """Load the model of each survey that has one; an empty setting means none.

    Parameters
    ----------
    settings
        Name the models.

    Raises
    ------
    BundleError
        A bundle must not be loaded.
    """
    return _load({Survey.ZTF: settings.ztf_model, Survey.LSST: settings.lsst_model})


def load_shadow_bundles(settings: Settings) -> dict[Survey, Bundle]:
    """Load the shadow model of each survey that has one.

    Parameters
    ----------
    settings
        Name the shadow models.

    Raises
    ------
    BundleError
        A bundle must not be loaded.
    SettingsError
        There is a shadow model but no topic for its results.
    """
    named = {Survey.ZTF: settings.ztf_shadow_model, Survey.LSST: settings.lsst_shadow_model}
    if any(named.values()) and not settings.shadow_topic:
        raise SettingsError("a shadow model needs a topic: set NIGHTJAR_SHADOW_TOPIC")
    return _load(named)


def load_classifiers(settings: Settings) -> dict[Survey, ObjectClassifier]:
    """Load the classifier of each survey that has a model; surveys with one model share it.

    Parameters
    ----------
    settings
        Name the models.

    Raises
    ------
    BundleError
        A bundle must not be loaded.
    """
    return classifiers_by_survey(load_bundles(settings))


def shipped_model(survey: Survey) -> str:
    """Return the name of the shipped model that classifies a survey's light curves.

    Parameters
    ----------
    survey
        The survey of the light curves.
    """
    return model_survey(survey).value


def _load(sources: Mapping[Survey, str]) -> dict[Survey, Bundle]:
    """Load bundles by the survey they were trained on, and return them by the survey they classify."""
    loaded = {source: load_bundle(source) for source in set(sources.values()) if source}
    by_survey = {survey: sources[model_survey(survey)] for survey in Survey}
    return {survey: loaded[source] for survey, source in by_survey.items() if source}
