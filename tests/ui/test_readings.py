"""The pages of interventions and of attribution in a real browser: keys, choices, layout."""

import re

from playwright.sync_api import Page, expect
from waiting import LIMIT_MS

expect.set_options(timeout=LIMIT_MS)

DRAWN = re.compile(r"\d")
LONG = (
    "checkpoint=depo-n8-w2-any&N=12&to=tokens&method=shapley+values&baseline=mean&samples=1000"
    "&steps=1"  # which is out of range
)


def cells(page: Page) -> list[str]:
    """Return the patched answers of the first table, with what they are right in."""
    rows = page.locator("table.changes").first.locator("tbody tr")
    found = rows.evaluate_all(
        "rows => rows.map(r => r.cells[4].textContent + r.cells[4].className)"
    )
    return [str(text) for text in found]


def test_interventions(page, server, nothing_wrong_or_cut):
    wrong = "checkpoint=depo-n8-w2-any&donor=0&part=soul&window=1&pass=77"
    page.goto(f"{server}/interventions?{wrong}")
    shown = page.get_by_role("figure", name="Logit differences of every query", exact=True)
    expect(shown).to_have_attribute("data-drawn", DRAWN)
    expect(page).to_have_title("Interventions - Sleep workbench")
    expect(page.get_by_text("part = 'soul' in the address is unknown")).to_be_visible()
    expect(page.get_by_text("donor 0 is the recipient itself; 1 is taken")).to_be_visible()
    expect(page.get_by_text("pass 77 does not exist here; 4 is shown")).to_be_visible()
    expect(page.locator(".stop b")).to_have_text("After window 2 of 2, pass 4 of 4")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".stop b")).to_have_text("After window 2 of 2, pass 3 of 4")
    expect(page.get_by_text("It does not reproduce the donor")).to_be_visible()
    page.keyboard.press("End")
    expect(page.locator(".stop b")).to_have_text("After the last eviction, before waking")
    page.wait_for_url(re.compile("donor=1.*window=2&pass=0"))
    expect(page.get_by_text("It reproduces the donor exactly")).to_be_visible()
    before = cells(page)
    page.get_by_role("button", name="Donor (0-15): one more", exact=True).click()
    page.wait_for_url(re.compile("donor=2"))
    expect(page.get_by_role("heading", name="donor, example 2").first).to_be_visible()
    assert cells(page) != before
    nothing_wrong_or_cut(page)
    page.get_by_role("combobox", name="Part of S").select_option("one head")
    expect(page.get_by_role("combobox", name="Head")).to_be_visible()
    expect(page.get_by_text("It reproduces")).to_be_hidden()
    page.get_by_role("combobox", name="Action").select_option("erase: set to zero")
    expect(page.locator("table.changes")).to_have_count(1)
    page.wait_for_url(re.compile("action=zero&part=head"))
    expect(page.get_by_role("heading", name="Measure", exact=True)).to_be_visible()
    page.get_by_role("combobox", name="Checkpoint").first.select_option("depo-n8-any")
    expect(page.get_by_text("workbench measure patches depo-n8-any").first).to_be_visible()


def test_attribution(page, server, nothing_wrong_or_cut):
    page.goto(f"{server}/attribution?{LONG}")
    expect(page).to_have_title("Attribution - Sleep workbench")
    expect(page.get_by_text("steps = 1 in the address is out of range; 2 is used")).to_be_visible()
    expect(page.get_by_role("progressbar", name="Attributing", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile(r"[1-9]\d* of about 16\d\d\d readings"))).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("Cancelled; nothing is kept.")).to_be_visible()
    expect(page.get_by_role("button", name="Attribute", exact=True)).to_be_visible()
    page.get_by_role("combobox", name="Method").first.select_option("feature ablation")
    expect(page.get_by_text("completeness error")).to_be_visible()
    expect(page.locator(".tokens .chip")).to_have_count(16)
    expect(page.get_by_role("button", name="Step one pass", exact=True)).to_be_hidden()
    nothing_wrong_or_cut(page)
    page.get_by_role("combobox", name="Checkpoint").first.select_option("depo-n8-any")
    expect(page).to_have_url(re.compile("checkpoint=depo-n8-any&"))  # or its answer undoes the next
    page.get_by_role("combobox", name="Attribute to").select_option("entries of S")
    figure = page.get_by_role("figure", name="Attribution to entries of S")
    expect(figure).to_have_attribute("data-drawn", DRAWN)
    expect(page.get_by_role("button", name="Step one pass", exact=True)).to_be_visible()
    page.keyboard.press("Home")
    expect(page.locator(".stop b")).to_have_text("Before the first pass, window 1 of 1")
    page.wait_for_url(re.compile("pass=0"))
    expect(page.get_by_role("combobox", name="Baseline").locator("option")).to_have_count(2)
