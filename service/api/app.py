"""The application: all endpoints over one store."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware

from service.api import page, problems
from service.api.context import Context
from service.api.live.streams import LiveStreams
from service.api.middleware.limits import BodyLimitMiddleware, RateLimitMiddleware, TimeoutMiddleware
from service.api.middleware.metrics import RequestMetrics, RequestMetricsMiddleware, StoreCollector
from service.api.request_coalescing import BatchLoader
from service.api.routes import classify, filters, health, models, objects, search, shadow, stream
from service.api.security import Reader
from service.client.schemas.objects import StreamedResult
from service.client.schemas.problems import Problem
from service.core.alerts import Survey
from service.core.classifier import ObjectClassifier
from service.core.models.info import ModelInfo
from service.core.models.registry import ModelRegistry
from service.core.ports.result_feed import ResultFeed
from service.core.ports.store import ObjectStore
from service.settings import Settings

__all__ = ["create_app"]

DESCRIPTION = """\
Classifications of transients in the alert streams of ZTF and LSST, one for each alert, as of the alert's own
time.

Times are MJD TAI in days (`*mjd_tai`) and the same time in UTC (`*utc`). Fluxes are difference fluxes in nJy
(AB zero point 31.4); magnitudes are AB, null where the flux is not positive. Class ids are those of the DESC
taxonomy. Ids of alerts and sources are 64-bit integers, more than a JavaScript number holds exactly. Every
error is a problem document (RFC 9457).
"""


def create_app(
    settings: Settings,
    store: ObjectStore,
    classifiers: Mapping[Survey, ObjectClassifier],
    feed: ResultFeed | None = None,
) -> FastAPI:
    """Return the application; it talks to the store only while it serves requests.

    Parameters
    ----------
    settings
        Settings of the service.
    store
        May be used from many threads; the caller closes it.
    classifiers
        Models for ``/v1/classify``, by survey.
    feed
        The output topic; without it there is no live stream.
    """
    # The framework's documentation pages load scripts from another host.
    app = FastAPI(
        title="nightjar", version=version("nightjar"), description=DESCRIPTION, docs_url=None, redoc_url=None
    )
    metrics = RequestMetrics()
    metrics.registry.register(StoreCollector(store))
    loaded = [ModelInfo.of(classifier.bundle) for classifier in classifiers.values()]
    app.state.context = Context(
        settings=settings,
        store=store,
        loader=BatchLoader(store),
        registry=ModelRegistry(store, loaded),
        classifiers=classifiers,
        metrics=metrics.registry,
        live=None if feed is None else LiveStreams(settings, store, feed, metrics.registry),
    )
    for module in (search, objects, shadow, classify, stream, filters, models):
        app.include_router(module.router, dependencies=[Reader])
    for module in (health, page):
        app.include_router(module.router)
    problems.install(app)
    # The last one added is the outermost.
    app.add_middleware(BodyLimitMiddleware, max_bytes=settings.api_max_body_bytes)
    app.add_middleware(
        TimeoutMiddleware,
        time_limit=settings.api_request_timeout,
        max_requests=settings.api_max_concurrent_requests,
    )
    app.add_middleware(RateLimitMiddleware, rate_hz=settings.api_rate_hz, burst=settings.api_burst)
    if settings.api_cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.api_cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Last-Event-ID"],
        )
    app.add_middleware(RequestMetricsMiddleware, metrics=metrics)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document; schemas that no endpoint returns as its result are added."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        for model in (Problem, StreamedResult):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            document["components"]["schemas"] |= schema.pop("$defs", {}) | {model.__name__: schema}
        app.openapi_schema = document
    return app.openapi_schema
