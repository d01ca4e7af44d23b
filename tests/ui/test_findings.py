"""The page Findings in a real browser: questions, figures, another model, measuring."""

import re

from playwright.sync_api import Page, expect
from waiting import LIMIT_MS

expect.set_options(timeout=LIMIT_MS)

CHOOSE = """(select) => {
  select.value = "probes/depo-n8-w2-any"
  select.dispatchEvent(new Event("change"))
  const article = document.querySelector("article")
  return [article.className, article.getAttribute("aria-busy")]
}"""
"""Choose another model, and return how the old figures are marked before anything has arrived."""
FIRST = "Does more sleep help at equal tokens?"


def saved(page: Page, name: str = "Data (CSV)") -> str:
    """Press the first link that saves data; return the name of the file."""
    with page.expect_download() as download:
        page.get_by_role("link", name=name, exact=True).first.click()
    assert download.value.path().read_text(encoding="utf-8").count("\n") > 1
    return download.value.suggested_filename


def test_a_question_is_found_read_and_saved(page, server, nothing_wrong):
    page.goto(server + "/results?record=depo-n8")
    expect(page.get_by_role("heading", name=FIRST)).to_be_visible()
    expect(page).to_have_url(re.compile("/findings"))
    expect(page.locator(".answer")).to_contain_text("Yes: at 3 hops")
    figure = page.locator("figure.plot").first
    expect(figure.locator(".scatterlayer .point").first).to_be_visible()
    page.get_by_text("Numbers", exact=True).focus()
    page.keyboard.press("Enter")
    table = page.get_by_role("region", name=FIRST).first
    expect(table).to_contain_text(re.compile(r"\[0\.\d\d, \d\.\d\d\]"))
    assert saved(page) == "depo-n8-equal-tokens.csv"
    with page.expect_download() as download:
        figure.get_by_role("button", name="SVG").click()
    assert "<svg" in download.value.path().read_text(encoding="utf-8")[:200]
    nothing_wrong(page)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.keyboard.press("/")
    page.keyboard.type("woke pass")
    found = page.get_by_role("navigation", name="Questions").get_by_role("link")
    expect(found).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/findings/lens/depo-n8-any$"))
    expect(page.get_by_role("link", name="Findings")).to_have_attribute("aria-current", "page")


def test_another_model_shows_at_once_that_the_old_figures_are_old(page, server):
    page.goto(server + "/findings/probes/depo-n8-any")
    maps = page.locator("figure.plot").first.locator(".heatmaplayer image").first
    expect(maps).to_be_visible()
    assert page.get_by_label("Model").evaluate(CHOOSE) == ["old", "true"]
    expect(page).to_have_url(re.compile("/findings/probes/depo-n8-w2-any$"))
    expect(page.locator(".answer")).to_contain_text("3 hops")
    expect(maps).to_be_visible()


def test_a_measurement_is_started_cancelled_and_made(page, server):
    """With a wrong value, then cancelled, then to the end, in real processes."""
    page.goto(server + "/findings/measure?kind=probes&checkpoint=depo-n8-n1")
    examples = page.get_by_label("Examples", exact=True)
    start = page.get_by_role("button", name="Measure", exact=True)
    examples.fill("7")
    expect(page.get_by_text("'7' given; expected")).to_be_visible()
    expect(examples).to_have_attribute("aria-invalid", "true")
    expect(start).to_be_disabled()
    examples.fill("100000")
    expect(start).to_be_enabled()
    start.press("Enter")
    expect(page.get_by_role("progressbar", name="Progress of Probes: depo-n8-n1")).to_be_visible()
    page.get_by_role("button", name=re.compile("Cancel: Probes: depo-n8-n1")).press("Enter")
    jobs = page.get_by_role("list", name="Measured on this machine")
    expect(jobs.get_by_text("cancelled", exact=True)).to_be_visible()
    for label, text in (("Examples", "60"), ("Splits", "1"), ("Passes (N)", "1")):
        page.get_by_label(label, exact=True).fill(text)
    start.click()
    # its process loads torch, behind everything else that the machine does
    expect(jobs.get_by_text("done", exact=True)).to_be_visible(timeout=max(LIMIT_MS, 180_000))
    expect(page.get_by_text("60 evaluation examples")).to_be_visible()
    expect(page.locator("figure.plot").first.locator(".heatmaplayer image")).to_be_visible()
    again = "Measure again: Probes: depo-n8-n1, examples 60"
    expect(page.get_by_role("button", name=re.compile(again))).to_be_visible()
