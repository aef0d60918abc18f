"""What the endpoints work with, made once per app."""

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
    """What the endpoints work with.

    Attributes
    ----------
    settings
        Of the service.
    store
        Safe to be used from many threads.
    loads
        Reads single objects from it.
    registry
        Names of models.
    classifiers
        Models for ``/v1/classify``; a survey without one is refused there.
    metrics
        What ``/metrics`` shows.
    live
        The live stream; None where there is no topic to read.
    """

    settings: Settings
    store: ObjectStore
    loader: BatchLoader
    registry: ModelRegistry
    classifiers: Mapping[Survey, ObjectClassifier]
    metrics: CollectorRegistry
    live: LiveStreams | None = None


async def request_context(request: Request) -> Context:
    """Give the resources of the app that serves a request.

    A coroutine, since the framework would start a thread for a plain function.
    """
    return cast("Context", request.app.state.context)


ContextDependency = Annotated[Context, Depends(request_context)]
"""The type of an endpoint's parameter that is to be given them."""
