"""Deployments on brokers that the tests share."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.core.alerts import Survey
from service.embedded.broker import Broker, create_topics, find_kafka
from service.errors import InputError
from tests.conftest import ROOT, SettingsFactory
from tests.integration.deployment import Deployment
from tests.support.models import model_settings

DeploymentFactory = Callable[..., Deployment]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Write a model for each survey; return the settings that name them."""
    return model_settings(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def best_broker(request: pytest.FixtureRequest) -> Broker:
    """Return one broker for the longest tests: Apache Kafka if installed, else the embedded one."""
    try:
        find_kafka(ROOT / os.environ.get("NIGHTJAR_KAFKA_HOME", "../shared/kafka"))
    except InputError:
        broker: Broker = request.getfixturevalue("embedded_broker")
    else:
        broker = request.getfixturevalue("apache_kafka")
    return broker


@pytest.fixture
def deploy(
    settings_factory: SettingsFactory, models: dict[str, str], tmp_path: Path
) -> Iterator[DeploymentFactory]:
    """Yield a factory of deployments; their workers stop with the test.

    ``deploy(broker, redis_url, partitions=4, **settings)``.
    """
    made: list[Deployment] = []

    def make(broker: Broker, redis_url: str, *, partitions: int = 4, **values: Any) -> Deployment:
        unique = uuid.uuid4().hex[:8]
        topics = {survey: f"{survey.value}-{unique}" for survey in Survey}
        create_topics(broker.bootstrap_servers, dict.fromkeys(topics.values(), partitions))
        names = {f"{survey.value}_topics": (topic,) for survey, topic in topics.items()}
        settings = settings_factory(broker, redis_url, **(names | models | values))
        deployment = Deployment(broker, settings, topics, tmp_path, partitions)
        made.append(deployment)
        return deployment

    yield make
    for deployment in made:
        deployment.close()
