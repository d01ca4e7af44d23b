"""The memory page in a real browser: figures, themes, downloads and layout."""

import re

from playwright.sync_api import Page, expect
from waiting import LIMIT_MS

expect.set_options(timeout=LIMIT_MS)

SHARES = "Shares of S by window and pass, left of each write"
CHANGE = "Change per pass against its replay"
FIGURES = ("Timeline of the sleep", SHARES, CHANGE, "Likeness of two passes")


def figure(page: Page, name: str):
    return page.get_by_role("figure", name=name, exact=True)


def open_memory(page: Page, server: str, query: str) -> None:
    page.goto(f"{server}/memory?{query}")
    for name in FIGURES:
        expect(figure(page, name)).to_have_attribute("data-drawn", re.compile(r"\d"))


def expect_place(page: Page, words: str) -> None:
    expect(page.locator(".stop b")).to_have_text(words)


def test_every_card_in_both_themes_with_its_numbers(page, server, serious_faults):
    open_memory(page, server, "checkpoint=depo-n8-any&pass=1")
    expect(page).to_have_title("Memory - Sleep workbench")
    expect_place(page, "Asleep, window 1 of 3, pass 1 of 4")
    levels = [h.evaluate("e => e.tagName") for h in page.get_by_role("heading").all()]
    assert levels.index("H1") < levels.index("H2") and levels.count("H1") == 1
    here = page.get_by_role("link", name="Memory", exact=True)
    expect(here).to_have_attribute("aria-current", "page")
    with page.expect_download() as download:
        page.get_by_role("button", name="Data (CSV)").first.click()
    name = "depo-n8-any-seed-0-n-4-example-0-layer-1-head-0-shares.csv"
    assert download.value.suggested_filename == name
    with open(download.value.path(), encoding="utf-8") as file:
        assert "variable,value" in file.readline()

    assert serious_faults(page) == [], "light"
    before = str(figure(page, CHANGE).get_attribute("data-drawn"))
    page.get_by_role("button", name="Toggle theme").click()
    expect(page.locator(".mui-dark").first).to_be_visible()
    expect(figure(page, CHANGE)).not_to_have_attribute("data-drawn", before)
    assert serious_faults(page, only_colours=True) == [], "dark"

    shares = figure(page, SHARES).locator(".textpoint text")
    expect(shares.first).to_have_text("100")
    page.get_by_role("heading", name="Does it settle").scroll_into_view_if_needed()
    step = page.get_by_role("button", name="Step one pass", exact=True)
    expect(step).to_be_in_viewport()
    step.click()
    expect_place(page, "Asleep, window 1 of 3, pass 2 of 4")
    expect(shares).to_have_count(4)
    first, second, whole, carried = shares.all_text_contents()
    assert abs(int(first) + int(second) - 100) <= 1 and (whole, carried) == ("100", "0")


def test_nothing_is_cut_or_wider_than_the_window(page, server, labels_cut):
    open_memory(page, server, "checkpoint=depo-n8-w2-any&pass=1&N=8")
    for width in (1280, 1920, 1024, 700):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(800)
        wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, width
        if width >= 1280:
            assert labels_cut(page) == [], width
