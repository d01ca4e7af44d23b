"""The home page in a real browser."""

import re

from playwright.sync_api import expect
from waiting import LIMIT_MS

expect.set_options(timeout=LIMIT_MS)


def test_home_lists_checkpoints_and_fits_the_window(page, server):
    page.goto(server)
    expect(page).to_have_title("Sleep workbench")
    expect(page.get_by_role("img", name=re.compile("read N times asleep"))).to_be_visible()
    table = page.get_by_role("table", name="Accuracy of depo-n8-any", exact=True)
    expect(table).to_contain_text("4 hops")
    aligned = table.evaluate(
        """e => [...e.querySelectorAll("tr > :first-child")].map(
          (cell) => getComputedStyle(cell).textAlign
        )"""
    )
    assert set(aligned) == {"left"}, "heads stand over their columns"
    for width in (1280, 1920, 700):
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.get_by_role("heading", name="Checkpoints").evaluate(
            "e => e.closest('.home').scrollWidth - e.closest('.home').clientWidth"
        )
        assert wide <= 0, width
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Stepper").click()
    expect(page.get_by_text("Before the first pass")).to_be_visible()
    page.get_by_role("link", name="Home", exact=True).click()
    expect(page.get_by_role("heading", name="Language models that sleep")).to_be_visible()


def test_an_unknown_page_says_so_and_leads_home(page, server, problems):
    response = page.goto(server + "/nothing")
    assert response.status == 404
    problems.clear()
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()
    page.get_by_role("link", name="Go to the home page").click()
    expect(page.get_by_role("heading", name="Checkpoints")).to_be_visible()
