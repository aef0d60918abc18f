"""Clients of the live stream hear of each result that they asked for, once and in order, cuts included."""

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import httpx
import pytest
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]  # it does

from service.api.app import create_app
from service.core.alerts import Survey
from service.core.models.info import ModelInfo
from service.core.search.criteria import Criteria
from service.core.search.filters import FilterSpec
from service.embedded.broker import Broker
from service.redis.store import RedisStore
from service.settings import Settings
from service.wiring.results import result_feed
from tests.api.conftest import connect, serve
from tests.api.test_objects import problem
from tests.conftest import SettingsFactory
from tests.support.kafka import produce
from tests.support.objects import put
from tests.support.results import CLASSES, DIGEST, Epoch, object_after, records_of
from tests.support.sse import Received, listening

IA, II = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1)
MODEL = ModelInfo(DIGEST, Survey.ZTF, "some-model", "2.1", 1, tuple((2222, name) for name in CLASSES))
N_CLIENTS = 500 if os.environ.get("NIGHTJAR_LONG_TESTS") else 40

pytestmark = pytest.mark.anyio

Start = Callable[..., str]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Topic:
    """The topic of results of one test."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sent: list[tuple[str, int]] = []  # object and alert
        self.n_partitions = 4

    def grow(self, n_partitions: int) -> None:
        """Add partitions."""
        servers, topic = self.settings.bootstrap_servers, self.settings.output_topic
        admin = AdminClient({"bootstrap.servers": servers})
        admin.create_partitions([NewPartitions(topic, n_partitions)])[topic].result(30)
        self.n_partitions = n_partitions

    def send(self, objects: Sequence[str], vectors: Sequence[Sequence[float]], *, first: int = 1) -> None:
        """Publish results of some objects, in turn, each object's in one partition."""
        epochs = [Epoch(1_000.0, vector) for vector in vectors]
        of = {name: records_of(name, epochs, first=first) for name in objects}
        values = [(name, of[name][turn]) for turn in range(len(vectors)) for name in objects]
        self.sent += [(name, first + turn) for turn in range(len(vectors)) for name in objects]
        servers, topic = self.settings.bootstrap_servers, self.settings.output_topic
        partitions = [int(name[-1], 36) % self.n_partitions for name, _ in values]
        produce(servers, topic, [value for _, value in values], partition=partitions.__getitem__)


@pytest.fixture
def topic(broker: Broker, settings_factory: SettingsFactory, redis_url: str) -> Topic:
    return Topic(settings_factory(broker, redis_url, stream_heartbeat=timedelta(seconds=0.5)))


@pytest.fixture
def start(topic: Topic, store: RedisStore) -> Iterator[Start]:
    """Start a server, ``start(stream_replay_size=10)``; gives its URL."""
    store.register_model(MODEL)
    with ExitStack() as stack:

        def run(*, send_buffer_bytes: int = 0, **changes: Any) -> str:
            settings = topic.settings.model_copy(update=changes)
            own = connect(str(settings.redis_url))
            stack.callback(own.close)
            app = create_app(settings, own, {}, result_feed(settings))
            return str(stack.enter_context(serve(app, send_buffer_bytes=send_buffer_bytes)).base_url)

        yield run


def objects(count: int) -> list[str]:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return [f"ZTF21aaaaa{digits[n // 36]}{digits[n % 36]}" for n in range(count)]


def heard(events: Sequence[Received]) -> list[tuple[str, int]]:
    assert {one.event for one in events} <= {"classification"}
    return [(one.data["object_id"], one.data["alert_id"]) for one in events]


def assert_each_once_in_order(events: Sequence[Received], expected: Sequence[tuple[str, int]]) -> None:
    found = heard(events)
    assert Counter(found) == Counter(expected)
    assert len(set(found)) == len(found)
    for name in {name for name, _ in expected}:
        alerts = [alert for other, alert in found if other == name]
        assert alerts == sorted(alerts)


async def test_a_result_is_heard_of_at_once_by_those_who_asked_for_it(topic: Topic, start: Start) -> None:
    url = start()
    topic.send(["ZTF21aaaaaaa"], [IA])
    async with listening(url) as every, listening(url, **{"class": "ii"}) as chosen:
        await every.beat()
        await chosen.beat()
        sent_s = time.monotonic()
        topic.send(["ZTF21aaaaaab"], [IA, II])
        events = await every.take(2)
        assert time.monotonic() - sent_s < 10
        assert heard(events) == [("ZTF21aaaaaab", 1), ("ZTF21aaaaaab", 2)]
        [event] = await chosen.take(1)
        assert heard([event]) == [("ZTF21aaaaaab", 2)]
        assert event.data["top_class"] == "II"
        assert event.data["probabilities"] == {"Ia": 0.1, "II": 0.8, "TDE": 0.1}
        classifier = event.data["classifier"]
        assert (classifier["name"], classifier["version"]) == ("some-model", "2.1")


async def test_light_comes_from_the_state_as_of_the_alert(
    topic: Topic, start: Start, store: RedisStore
) -> None:
    put(store, "ztf:ZTF21aaaaaaa", object_after([Epoch(1_000.0, IA), Epoch(10_000.0, IA)]))
    async with listening(start()) as client:
        await client.beat()
        topic.send(["ZTF21aaaaaaa"], [IA, IA])
        first, second = await client.take(2)
    assert (first.data["last_detection_mag"], first.data["age_days"]) == (23.9, 0.0)
    assert (second.data["last_detection_mag"], second.data["age_days"]) == (21.4, 1.0)


@pytest.mark.parametrize("kept", [20_000, 10, 0], ids=["memory", "both", "kafka"])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same server", "another server"])
async def test_a_client_that_was_cut_off_misses_nothing_and_hears_nothing_twice(
    topic: Topic, start: Start, kept: int, elsewhere: bool
) -> None:
    url = start(stream_replay_size=kept)
    names = objects(12)
    async with listening(url, **{"class": "Ia"}) as client:
        await client.beat()
        topic.send(names, [IA, II, IA])
        events = await client.take(10)
    topic.send(names, [IA, IA], first=4)
    url = start(stream_replay_size=kept) if elsewhere else url
    async with listening(url, client.last_id, **{"class": "Ia"}) as client:
        topic.send(names, [II, IA], first=6)
        expected = [(name, alert) for name, alert in topic.sent if alert not in {2, 6}]
        events += await client.take(len(expected) - len(events))
        await client.beat()
        assert_each_once_in_order(events, expected)
        # Every id is a place to come back to, a heartbeat's too.
        last_id = client.last_id
    async with listening(url, last_id, **{"class": "Ia"}) as client:
        topic.send(["ZTF21aaaaaab"], [IA], first=8)
        assert heard(await client.take(1)) == [("ZTF21aaaaaab", 8)]


@pytest.mark.parametrize("broker", ["kafka"], indirect=True)  # the embedded one adds no partitions
async def test_results_in_new_partitions_are_heard_of_once_on_whichever_server(
    topic: Topic, start: Start
) -> None:
    one, another = start(), start()
    names = objects(12)
    async with listening(one) as client, listening(another) as beside:
        await client.beat()
        await beside.beat()
        topic.send(names, [IA])
        topic.grow(6)
        topic.send(names, [IA], first=2)
        events = await client.take(2 * len(names), timeout_s=30)
        assert_each_once_in_order(await beside.take(2 * len(names), timeout_s=30), topic.sent)
    topic.send(names, [IA], first=3)
    async with listening(another, client.last_id) as client:
        events += await client.take(len(names))
    topic.grow(8)  # which a server that starts now knows of before the other
    topic.send(names, [IA], first=4)
    async with listening(start(), client.last_id) as client:
        events += await client.take(len(names))
    topic.send(names, [IA], first=5)
    async with listening(one, client.last_id) as client:
        events += await client.take(len(names), timeout_s=30)
        await client.beat()
    assert_each_once_in_order(events, topic.sent)


async def test_many_clients_each_hear_of_everything_once_cuts_included(topic: Topic, start: Start) -> None:
    url = start(stream_buffer_bytes=2**24)
    names = objects(20)
    wishes: list[dict[str, Any]] = [{}, {"class": "Ia"}, {"class": "II"}, {"survey": "lsst"}]
    expected = {0: {1, 2, 3, 4, 5, 6}, 1: {1, 3, 4, 6}, 2: {2, 5}, 3: set[int]()}
    connected = asyncio.Semaphore(0)
    go_on = asyncio.Event()

    async def listen(number: int) -> tuple[int, list[Received]]:
        kind = number % len(wishes)
        n_first, n_all = (sum(alert <= 3 for alert in expected[kind]), len(expected[kind]))
        async with listening(url, **wishes[kind]) as client:
            await client.beat()
            connected.release()
            events = await client.take(n_first * len(names))
        await go_on.wait()
        async with listening(url, client.last_id, **wishes[kind]) as client:
            events += await client.take((n_all - n_first) * len(names))
            if not expected[kind]:
                await client.beat()
        return kind, events

    clients = [asyncio.create_task(listen(number)) for number in range(N_CLIENTS)]
    for _ in clients:
        await connected.acquire()
    await asyncio.to_thread(topic.send, names, [IA, II, IA])
    await asyncio.to_thread(topic.send, names, [IA, II, IA], first=4)
    go_on.set()
    for kind, events in await asyncio.gather(*clients):
        assert_each_once_in_order(events, [one for one in topic.sent if one[1] in expected[kind]])


async def test_a_named_filter_chooses_what_is_heard_until_it_is_removed(
    topic: Topic, start: Start, store: RedisStore
) -> None:
    store.filters.put(FilterSpec("new-ia", Criteria(class_name="Ia"), first_time=True))
    put(store, "ztf:ZTF21aaaaaaa", object_after([Epoch(1_000.0, vector) for vector in (II, IA, IA)]))
    async with listening(start(), filter="new-ia") as client:
        await client.beat()
        topic.send(["ZTF21aaaaaaa"], [II, IA, IA])
        assert heard(await client.take(1)) == [("ZTF21aaaaaaa", 2)]
        store.filters.remove("new-ia")
        last = (await client.until(lambda one: one.event == "end"))[-1]
    assert "filter was removed" in last.data["detail"]


async def test_a_slow_client_is_dropped_with_a_message_and_others_are_not(topic: Topic, start: Start) -> None:
    url = start(stream_buffer_bytes=2**15, send_buffer_bytes=4096)
    host, port = url.removeprefix("http://").split(":")
    names = objects(24)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((host, int(port)))
        slow.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(1)  # it is connected, and reads nothing
        async with listening(url) as quick:
            await quick.beat()
            # Until the buffers on the way are full as well.
            for turn in range(60):
                topic.send(names, [IA], first=turn + 1)
                await quick.take(len(names), timeout_s=20)
                if _dropped(url):
                    break
        assert _dropped(url) == 1
        received = await asyncio.to_thread(_read_all, slow)
    assert b'event: end\ndata: {"detail":"client too slow' in received


def _dropped(url: str) -> int:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    found = next(line for line in lines if line.startswith("nightjar_api_stream_dropped_total"))
    return int(float(found.split()[-1]))


def _read_all(connection: socket.socket) -> bytes:
    connection.settimeout(30)
    received = b""
    while b"event: end" not in received[-4000:]:
        part = connection.recv(65536)
        assert part, "closed without a last message"
        received += part
    return received


async def test_clients_are_told_when_the_server_stops(topic: Topic, store: RedisStore) -> None:
    store.register_model(MODEL)
    app = create_app(topic.settings, store, {}, result_feed(topic.settings))
    with ExitStack() as stack:
        url = str(stack.enter_context(serve(app)).base_url)
        async with listening(url) as client:
            await client.beat()
            started_s = time.monotonic()
            stopping = asyncio.create_task(asyncio.to_thread(stack.close))
            [last] = await client.take(1)
            await stopping
    assert (last.event, last.data) == (
        "end",
        {"detail": "server shutting down; reconnect with Last-Event-ID"},
    )
    assert time.monotonic() - started_s < 20


def test_wrong_requests_are_problems(topic: Topic, start: Start) -> None:
    assert topic.sent == []
    url = start(stream_clients=1)
    with httpx.Client(base_url=url, timeout=30) as client:
        wrong = client.get("/v1/stream", headers={"Last-Event-ID": "nonsense"})
        problem(wrong, 422, "invalid-request")
        problem(client.get("/v1/stream", params={"class": "Quasar"}), 422, "invalid-request")
        problem(client.get("/v1/stream", params={"filter": "none"}), 404, "unknown-filter")
        with client.stream("GET", "/v1/stream") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            problem(httpx.get(f"{url}/v1/stream"), 503, "stream-unavailable")


def test_without_kafka_the_stream_is_a_problem_and_all_else_works(
    settings_factory: SettingsFactory, store: RedisStore, redis_url: str
) -> None:
    settings = settings_factory(None, redis_url)
    with serve(create_app(settings, store, {}, result_feed(settings))) as client:
        answer = client.get("/v1/stream")
        problem(answer, 503, "stream-unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert client.get("/v1/objects").status_code == 200
