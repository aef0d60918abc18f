"""The application served over real HTTP, on a real Redis."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from service.api.app import create_app
from service.api.server import Server
from service.core.alerts import Survey
from service.core.classifier import ObjectClassifier
from service.embedded.redis import EmbeddedRedis
from service.redis.store import RedisStore
from service.settings import Settings
from tests.support.bundles import random_bundle

ADMIN_TOKEN = "only-for-tests"  # noqa: S105
ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}

ServeOn = Callable[[str], httpx.Client]


@pytest.fixture(scope="session")
def classifiers() -> dict[Survey, ObjectClassifier]:
    ztf = ObjectClassifier(random_bundle(name="random-ztf", min_detections=2))
    lsst = ObjectClassifier(random_bundle(name="random-lsst", survey=Survey.LSST, seed=1))
    for classifier in (ztf, lsst):
        classifier.warm_up()
    return {Survey.ZTF: ztf, Survey.LSST: lsst, Survey.ELASTICC: lsst}


def connect(url: str) -> RedisStore:
    return RedisStore.connect(url, timeout=timedelta(seconds=5), expiry=timedelta(days=1))


@contextmanager
def serve(app: FastAPI, *, send_buffer_bytes: int = 0) -> Iterator[httpx.Client]:
    """Run an app in a thread, and give a client for it; the kernel holds little of its answers if told so."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        if send_buffer_bytes:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = Server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            # The socket listens already: requests wait until the server takes them.
            with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisStore]:
    """Give the store that the served app reads, empty."""
    store = connect(redis_url)
    yield store
    store.close()


@pytest.fixture(scope="module")
def app(redis_server: EmbeddedRedis, classifiers: dict[Survey, ObjectClassifier]) -> Iterator[FastAPI]:
    store = connect(redis_server.url)
    yield create_app(Settings(api_admin_token=SecretStr(ADMIN_TOKEN)), store, classifiers)
    store.close()


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[httpx.Client]:
    """Give a client of the app; use the fixture `store` too where the test needs it empty or filled."""
    with serve(app) as client:
        yield client


@pytest.fixture
def serve_on(classifiers: dict[Survey, ObjectClassifier]) -> Iterator[ServeOn]:
    """Serve an app on another Redis: ``serve_on(url)`` gives a client."""
    with ExitStack() as stack:

        def start(url: str) -> httpx.Client:
            store = connect(url)
            stack.callback(store.close)
            return stack.enter_context(serve(create_app(Settings(), store, classifiers)))

        yield start
