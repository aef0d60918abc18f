"""The page of one object in a real browser."""

import re
import shlex

import httpx
import pytest
from playwright.sync_api import Page, expect

from service.core.alerts import Survey
from tests.browser.conftest import OpenPage
from tests.browser.sky import Sky

SURVEYS = pytest.mark.parametrize("survey", [Survey.ZTF, Survey.LSST])

# Counts what is drawn on any canvas, apart from what the page says of itself. A circle is an arc, a triangle
# the only path that is closed; each chart's last drawing counts.
COUNT_MARKS = """
(() => {
  const marks = (globalThis.marks = new Map());
  const prototype = CanvasRenderingContext2D.prototype;
  const count = (name) => {
    const original = prototype[name];
    prototype[name] = function (...values) {
      const host = this.canvas.closest(".chart")?.id;
      if (host) marks.set(host, (marks.get(host) ?? 0) + 1);
      return original.apply(this, values);
    };
  };
  count("arc");
  count("closePath");
  const clear = prototype.clearRect;
  prototype.clearRect = function (...values) {
    marks.delete(this.canvas.closest(".chart")?.id);
    return clear.apply(this, values);
  };
})();
"""


def open_object(open_page: OpenPage, key: str, **options: object) -> Page:
    page = open_page(f"/objects/{key}", script=COUNT_MARKS, **options)
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    return page


def drawn(page: Page) -> int:
    """Count the marks of the light curve, when it was drawn."""
    expect(page.locator("#curve")).to_have_attribute("data-plotted", re.compile(r"\d+"))
    return int(page.evaluate("globalThis.marks.get('curve')"))


@SURVEYS
def test_as_many_points_are_plotted_as_the_api_gives(sky: Sky, open_page: OpenPage, survey: Survey) -> None:
    key = sky.object_id(survey)
    observations = sky.get(f"/v1/objects/{key}/lightcurve")["observations"]
    assert len({row["kind"] for row in observations}) >= 2
    page = open_object(open_page, key)
    assert drawn(page) == len(observations)
    page.get_by_role("button", name="Flux").click()
    assert drawn(page) == len(observations)
    page.get_by_role("button", name="Forced").click()
    expect(page.get_by_role("button", name="Forced")).to_have_attribute("aria-pressed", "false")
    assert drawn(page) == sum(row["kind"] != "forced" for row in observations)

    history = sky.get(f"/v1/objects/{key}/classifications")["epochs"]
    classified = [epoch for epoch in history if epoch["classifications"]]
    assert page.locator("#history").get_attribute("data-epochs") == str(len(classified))
    expect(page.locator("#alerts tbody tr")).to_have_count(len(history))


@SURVEYS
def test_what_is_said_of_the_object_is_what_the_api_says(
    sky: Sky, open_page: OpenPage, survey: Survey
) -> None:
    key = sky.object_id(survey)
    summary = sky.get(f"/v1/objects/{key}")
    page = open_object(open_page, key)
    expect(page).to_have_title(f"{summary['object_id']} · nightjar")
    vector = sorted(summary["classification"]["classifications"], key=lambda one: -one["probability"])
    assert page.locator("#bars .class-name").all_inner_texts() == [one["class_name"] for one in vector]
    shown = [float(text) for text in page.locator("#bars .number").all_inner_texts()]
    assert shown == pytest.approx([one["probability"] for one in vector], abs=6e-4)
    # 64-bit ids are whole.
    ids = page.locator("#alerts tbody tr td:nth-child(3)").all_inner_texts()
    history = sky.get(f"/v1/objects/{key}/classifications")["epochs"]
    assert ids == [str(epoch["alert_id"]) for epoch in reversed(history)]
    assert page.locator("#sky a").count() >= 7
    for link in page.locator("#downloads a").all():
        path = str(link.get_attribute("href"))
        assert httpx.get(sky.url + path, timeout=30).status_code == 200, path
    assert f"{summary['ra_deg']:.6f}°" in page.locator("#sky").inner_text()


def test_a_new_alert_of_the_object_appears_in_its_page(sky: Sky, open_page: OpenPage) -> None:
    alert = sky.next_alert(Survey.LSST)
    page = open_object(open_page, alert.object_id)
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    before = page.locator("#alerts tbody tr").count()
    alert.send()
    expect(page.locator("#alerts tbody tr")).to_have_count(before + 1)
    expect(page.locator("#alerts tbody tr").first).to_contain_text(alert.shown_time)


def test_pointing_at_an_alert_shows_the_classes_as_of_it(sky: Sky, open_page: OpenPage) -> None:
    key = sky.object_id(Survey.ZTF)
    first = next(
        epoch for epoch in sky.get(f"/v1/objects/{key}/classifications")["epochs"] if epoch["classifications"]
    )
    page = open_object(open_page, key)
    latest = page.locator("#class-time").inner_text()
    page.locator(f'#alerts tr[data-alert="{first["alert_id"]}"]').hover()
    expect(page.locator("#class-time")).not_to_have_text(latest)
    best = max(first["classifications"], key=lambda one: one["probability"])
    assert page.locator("#bars .class-name").first.inner_text() == best["class_name"]
    page.locator("h1").hover()
    expect(page.locator("#class-time")).to_have_text(latest)


def test_both_charts_show_the_same_time(sky: Sky, open_page: OpenPage) -> None:
    page = open_object(open_page, sky.object_id(Survey.ZTF))
    everything = drawn(page)
    box = page.locator("#curve .u-over").bounding_box()
    assert box is not None
    below = page.locator("#history .u-over").bounding_box()
    assert below is not None
    assert (below["x"], below["width"]) == (box["x"], box["width"])
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 60, steps=5)
    page.mouse.up()
    assert 0 < drawn(page) < everything
    page.mouse.dblclick(below["x"] + 50, below["y"] + 50)
    expect(page.locator("#curve")).to_have_attribute("data-plotted", str(everything))


def test_the_commands_are_those_that_work(sky: Sky, open_page: OpenPage) -> None:
    key = sky.object_id(Survey.ZTF)
    page = open_object(open_page, key, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy: Its alerts as they come, from Kafka").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    brokers = sky.stack.bootstrap_servers
    name = key.removeprefix("ztf:")
    assert shlex.split(copied) == ["nightjar", "listen", "--brokers", brokers, "--object", name]
    page.get_by_role("button", name="Copy: Its probability history, over the API").click()
    expect(page.get_by_role("button", name="Copy: Its probability history, over the API")).to_have_text(
        "Copied"
    )
    curl, url = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert curl == "curl"
    assert sky.get(url.removeprefix(sky.url))["id"] == key


def test_an_unknown_object_is_said_in_words(open_page: OpenPage) -> None:
    page = open_page("/objects/ZTF18aaaaaaa", provoked=404)
    expect(page.locator("#notice")).to_contain_text("This object is not stored")
    page.get_by_role("link", name="All candidates").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Candidates")
