"""The page of probes in a real browser: opened, looked at, measured anew, cancelled."""

import re
import time

from playwright.sync_api import Page, expect
from waiting import LIMIT_MS

expect.set_options(timeout=LIMIT_MS)

MAP = "Accuracy of the probe by target and pass"


def open_probes(page: Page, url: str, query: str = "") -> None:
    page.goto(f"{url}/probes{query}")
    expect(page.get_by_role("heading", name=re.compile("^Probes: "))).to_be_visible()
    expect(page.get_by_role("button", name="Measure", exact=True)).to_be_visible()


def fill(page: Page, **settings: str) -> None:
    for name, text in settings.items():
        page.get_by_label(name, exact=True).fill(text)


def test_it_opens_with_a_measurement_and_a_click_chooses_a_cell(page, server, serious_faults):
    open_probes(page, server)
    figure = page.get_by_role("figure", name=MAP)
    expect(figure.locator(".heatmaplayer image").first).to_be_visible()
    expect(page.get_by_role("figure", name="Answers that follow")).to_be_visible()
    expect(page.get_by_role("heading", name="What this does not show")).to_be_visible()
    expect(page.get_by_role("link", name="Probes")).to_have_attribute("aria-current", "page")
    assert serious_faults(page) == []
    box = figure.locator(".heatmaplayer image").first.bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.125 * box["height"])
    expect(page).to_have_url(re.compile(r"target=1\+hop&pass=2"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Data (CSV)", exact=True).click()
    assert download.value.suggested_filename == "probes-depo-n8-any.csv"
    page.get_by_label("Checkpoint").first.select_option("depo-n8-n1")
    expect(page.get_by_text("Nothing is measured yet with this checkpoint")).to_be_visible()
    expect(page.get_by_label("Checkpoint").nth(1)).to_have_value("depo-n8-n1")


def test_measuring_with_a_wrong_value_cancelled_and_to_its_end(page, server):
    open_probes(page, server, "?checkpoint=depo-n8-n1")
    fill(page, Examples="7")
    page.keyboard.press("Enter")
    examples = page.get_by_label("Examples", exact=True)
    expect(examples).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("alert").filter(has_text="'7' given; expected")).to_be_visible()
    expect(examples).to_be_focused()
    fill(page, Examples="100000")
    page.get_by_role("button", name="Measure", exact=True).press("Enter")
    expect(page.get_by_role("progressbar", name="Progress of Probes: depo-n8-n1")).to_be_visible()
    page.get_by_role("button", name=re.compile("Cancel Probes: depo-n8-n1")).press("Enter")
    asked = time.monotonic()
    jobs = page.get_by_role("list", name="Measured on this machine")
    expect(jobs.get_by_text("cancelled", exact=True)).to_be_visible()
    assert time.monotonic() - asked < 2
    fill(page, Examples="60", Splits="1")
    page.get_by_label("Passes (N)").fill("1")
    page.get_by_role("button", name="Measure", exact=True).click()
    # its process loads torch, behind everything else that the machine does
    expect(jobs.get_by_text("done", exact=True)).to_be_visible(timeout=180_000)
    expect(page.get_by_text("60 evaluation examples")).to_be_visible()
    expect(page.get_by_role("figure", name=MAP)).to_be_visible()
    expect(page).to_have_url(re.compile("measurement=probes-"))
    again = "Measure again Probes: depo-n8-n1, examples 60"
    expect(page.get_by_role("button", name=re.compile(again))).to_be_visible()


def test_nothing_is_wrong_in_the_dark_or_wider_than_the_window(page, server, serious_faults):
    page.context.add_cookies([{"name": "workbench_theme", "value": "dark", "url": server}])
    open_probes(page, server, "?checkpoint=rule110-w12-t8-any")
    expect(page.get_by_role("figure", name=MAP).locator(".heatmaplayer image")).to_be_visible()
    assert serious_faults(page) == []
    levels = [h.evaluate("e => e.tagName") for h in page.get_by_role("heading").all()]
    assert levels.index("H1") < levels.index("H2") and levels.count("H1") == 1
    for width in (1280, 1920, 700):
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, width
        # every page can be reached, and the theme changed, however narrow the window is
        links = page.get_by_role("navigation", name="Pages").get_by_role("link")
        assert links.count() == 9
        ends = [one.bounding_box() for one in (*links.all(), page.get_by_label("Toggle theme"))]
        assert all(end["x"] + end["width"] <= width for end in ends), width
    links.last.focus()
    expect(links.last).to_be_in_viewport(ratio=1)
