"""The home page in a real browser."""

import re

from playwright.sync_api import expect
from waiting import LIMIT_MS

expect.set_options(timeout=LIMIT_MS)


def test_home_explains_and_lists_checkpoints(page, server):
    page.goto(server)
    expect(page).to_have_title("Sleep workbench")
    expect(page.get_by_role("heading", name="Language models that sleep")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("read N times asleep"))).to_be_visible()
    card = page.get_by_role("article").filter(has_text="depo-n8-any")
    expect(card.get_by_role("table", name="Accuracy of depo-n8-any")).to_contain_text("4 hops")
    expect(card).to_contain_text("guess")


def test_links_lead_to_the_stepper_and_back(page, server):
    page.goto(server)
    page.get_by_role("link", name="Step through depo-n8-any").click()
    expect(page.get_by_text("Before the first pass")).to_be_visible()
    assert "checkpoint=depo-n8-any" in page.url
    page.get_by_role("link", name="Home", exact=True).click()
    expect(page.get_by_role("heading", name="Language models that sleep")).to_be_visible()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Stepper").click()
    expect(page.get_by_text("Before the first pass")).to_be_visible()


def test_the_heads_of_the_tables_stand_over_their_columns(page, server):
    page.goto(server)
    table = page.get_by_role("table", name="Accuracy of depo-n8-any")
    aligned = table.evaluate(
        """e => [...e.querySelectorAll("tr > :first-child")].map(
          (cell) => getComputedStyle(cell).textAlign
        )"""
    )
    assert set(aligned) == {"left"}


def test_nothing_is_wider_than_the_window(page, server):
    page.goto(server)
    expect(page.get_by_role("heading", name="Checkpoints")).to_be_visible()
    for width in (1280, 1920, 700):
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.get_by_role("heading", name="Checkpoints").evaluate(
            "e => e.closest('.home').scrollWidth - e.closest('.home').clientWidth"
        )
        assert wide <= 0, width


def test_an_unknown_page_says_so_and_leads_home(page, server, problems):
    response = page.goto(server + "/nothing")
    assert response.status == 404
    problems.clear()
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    page.get_by_role("link", name="Go to the home page").click()
    expect(page.get_by_role("heading", name="Checkpoints")).to_be_visible()
