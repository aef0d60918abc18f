"""Two API processes behind a real proxy that is set up as ``deploy/proxy`` says are one service."""

import json
import ssl
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.embedded.broker import Broker
from service.embedded.processes import LOOPBACK
from service.wiring.stores import object_store
from tests.api.test_stream import IA, II, MODEL, Topic, objects
from tests.conftest import SettingsFactory
from tests.deploy.proxies import PROXIES, ReverseProxy
from tests.integration.conftest import models
from tests.security.certificates import Authority
from tests.support.api_process import ApiProcess
from tests.support.objects import object_state, put

__all__ = ["models"]

BURST = 20
NAME = "ZTF21abiuvdk"
STREAM_CLIENTS = "nightjar_api_stream_clients"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def topic(
    embedded_broker: Broker, redis_url: str, settings_factory: SettingsFactory, models: dict[str, str]
) -> Topic:
    settings = settings_factory(
        embedded_broker,
        redis_url,
        api_trusted_proxies=(LOOPBACK,),
        api_rate_hz=0.01,
        api_burst=BURST,
        stream_heartbeat=timedelta(seconds=0.5),
        **models,
    )
    store = object_store(settings)
    store.register_model(MODEL)
    put(store, f"ztf:{NAME}", object_state())
    store.close()
    return Topic(settings)


@pytest.fixture
def apis(topic: Topic, tmp_path: Path) -> Iterator[list[ApiProcess]]:
    with ExitStack() as stack:
        both = [ApiProcess(topic.settings, tmp_path, name) for name in ("one", "two")]
        for api in both:
            stack.callback(api.process.kill)
            api.start()
        for api in both:
            api.wait_until_ready()
        yield both


@pytest.fixture(params=PROXIES, ids=[proxy.program for proxy in PROXIES])
def proxy(
    request: pytest.FixtureRequest, apis: list[ApiProcess], authority: Authority
) -> Iterator[ReverseProxy]:
    if not request.param.installed():
        pytest.skip(f"no {request.param.program} on this machine: it is Debian's package of that name")
    one, two = (f"{LOOPBACK}:{api.port}" for api in apis)
    with request.param(authority.certificate("proxy"), (one, two)) as server:
        yield server


@contextmanager
def client_from(address: str, url: str, authority: Authority | None = None) -> Iterator[httpx.Client]:
    """Give a client of another address of this machine."""
    trusted: Any = ssl.create_default_context(cafile=authority.ca_file) if authority else False
    transport = httpx.HTTPTransport(local_address=address, verify=trusted)
    with httpx.Client(base_url=url, transport=transport, timeout=30) as client:
        yield client


def next_events(lines: Iterator[str], count: int) -> list[tuple[str, dict[str, Any]]]:
    """Read so many events: the id and the data of each."""
    found: list[tuple[str, dict[str, Any]]] = []
    fields: dict[str, str] = {}
    while len(found) < count:
        line = next(lines)
        if line:
            name, _, fields[name] = line.partition(": ")
            continue
        if "data" in fields:
            found.append((fields["id"], json.loads(fields["data"])))
        fields = {}
    return found


def heard(events: Sequence[tuple[str, dict[str, Any]]]) -> Counter[tuple[str, int]]:
    return Counter((data["object_id"].removeprefix("ztf:"), data["alert_id"]) for _, data in events)


def test_two_processes_behind_a_proxy_are_one_service(
    proxy: ReverseProxy, apis: list[ApiProcess], authority: Authority, topic: Topic
) -> None:
    check_answers(proxy, apis, authority)
    check_rates(proxy, apis, authority)
    check_stream(proxy, apis, authority, topic)


def check_answers(proxy: ReverseProxy, apis: list[ApiProcess], authority: Authority) -> None:
    """Answers and their tags do not depend on which process gives them."""
    path = f"/v1/objects/{NAME}"
    with client_from("127.0.0.2", proxy.url, authority) as client:
        answers = [client.get(path) for _ in range(6)]
        tags = {answer.headers["etag"] for answer in answers}
        assert {answer.status_code for answer in answers} == {200}
        assert len(tags) == len({answer.content for answer in answers}) == 1
        again = [client.get(path, headers={"If-None-Match": tags.copy().pop()}) for _ in range(6)]
        assert {(answer.status_code, answer.content) for answer in again} == {(304, b"")}
        assert client.get("/metrics").status_code == 404
    assert all(api.metric("nightjar_api_requests_total") for api in apis)


def check_rates(proxy: ReverseProxy, apis: list[ApiProcess], authority: Authority) -> None:
    """Clients are counted apart by the address that they have, not by one that they invent."""
    with client_from("127.0.0.3", proxy.url, authority) as flood:
        statuses = Counter(
            flood.get("/v1/schemas", headers={"X-Forwarded-For": f"192.0.2.{number}"}).status_code
            for number in range(3 * BURST)
        )
    assert statuses == {200: BURST * len(apis), 429: BURST}
    with client_from("127.0.0.4", proxy.url, authority) as other:
        assert other.get("/v1/schemas").status_code == 200


def check_stream(proxy: ReverseProxy, apis: list[ApiProcess], authority: Authority, topic: Topic) -> None:
    """The live stream comes at once, and goes on with another process when one dies."""
    names = objects(8)
    with client_from("127.0.0.5", proxy.url, authority) as client:
        with client.stream("GET", "/v1/stream") as stream:
            lines = stream.iter_lines()
            next(lines)
            sent_s = time.monotonic()
            topic.send(names, [IA, II])
            events = next_events(lines, 2 * len(names))
            assert time.monotonic() - sent_s < 10
            [serving] = [api for api in apis if api.metric(STREAM_CLIENTS)]
            serving.process.kill()
            with pytest.raises((httpx.RemoteProtocolError, StopIteration)):
                next_events(lines, 1)
        topic.send(names, [II], first=3)
        with client.stream("GET", "/v1/stream", headers={"Last-Event-ID": events[-1][0]}) as stream:
            events += next_events(stream.iter_lines(), len(names))
        assert heard(events) == Counter(topic.sent)
        # Nobody notices that one of the two is gone.
        assert {client.get(f"/v1/objects/{NAME}").status_code for _ in range(10)} == {200}
