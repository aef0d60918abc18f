"""Endpoints for operators: liveness, readiness, metrics."""

from importlib.metadata import version
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0
from pydantic import BaseModel, ConfigDict, Field

from service.api.context import ContextDependency
from service.api.problems import ProblemType, documented

__all__ = ["Health", "router"]

router = APIRouter(tags=["operation"])

VERSION = version("nightjar")  # looked up once: that reads files


class Health(BaseModel):
    """Liveness or readiness of the process."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"examples": [{"status": "ok", "version": "0.1.0"}]}
    )

    status: Literal["ok"]
    version: str = Field(description="Version of the service")


@router.get("/healthz", responses=documented(), summary="Is the process alive?")
async def get_health() -> Health:
    """Answer 200 as long as the process can answer at all; nothing else is checked."""
    return Health(status="ok", version=VERSION)


@router.get("/readyz", responses=documented(ProblemType.STORE_UNAVAILABLE), summary="Can it serve objects?")
def get_readiness(context: ContextDependency) -> Health:
    """Answer 200 if the object store answers, else 503."""
    context.store.ping()
    return Health(status="ok", version=VERSION)


@router.get(
    "/metrics",
    responses={200: {"description": "Prometheus text format", "content": {"text/plain": {}}}},
    response_class=Response,
    summary="Metrics for Prometheus",
)
def get_metrics(context: ContextDependency) -> Response:
    """Return counts and durations of requests, and the resources of the process."""
    return Response(generate_latest(context.metrics), media_type=CONTENT_TYPE_PLAIN_1_0_0)
