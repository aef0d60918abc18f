"""Resources of the endpoints, made once per app."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry

from service.api.live.streams import LiveStreams
from service.api.request_coalescing import BatchLoader
from service.core.alerts import Survey
from service.core.classifier import ObjectClassifier
from service.core.models.registry import ModelRegistry
from service.core.ports.store import ObjectStore
from service.settings import Settings

__all__ = ["Context", "ContextDependency"]


@dataclass(frozen=True, slots=True)
class Context:
    """Resources of the endpoints.

    Attributes
    ----------
    settings
        Settings of the service.
    store
        May be used from many threads.
    loader
        Reads single objects from the store.
    registry
        Models by digest.
    classifiers
        Models for ``/v1/classify``, by survey.
    metrics
        Registry of what ``/metrics`` shows.
    live
        The live stream; None where no output topic is read.
    """

    settings: Settings
    store: ObjectStore
    loader: BatchLoader
    registry: ModelRegistry
    classifiers: Mapping[Survey, ObjectClassifier]
    metrics: CollectorRegistry
    live: LiveStreams | None = None


async def request_context(request: Request) -> Context:
    """Return the resources of the app that serves a request.

    A coroutine, since the framework would start a thread for a plain function.
    """
    return cast("Context", request.app.state.context)


ContextDependency = Annotated[Context, Depends(request_context)]
"""Type of the parameter by which an endpoint receives the context."""
