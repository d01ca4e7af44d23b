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


def test_the_stepper_opens_a_model_of_sentences(page, server):
    """With sentences of one's own and a wrong one; other pages: tests/views/test_word_models.py."""
    page.goto(f"{server}/stepper?checkpoint=variables-any&N=4&window=1&pass=0")
    chain = page.get_by_role("img", name="What follows from what")
    expect(chain.locator(".node")).to_have_count(10)
    expect(page.locator(".sentences .gone")).to_have_count(10)  # the window has been evicted
    expect(page.locator(".sentences .share")).to_have_count(10)
    expect(page.get_by_text(re.compile("Right after|Not right|Right before"))).to_be_visible()
    field = page.get_by_role("textbox", name="Your own input")
    field.fill("a 3 =, b c +1")
    page.get_by_role("button", name="Use this input").click()
    expect(page.get_by_text("c in 'b c +1' has no sentence")).to_be_visible()
    field.fill("a 3 =, b a +1, c b +1")
    page.locator(".queries input").fill("c")
    page.get_by_role("button", name="Use this input").click()
    expect(chain.locator(".node")).to_have_count(3)
    expect(chain.locator(".right text")).to_have_text("c = 0")
