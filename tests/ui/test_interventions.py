"""The page of interventions in a real browser: what a person does with it."""

import re

import pytest
from playwright.sync_api import Page, expect
from waiting import LIMIT_MS

expect.set_options(timeout=LIMIT_MS)

DRAWN = re.compile(r"\d")


@pytest.fixture(autouse=True)
def patient(page: Page) -> None:
    page.set_default_timeout(60_000)
    page.set_default_navigation_timeout(120_000)


def open_page(page: Page, server: str, query: str = "checkpoint=depo-n8-any") -> None:
    page.goto(f"{server}/interventions?{query}")
    shown = page.get_by_role("figure", name="Logit differences of every query", exact=True)
    expect(shown).to_have_attribute("data-drawn", DRAWN)


def cells(page: Page, table: int = 0) -> list[str]:
    """Return the patched answers of a table, with what they are right in."""
    rows = page.locator("table.changes").nth(table).locator("tbody tr")
    found = rows.evaluate_all(
        "rows => rows.map(r => r.cells[4].textContent + r.cells[4].className)"
    )
    return [str(text) for text in found]


def test_a_donor_is_chosen_and_the_answers_become_its_own(page, server):
    open_page(page, server)
    expect(page).to_have_title("Interventions - Sleep workbench")
    expect(page.locator(".stop b")).to_have_text("After window 1 of 1, pass 4 of 4")
    expect(page.get_by_text("It reproduces the donor exactly")).to_be_visible()
    expect(page.get_by_text("6 became the donor's", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Is it enough?")).to_be_visible()
    before = cells(page)
    assert all("is-not" not in text for text in before)
    page.get_by_role("button", name="Donor (0-15): one more", exact=True).click()
    page.wait_for_url(re.compile("donor=2"))
    expect(page.get_by_role("heading", name="donor, example 2").first).to_be_visible()
    expect(page.get_by_text("It reproduces the donor exactly")).to_be_visible()
    assert cells(page) != before
    page.get_by_role("combobox", name="Part of S").select_option("one head")
    expect(page.get_by_text("the part P(S), head 0 of layer 1")).to_be_visible()
    expect(page.get_by_role("combobox", name="Head")).to_be_visible()
    expect(page.get_by_text("It reproduces")).to_be_hidden()
    page.get_by_role("combobox", name="Action").select_option("erase: set to zero")
    expect(page.locator("table.changes")).to_have_count(1)
    page.wait_for_url(re.compile("action=zero&part=head"))
    expect(page.get_by_role("heading", name="Recorded over many examples")).to_be_visible()
    expect(page.get_by_text("workbench measure patches depo-n8-any").first).to_be_visible()
    expect(page.get_by_role("heading", name="Measure", exact=True)).to_be_visible()
    link = page.get_by_role("link", name="Attribute its answers")
    expect(link).to_have_attribute("href", re.compile(r"attribution\?checkpoint=depo-n8-any"))


def test_an_address_is_put_right_and_the_keyboard_steps_from_there(page, server):
    wrong = "checkpoint=depo-n8-w2-any&donor=0&part=soul&window=1&pass=77"
    open_page(page, server, wrong)
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


def test_an_address_opens_there_and_nothing_is_wrong_or_cut(page, server, nothing_wrong_or_cut):
    open_page(page, server, "checkpoint=depo-n8-w2-any&donor=3&window=2&pass=0")
    expect(page.locator(".stop b")).to_have_text("After the last eviction, before waking")
    expect(page.get_by_role("spinbutton", name="Donor (0-15)")).to_have_value("3")
    expect(page.get_by_text("It reproduces the donor exactly")).to_be_visible()
    nothing_wrong_or_cut(page)
