"""The models that the settings name."""

from collections.abc import Mapping

from service.core.alerts import Survey
from service.core.models.bundle import Bundle, load_bundle
from service.errors import SettingsError
from service.settings import Settings

__all__ = ["load_bundles", "load_shadow_bundles"]


def load_bundles(settings: Settings) -> dict[Survey, Bundle]:
    """Load the model of each survey that has one; an empty setting means none.

    Raises
    ------
    BundleError
        A bundle must not be loaded.
    """
    named = {
        Survey.ZTF: settings.ztf_model,
        Survey.LSST: settings.lsst_model,
        Survey.ELASTICC: settings.lsst_model,
    }
    return _loaded(named)


def load_shadow_bundles(settings: Settings) -> dict[Survey, Bundle]:
    """Load the model of each survey that has one to answer aside.

    Raises
    ------
    BundleError
        A bundle must not be loaded.
    SettingsError
        There is one, and no topic for its results.
    """
    named = {
        Survey.ZTF: settings.ztf_shadow_model,
        Survey.LSST: settings.lsst_shadow_model,
        Survey.ELASTICC: settings.lsst_shadow_model,
    }
    if any(named.values()) and not settings.shadow_topic:
        raise SettingsError("a shadow model needs a topic: set NIGHTJAR_SHADOW_TOPIC")
    return _loaded(named)


def _loaded(named: Mapping[Survey, str]) -> dict[Survey, Bundle]:
    loaded = {name: load_bundle(name) for name in set(named.values()) if name}
    return {survey: loaded[name] for survey, name in named.items() if name}
