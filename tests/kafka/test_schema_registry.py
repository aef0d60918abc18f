"""Schemas by id from a registry: known, unknown, unreachable, and access denied."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from service.core.alerts import Survey
from service.decoding.decoder import Decoder, RawMessage
from service.decoding.wire.schemas import SchemaStore
from service.errors import RegistryUnavailableError, RejectionCode, SettingsError
from service.kafka.schema_registry import SchemaRegistry

SCHEMA = '{"type": "record", "name": "alert", "fields": []}'
ANSWERS = {
    "/schemas/ids/1000": (200, json.dumps({"schema": SCHEMA})),
    "/schemas/ids/1": (404, json.dumps({"error_code": 40403, "message": "Schema not found"})),
    "/schemas/ids/2": (500, "oops"),
    "/schemas/ids/3": (200, "<html>sign in first</html>"),
    "/schemas/ids/4": (200, json.dumps({"something": "else"})),
    "/schemas/ids/5": (401, ""),
    "/schemas/ids/6": (302, ""),
}


class Registry(BaseHTTPRequestHandler):
    """Answers like a Confluent registry, and like a proxy in front of one."""

    asked: list[str] = []  # noqa: RUF012  shared by all requests on purpose

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, body = ANSWERS.get(self.path.removeprefix("/below"), (404, ""))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/schemas/ids/1000")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Log nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Run a registry."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    Registry.asked.clear()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def registry(url: str) -> Iterator[SchemaRegistry]:
    """Yield a client of the registry."""
    client = SchemaRegistry(url)
    yield client
    client.close()


def test_known_id_returns_its_schema(registry: SchemaRegistry) -> None:
    assert registry(1000) == SCHEMA.encode()
    assert registry(6) == SCHEMA.encode()  # by way of a redirect


def test_path_of_the_url_is_kept(url: str) -> None:
    client = SchemaRegistry(f"{url}/below/")
    assert client(1000) == SCHEMA.encode()
    assert Registry.asked == ["/below/schemas/ids/1000"]
    client.close()


def test_unknown_id_returns_none(registry: SchemaRegistry) -> None:
    assert registry(1) is None


@pytest.mark.parametrize("schema_id", [2, 3, 4])
def test_answer_without_a_schema_is_an_outage_not_an_unknown_id(
    registry: SchemaRegistry, schema_id: int
) -> None:
    with pytest.raises(RegistryUnavailableError, match=r"127\.0\.0\.1"):
        registry(schema_id)


def test_unreachable_registry_is_an_outage() -> None:
    client = SchemaRegistry("http://127.0.0.1:1")

    with pytest.raises(RegistryUnavailableError):
        client(1000)
    client.close()


def test_denied_access_is_a_settings_error(registry: SchemaRegistry) -> None:
    with pytest.raises(SettingsError, match="401"):
        registry(5)


@pytest.mark.parametrize("wrong", ["ftp://registry", "registry:8081", "http://", "http://[::1"])
def test_invalid_url_is_a_settings_error(wrong: str) -> None:
    with pytest.raises(SettingsError, match="NIGHTJAR_SCHEMA_REGISTRY_URL"):
        SchemaRegistry(wrong)


def test_alert_with_unknown_id_is_rejected_only_after_the_registry_answered(url: str) -> None:
    message = RawMessage(b"\x00\x00\x00\x00\x01 and a body", Survey.LSST)
    client, silent = SchemaRegistry(url), SchemaRegistry("http://127.0.0.1:1")

    (rejected,) = Decoder(SchemaStore(registry=client)).decode([message]).rejected

    assert rejected.error.code is RejectionCode.UNKNOWN_SCHEMA
    with pytest.raises(RegistryUnavailableError):
        Decoder(SchemaStore(registry=silent)).decode([message])
    client.close()
    silent.close()


def test_schema_is_fetched_once(url: str) -> None:
    message = RawMessage(b"\x00\x00\x00\x00\x01 and a body", Survey.LSST)
    client = SchemaRegistry(url)

    Decoder(SchemaStore(registry=client)).decode([message] * 50)

    assert Registry.asked == ["/schemas/ids/1"]
    client.close()
