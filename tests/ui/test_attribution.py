"""The page of attribution in a real browser: what a person does with it."""

import re

import pytest
from playwright.sync_api import Page, expect
from waiting import LIMIT_MS

expect.set_options(timeout=LIMIT_MS)

LONG = (
    "checkpoint=depo-n8-w2-any&N=12&to=tokens&method=shapley+values&baseline=mean&samples=1000"
    "&steps=1"  # which is out of range
)


@pytest.fixture(autouse=True)
def patient(page: Page) -> None:
    page.set_default_timeout(60_000)
    page.set_default_navigation_timeout(120_000)


def open_page(page: Page, server: str, query: str = "checkpoint=depo-n8-any") -> None:
    page.goto(f"{server}/attribution?{query}")
    expect(page.get_by_role("heading", name="What the answer is owed to")).to_be_visible()


def test_an_attribution_and_how_far_it_adds_up(page, server):
    open_page(page, server)
    expect(page).to_have_title("Attribution - Sleep workbench")
    figure = page.get_by_role("figure", name="Attribution to passes and heads", exact=True)
    expect(figure).to_have_attribute("data-drawn", re.compile(r"\d"))
    expect(page.get_by_text("completeness error")).to_be_visible()
    expect(page.get_by_text("the attributions add up to the difference")).to_be_visible()
    expect(page.get_by_text("believe neither").first).to_be_visible()
    page.get_by_role("button", name="Compare with shuffled parameters").click()
    expect(page.get_by_text("rank correlation with the attributions")).to_be_visible()
    page.get_by_role("combobox", name="Method").first.select_option("feature ablation")
    expect(page.get_by_text("this method does not promise to add up")).to_be_visible()
    page.get_by_role("combobox", name="Attribute to").select_option("entries of S")
    expect(page.get_by_role("figure", name="Attribution to entries of S")).to_be_visible()
    expect(page.get_by_role("button", name="Step one pass", exact=True)).to_be_visible()
    page.keyboard.press("Home")
    expect(page.locator(".stop b")).to_have_text("Before the first pass, window 1 of 1")
    page.wait_for_url(re.compile("pass=0"))
    expect(page.get_by_role("combobox", name="Baseline")).to_have_value("mean")
    expect(page.get_by_role("combobox", name="Baseline").locator("option")).to_have_count(2)


def test_a_long_one_can_be_cancelled_and_another_choice_goes_on(page, server):
    open_page(page, server, LONG)
    expect(page.get_by_text("steps = 1 in the address is out of range; 2 is used")).to_be_visible()
    expect(page.get_by_role("progressbar", name="Attributing", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile(r"[1-9]\d* of about 16\d\d\d readings"))).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("Cancelled; nothing of it is kept.")).to_be_visible()
    expect(page.get_by_role("button", name="Attribute", exact=True)).to_be_visible()
    page.get_by_role("combobox", name="Method").first.select_option("feature ablation")
    expect(page.get_by_text("completeness error")).to_be_visible()
    expect(page.locator(".tokens .chip")).to_have_count(16)
    expect(page.get_by_role("button", name="Step one pass", exact=True)).to_be_hidden()


def test_axe_finds_nothing_wrong_and_nothing_is_cut(page, server, nothing_wrong_or_cut):
    open_page(
        page, server, "checkpoint=depo-n8-any&to=tokens&method=feature+ablation&baseline=mean"
    )
    expect(page.get_by_text("completeness error")).to_be_visible()
    nothing_wrong_or_cut(page)
