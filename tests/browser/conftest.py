"""A real Chromium on the page of a real service: broker, Redis, worker and API as processes of their own."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from service.embedded.broker import EmbeddedBroker
from service.tools.demo.stack import Stack, StackNames
from tests.browser.sky import Sky
from tests.browser.watch import Watch
from tests.conftest import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SCREENSHOTS = ROOT / "build" / "screenshots"

OpenPage = Callable[..., Page]

expect.set_options(timeout=20_000)  # milliseconds: other tests keep the machine busy


@pytest.fixture(scope="session")
def chromium() -> str:
    """Give the browser (``NIGHTJAR_CHROMIUM``, or the first on the path), or skip."""
    named = os.environ.get("NIGHTJAR_CHROMIUM", "")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser {named or ' or '.join(NAMES)}: install chromium or set NIGHTJAR_CHROMIUM")
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """Run the browser; it can reach no host but this one."""
    with sync_playwright() as playwright:
        arguments = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")  # which Chromium refuses to set up for root
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def sky(chromium: str) -> Iterator[Sky]:
    """Run a whole service, with most of the demo's alerts classified and a few still to come."""
    del chromium  # without it there is nothing to run a service for
    packets = Sky.packets()
    with Stack(EmbeddedBroker(), tuple(packets.surveys()), 1, 0, StackNames(), lambda _: None) as stack:
        stack.wait_for_api()
        sky = Sky(stack, packets)
        sky.begin()
        yield sky


@pytest.fixture
def open_page(browser: Browser, sky: Sky) -> Iterator[OpenPage]:
    """Open a path of the page: ``open_page("/", width=390, height=844, color_scheme="dark")``.

    Whatever a test does with it: no error stands in the console, and no request goes to another host.
    Answers with a status of `provoked`, or messages with that text, are what the test is after; `script` runs
    before the page's own; `url` is another server's.
    """
    watch = Watch(sky.url)
    contexts = []

    def open_page(
        path: str,
        *,
        width: int = 1280,
        height: int = 900,
        provoked: int | str | None = None,
        script: str = "",
        url: str = sky.url,
        **options: object,
    ) -> Page:
        watch.url = url
        watch.provoked = f"status of {provoked} " if isinstance(provoked, int) else provoked
        context = browser.new_context(viewport={"width": width, "height": height}, **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        watch.follow(page)
        page.add_init_script(script)
        page.goto(url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert watch.errors == []
    assert watch.elsewhere == []
    assert watch.n_requests > 0


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Give the directory where screenshots are kept for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS
