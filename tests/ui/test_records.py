"""The pages of recorded results, measurements and probes in a real browser."""

import re

from playwright.sync_api import Page, expect
from waiting import LIMIT_MS

expect.set_options(timeout=LIMIT_MS)

FIRST = "Does more sleep help at equal tokens?"
MAP = "Accuracy of the probe by target and pass"


def saved(page: Page) -> str:
    """Press the first button that saves data; return the name of the file."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Data (CSV)", exact=True).first.click()
    assert download.value.path().read_text(encoding="utf-8").count("\n") > 1
    return download.value.suggested_filename


def test_results(page, server, nothing_wrong_or_cut):
    page.goto(server + "/results?record=nothing")
    expect(page.get_by_text("There is no record named 'nothing'")).to_be_visible()
    expect(page).to_have_url(re.compile(r"record=depo-n8"))
    expect(page.get_by_role("heading", name=FIRST)).to_be_visible()
    figure = page.get_by_role("figure", name=FIRST)
    expect(figure.locator(".scatterlayer .point").first).to_be_visible()
    expect(page.get_by_role("heading", name="What the paper reports")).to_be_visible()
    expect(page.get_by_role("link", name="Results")).to_have_attribute("aria-current", "page")
    page.get_by_text("Numbers", exact=True).first.focus()
    page.keyboard.press("Enter")
    table = page.get_by_role("region", name=FIRST).first
    expect(table).to_be_visible()
    expect(table).to_contain_text(re.compile(r"\[0\.\d\d, \d\.\d\d\]"))
    assert saved(page) == "depo-n8-equal-tokens.csv"
    nothing_wrong_or_cut(page)


def test_measurements(page, server):
    page.goto(server + "/instruments?measurement=nothing")
    expect(page.get_by_text("There is no measurement named 'nothing'")).to_be_visible()
    expect(page.get_by_role("link", name="Instruments")).to_have_attribute("aria-current", "page")
    expect(page.get_by_role("heading", name="Lens: depo-n8-any")).to_be_visible()
    page.get_by_label("Measurement").select_option(
        "What a linear probe finds in the memory: depo-n8-any"
    )
    expect(page.get_by_role("heading", name="Probes: depo-n8-any")).to_be_visible()
    expect(page).to_have_url(re.compile("measurement=probes-depo-n8-any"))
    figure = page.get_by_role("figure", name="Accuracy", exact=True)
    expect(figure.locator(".heatmaplayer image").first).to_be_visible()
    expect(page.get_by_role("region", name="told right")).to_contain_text("untrained weights")
    assert saved(page) == "probes-depo-n8-any.csv"


def test_probes_a_click_chooses_a_cell(page, server, nothing_wrong_or_cut):
    page.goto(server + "/probes")
    figure = page.get_by_role("figure", name=MAP)
    expect(figure.locator(".heatmaplayer image").first).to_be_visible()
    expect(page.get_by_role("figure", name="Answers that follow")).to_be_visible()
    box = figure.locator(".heatmaplayer image").first.bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.125 * box["height"])
    expect(page).to_have_url(re.compile(r"target=1\+hop&pass=2"))
    assert saved(page) == "probes-depo-n8-any.csv"
    nothing_wrong_or_cut(page)
    # every page can be reached, and the theme changed, in the narrow window too
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    assert links.count() == 10
    ends = [one.bounding_box() for one in (*links.all(), page.get_by_label("Toggle theme"))]
    assert all(end["x"] + end["width"] <= 700 for end in ends)
    links.last.focus()
    expect(links.last).to_be_in_viewport(ratio=1)
    page.get_by_label("Checkpoint").first.select_option("depo-n8-n1")
    expect(page.get_by_text("Nothing is measured yet with this checkpoint")).to_be_visible()
    expect(page.get_by_label("Checkpoint").nth(1)).to_have_value("depo-n8-n1")
    measure(page)


def measure(page: Page) -> None:
    """Measure with a wrong value, then cancel, then to the end, in real processes."""
    examples = page.get_by_label("Examples", exact=True)
    examples.fill("7")
    page.keyboard.press("Enter")
    expect(examples).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("alert").filter(has_text="'7' given; expected")).to_be_visible()
    expect(examples).to_be_focused()
    examples.fill("100000")
    start = page.get_by_role("button", name="Measure", exact=True)
    start.press("Enter")
    expect(page.get_by_role("progressbar", name="Progress of Probes: depo-n8-n1")).to_be_visible()
    page.get_by_role("button", name=re.compile("Cancel Probes: depo-n8-n1")).press("Enter")
    jobs = page.get_by_role("list", name="Measured on this machine")
    expect(jobs.get_by_text("cancelled", exact=True)).to_be_visible()
    for label, text in (("Examples", "60"), ("Splits", "1"), ("Passes (N)", "1")):
        page.get_by_label(label, exact=True).fill(text)
    start.click()
    # its process loads torch, behind everything else that the machine does
    expect(jobs.get_by_text("done", exact=True)).to_be_visible(timeout=max(LIMIT_MS, 180_000))
    expect(page.get_by_text("60 evaluation examples")).to_be_visible()
    expect(page.get_by_role("figure", name=MAP)).to_be_visible()
    expect(page).to_have_url(re.compile("measurement=probes-"))
    again = "Measure again Probes: depo-n8-n1, examples 60"
    expect(page.get_by_role("button", name=re.compile(again))).to_be_visible()
