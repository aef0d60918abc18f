"""Endpoints for whoever runs the service: is it alive, can it work, how is it doing."""

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
    """A sign of life."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"examples": [{"status": "ok", "version": "0.1.0"}]}
    )

    status: Literal["ok"]
    version: str = Field(description="Version of the service")


@router.get("/healthz", responses=documented(), summary="Is the process alive?")
async def get_health() -> Health:
    """Answer as long as the process can answer at all; looks at nothing else."""
    return Health(status="ok", version=VERSION)


@router.get("/readyz", responses=documented(ProblemType.STORE_UNAVAILABLE), summary="Can it serve objects?")
def get_readiness(needs: ContextDependency) -> Health:
    """Answer 200 if the store of objects answers, else 503."""
    needs.store.ping()
    return Health(status="ok", version=VERSION)


@router.get(
    "/metrics",
    responses={200: {"description": "Prometheus text format", "content": {"text/plain": {}}}},
    response_class=Response,
    summary="Metrics for Prometheus",
)
def get_metrics(needs: ContextDependency) -> Response:
    """Give counts and times of requests, and what the process uses."""
    return Response(generate_latest(needs.metrics), media_type=CONTENT_TYPE_PLAIN_1_0_0)
