"""The client against the application served over real HTTP, on a real Redis."""

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from service.client import Nightjar
from tests.api.conftest import app, classifiers, client, serve_on, store

__all__ = ["app", "classifiers", "client", "serve_on", "store"]


@pytest.fixture
def sky(client: httpx.Client) -> Iterator[Nightjar]:
    """Give a client of ours to the app that `client` serves."""
    with Nightjar(str(client.base_url), timeout=timedelta(seconds=20), retries=2) as ours:
        yield ours
