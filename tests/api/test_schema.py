"""Whatever the description of the API allows, and much that it forbids: never a fault of ours.

A few requests of every kind by default, 300 of each with ``NIGHTJAR_LONG_TESTS=1``.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import SecretStr
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.api.app import create_app
from service.core.alerts import Survey
from service.core.classifier import ObjectClassifier
from service.embedded.redis import EmbeddedRedis
from service.settings import Settings
from tests.api.conftest import connect, serve
from tests.support.bundles import random_bundle
from tests.support.objects import classification, object_state, put

IS_LONG = os.environ.get("NIGHTJAR_LONG_TESTS", "") not in {"", "0"}
N_REQUESTS = 300 if IS_LONG else 5
TOKEN = "operator"  # noqa: S105  of a server that lives for this test
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# It never ends: its own tests read it.
WITHOUT_END = frozenset({"/v1/stream"})
OWN_SETTINGS = Settings(api_admin_token=SecretStr(TOKEN), api_rate_hz=0.0)


def operations() -> Iterator[tuple[str, str]]:
    store = connect("redis://127.0.0.1:1/0")
    document = create_app(OWN_SETTINGS, store, {}).openapi()
    store.close()
    for path, item in document["paths"].items():
        if path not in WITHOUT_END:
            yield from ((method, path) for method in item)


@pytest.fixture(scope="module")
def api(redis_server: EmbeddedRedis) -> Iterator[Any]:
    """Serve some objects; the operations of the API, ready to be asked for."""
    store = connect(redis_server.url)
    bundle = random_bundle(class_names=("Ia", "II"))
    for name in ("ztf:ZTF21abiuvdk", "lsst:169813000000000001"):
        put(store, name, object_state([classification(5, bundle.digest, [0.25, 0.75])]))
    classifiers = {survey: ObjectClassifier(bundle) for survey in Survey}
    app = create_app(OWN_SETTINGS, store, classifiers)
    with serve(app) as client:
        loaded = schemathesis.openapi.from_dict(app.openapi(), config=SchemathesisConfig())
        yield loaded, str(client.base_url)
    store.close()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda m: m.value)
@pytest.mark.parametrize(("method", "path"), list(operations()), ids=lambda part: part)
def test_every_request_has_an_answer_as_described(
    api: tuple[Any, str], method: str, path: str, mode: GenerationMode
) -> None:
    schema, base_url = api
    operation = schema[path][method.upper()]
    if mode is GenerationMode.NEGATIVE and not (
        operation.body or len(operation.path_parameters) + len(operation.query)
    ):
        pytest.skip("nothing in it can be wrong")

    @settings(
        max_examples=N_REQUESTS,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        database=None,
    )
    @given(case=operation.as_strategy(mode))
    def ask(case: Any) -> None:
        case.call_and_validate(
            base_url=base_url, headers={"Authorization": f"Bearer {TOKEN}"}, checks=CHECKS, timeout=30
        )

    ask()
