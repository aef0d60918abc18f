"""The client's stream from an API process of its own, on a real broker, whatever becomes of that process."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from queue import Queue
from threading import Thread

import pytest

from service.client import Nightjar
from service.client.models import LiveResult
from service.embedded.broker import Broker
from service.wiring.stores import object_store
from tests.api.test_stream import IA, II, MODEL, Topic, objects
from tests.conftest import SettingsFactory
from tests.integration.conftest import models
from tests.support.api_process import ApiProcess
from tests.support.kafka import wait_until

__all__ = ["models"]

NAMES = objects(12)
PATIENCE_S = 60.0


@pytest.fixture
def topic(broker: Broker, redis_url: str, settings_factory: SettingsFactory, models: dict[str, str]) -> Topic:
    settings = settings_factory(broker, redis_url, stream_heartbeat=timedelta(seconds=0.5), **models)
    store = object_store(settings)
    store.register_model(MODEL)
    store.close()
    return Topic(settings)


@pytest.fixture
def api(topic: Topic, tmp_path: Path) -> Iterator[ApiProcess]:
    process = ApiProcess(topic.settings, tmp_path, "api")
    process.start()
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.process.kill()


class Listening:
    """Takes results in a thread, as a program of a user's would."""

    def __init__(self, api: ApiProcess, count: int, **wanted: str) -> None:
        self.found: Queue[LiveResult] = Queue()
        self._wanted, self._count = wanted, count
        self._client = Nightjar(api.url, timeout=timedelta(seconds=5), retries=20)
        self._thread = Thread(target=self._listen, daemon=True)
        self._thread.start()
        wait_until(lambda: api.metric("nightjar_api_stream_clients") > 0, "the client")

    def _listen(self) -> None:
        with self._client as client:
            for one in islice(client.stream(**self._wanted), self._count):  # type: ignore[arg-type]
                self.found.put(one)

    def take(self, count: int) -> list[tuple[str, int | None]]:
        """Wait for so many results."""
        found = [self.found.get(timeout=PATIENCE_S) for _ in range(count)]
        return [(one.object_id, one.alert_id) for one in found]

    def end(self) -> None:
        """Wait until it has as many as it wanted."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        assert self.found.empty()


def test_stream_gives_what_is_asked_for_as_it_comes(topic: Topic, api: ApiProcess) -> None:
    listening = Listening(api, 2 * len(NAMES), class_name="Ia")

    topic.send(NAMES, [IA, II, IA])

    found = listening.take(2 * len(NAMES))
    assert Counter(found) == Counter((name, alert) for name, alert in topic.sent if alert != 2)
    listening.end()


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
def test_stream_goes_on_where_it_was_when_its_server_comes_back(
    topic: Topic, api: ApiProcess, killed: bool
) -> None:
    listening = Listening(api, 4 * len(NAMES))
    topic.send(NAMES, [IA, II])
    found = listening.take(2 * len(NAMES))

    if killed:
        api.process.kill()
    else:
        api.process.stop()
    topic.send(NAMES, [IA], first=3)  # while nobody serves
    api.start()
    found += listening.take(len(NAMES))
    topic.send(NAMES, [II], first=4)

    found += listening.take(len(NAMES))
    assert Counter(found) == Counter(topic.sent)
    for name in NAMES:
        assert [alert for other, alert in found if other == name] == [1, 2, 3, 4]
    listening.end()
