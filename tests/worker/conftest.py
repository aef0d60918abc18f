"""A batch processor on a real Redis, with small models of random weights."""

from collections.abc import Callable
from typing import Any

import pytest

from service.settings import Settings
from service.wiring.stores import object_store
from service.wiring.worker import batch_processor
from service.worker.batch import BatchProcessor
from tests.conftest import SettingsFactory
from tests.support.models import model_settings
from tests.support.streams import TOPICS

ProcessorFactory = Callable[..., BatchProcessor]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Write a model for each survey; the settings that name them."""
    return model_settings(tmp_path_factory.mktemp("models"))


@pytest.fixture
def pipeline_settings(
    settings_factory: SettingsFactory, models: dict[str, str], redis_url: str
) -> Callable[..., Settings]:
    """Make settings with a topic for each survey and no broker."""

    def make(**values: Any) -> Settings:
        topics = {f"{survey.value}_topics": (topic,) for survey, topic in TOPICS.items()}
        return settings_factory(None, values.pop("redis_url", redis_url), **(topics | models | values))

    return make


@pytest.fixture
def make_processor(pipeline_settings: Callable[..., Settings]) -> ProcessorFactory:
    """Make processors that share one Redis; keywords are settings."""

    def make(**values: Any) -> BatchProcessor:
        settings = pipeline_settings(**values)
        made = batch_processor(settings, object_store(settings))
        made.prepare()
        return made

    return make
