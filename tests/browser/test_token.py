"""The page of a server that lets only those read who have a token."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Request, expect

from service.core.alerts import Survey
from service.embedded.processes import LOOPBACK, ChildProcess, free_port
from tests.browser.conftest import OpenPage
from tests.browser.sky import Sky
from tests.browser.test_looks import serious_faults
from tests.support.command import command_line
from tests.support.kafka import wait_until

TOKEN = "only-for-readers"  # noqa: S105
REFUSED = 401


@dataclass
class Guarded:
    """An API that asks for a token, beside the one that does not."""

    process: ChildProcess
    url: str

    def start(self) -> None:
        self.process.start()
        wait_until(self._answers, "the guarded API")

    def _answers(self) -> bool:
        assert self.process.running, self.process.output()
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


@pytest.fixture
def guarded(sky: Sky, tmp_path: Path) -> Iterator[Guarded]:
    port = free_port()
    variables = {"NIGHTJAR_API_PORT": str(port), "NIGHTJAR_API_READ_TOKENS": f"another, {TOKEN}"}
    environment = {**sky.stack.environment(), **variables}
    api = ChildProcess("guarded API", command_line("api"), tmp_path / "api.log", environment)
    server = Guarded(api, f"http://{LOOPBACK}:{port}")
    server.start()
    yield server
    api.stop()


def give(page: Page, token: str) -> None:
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_role("button", name="Go on").click()
    page.mouse.move(0, 0)  # not over the table, which would stand still


def expect_rows(page: Page) -> None:
    expect(page.locator("#candidates tbody tr").first).to_be_visible()
    expect(page.locator("#live")).to_have_attribute("data-state", "on")


def test_page_asks_for_the_token_until_it_is_right_and_then_shows_everything(
    sky: Sky, open_page: OpenPage, guarded: Guarded
) -> None:
    page = open_page("/", url=guarded.url, provoked=REFUSED)
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request))
    expect(page.get_by_role("dialog")).to_be_visible()
    assert serious_faults(page) == set()
    give(page, "wrong")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_have_text(
        "The server does not take this token."
    )
    give(page, TOKEN)
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect_rows(page)
    alert = sky.next_alert()
    alert.send()
    row = page.locator(f'#candidates tr[data-object="{alert.object_id}"]')
    expect(row).to_contain_text(alert.shown_time)

    page.reload()  # nothing is asked again in this tab
    expect_rows(page)
    page.locator("#candidates tbody a").first.click()
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    expect(page.locator("#commands pre").first).to_contain_text('curl -H "Authorization: Bearer TOKEN" http')
    expect(page.get_by_role("dialog")).to_be_hidden()

    data = [one for one in sent if "/v1/" in one.url]
    assert {one.url.split("/v1/")[1].split("?")[0].split("/")[0] for one in data} >= {"objects", "stream"}
    assert all(one.all_headers()["authorization"].startswith("Bearer ") for one in data)
    assert not any(TOKEN in one.url for one in sent)


def test_token_is_forgotten_with_the_tab(open_page: OpenPage, guarded: Guarded) -> None:
    page = open_page("/", url=guarded.url)
    give(page, TOKEN)
    expect_rows(page)
    other = page.context.new_page()
    other.goto(f"{guarded.url}/")
    expect(other.get_by_role("dialog")).to_be_visible()


def test_dialog_that_was_closed_comes_back_by_its_button(open_page: OpenPage, guarded: Guarded) -> None:
    page = open_page("/", url=guarded.url)
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Token").click()
    give(page, TOKEN)
    expect_rows(page)


def test_page_goes_on_where_it_was_when_the_server_comes_back(
    sky: Sky, open_page: OpenPage, guarded: Guarded
) -> None:
    page = open_page("/", url=guarded.url, provoked="net::ERR_")
    give(page, TOKEN)
    expect_rows(page)
    guarded.process.kill()
    expect(page.locator("#live")).to_have_attribute("data-state", "lost")
    missed = sky.next_alert(Survey.LSST)
    before = sky.n_classified(missed.object_id)
    missed.send()
    wait_until(lambda: sky.n_classified(missed.object_id) == before + 1, "the answer")
    guarded.start()
    row = page.locator(f'#candidates tr[data-object="{missed.object_id}"]')
    expect(row).to_contain_text(missed.shown_time)


def test_files_are_given_to_who_has_the_token(open_page: OpenPage, guarded: Guarded) -> None:
    page = open_page("/", url=guarded.url)
    give(page, TOKEN)
    expect_rows(page)
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()
    with Path(started.value.path()).open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) > 0
    with page.expect_download() as started:
        page.get_by_role("link", name="Models").click()
    assert started.value.suggested_filename == "models.json"
    assert json.loads(Path(started.value.path()).read_text(encoding="utf-8"))["models"]


STREAM = (
    "retry: 2000\nid: 0:1\n\n"
    'id: 0:2\nevent: classification\ndata: {"a":1}\n\n'
    ": heartbeat\nid: 0:3\n\n"
    "data: two\r\ndata:lines\r\n\r\n"
    "id: 0:4\nevent: gap\ndata\n\n"
    "event: cut\nid: 0:5\ndata: off"
)
EVENTS = [
    {"type": "classification", "data": '{"a":1}'},
    {"type": "message", "data": "two\nlines"},
    {"type": "gap", "data": ""},
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_read_as_the_standard_has_them_however_they_are_cut(
    open_page: OpenPage, size: int
) -> None:
    page = open_page("/")
    module = page.evaluate("document.querySelector('script[type=module]').src").replace(
        "live.js", "stream.js"
    )
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    found: dict[str, Any] = page.evaluate(
        """async ([module, pieces]) => {
            const { Events } = await import(module);
            const reader = new Events();
            const events = pieces.flatMap((piece) => reader.take(piece));
            return { events, lastId: reader.lastId, retryMs: reader.retryMs };
        }""",
        [module, pieces],
    )
    assert found == {"events": EVENTS, "lastId": "0:4", "retryMs": 2000}
