"""For everybody: screen readers, keyboards, phones, dark rooms."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from service.core.alerts import Survey
from tests.browser.conftest import OpenPage
from tests.browser.sky import Sky

PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}
SERIOUS = {"serious", "critical"}


def open_both(sky: Sky, open_page: OpenPage, **options: object) -> dict[str, Page]:
    """Open the live page and an object's, and wait until they are drawn."""
    live = open_page("/", **options)
    expect(live.locator("#candidates tbody tr").first).to_be_visible()
    one = open_page(f"/objects/{sky.object_id(Survey.LSST)}", **options)
    expect(one.locator("main")).to_have_attribute("aria-busy", "false")
    for page in (live, one):
        expect(page.locator("#live")).to_have_attribute("data-state", "on")
    return {"live": live, "object": one}


# Between them both layouts and both sets of colours.
@pytest.mark.parametrize(("device", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_no_serious_accessibility_fault(sky: Sky, open_page: OpenPage, device: str, scheme: str) -> None:
    options = PHONE if device == "phone" else {}
    for name, page in open_both(sky, open_page, color_scheme=scheme, **options).items():
        assert serious_faults(page) == set(), f"{name}, {scheme}, {device}"


def serious_faults(page: Page) -> set[str]:
    """Give what axe-core finds."""
    return {
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in Axe().run(page).response["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    }


def test_screenshots_in_dark_and_light(sky: Sky, open_page: OpenPage, screenshots: Path) -> None:
    for device, options in {"desktop": {}, "phone": PHONE}.items():
        grounds = set()
        for name, page in open_both(sky, open_page, color_scheme="light", **options).items():
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                page.screenshot(path=screenshots / f"{name}-{device}-{scheme}.png", full_page=True)
                grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(grounds) == 2


def test_nothing_is_wider_than_a_phone(sky: Sky, open_page: OpenPage) -> None:
    for name, page in open_both(sky, open_page, **PHONE).items():
        width = page.evaluate("document.scrollingElement.scrollWidth")
        assert width <= PHONE["width"], name
        # Nor is anything cut off in a part that would have to be moved sideways.
        overhang = "(one) => one.scrollWidth - one.clientWidth"
        if name == "live":
            assert page.locator(".table-card").evaluate(overhang) <= 0


def test_a_phone_has_the_filters_folded_and_follows_a_tap(sky: Sky, open_page: OpenPage) -> None:
    page = open_both(sky, open_page, **PHONE)["live"]
    expect(page.get_by_label("Survey")).to_be_hidden()
    page.locator("summary").tap()
    expect(page.get_by_label("Survey")).to_be_visible()
    page.locator("#candidates tbody a").first.tap()
    expect(page.locator("#curve canvas")).to_be_visible()


def test_everything_can_be_done_by_keyboard(sky: Sky, open_page: OpenPage) -> None:
    page = open_both(sky, open_page)["live"]
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Object id or position")).to_be_focused()
    key = sky.object_id(Survey.ZTF)
    page.keyboard.type(key)
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")

    page.locator("#curve").focus()
    page.keyboard.press("ArrowLeft")
    last = page.locator("#spoken").inner_text()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#spoken")).not_to_have_text(last)
    expect(page.locator("#curve .tip")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#curve .tip")).to_be_hidden()
    page.locator("#history").focus()
    before = page.locator("#class-time").inner_text()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#class-time")).not_to_have_text(before)

    flux = page.get_by_role("button", name="Flux")
    flux.focus()
    page.keyboard.press("Enter")
    expect(flux).to_have_attribute("aria-pressed", "true")
    page.get_by_role("link", name="nightjar", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#candidates tbody tr").first).to_be_visible()
    age = page.get_by_role("button", name="Age")
    age.focus()
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"


def test_the_colours_can_be_chosen_and_stay_chosen(open_page: OpenPage) -> None:
    page = open_page("/", color_scheme="dark")

    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    dark = ground()
    page.get_by_role("button", name="Colours: as the system has them").click()
    light = ground()
    assert light != dark
    page.reload()
    assert ground() == light
    page.get_by_role("button", name="Colours: light").click()
    assert ground() == dark
    page.emulate_media(color_scheme="light")
    assert ground() == dark
