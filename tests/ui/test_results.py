"""The results page in a real browser."""

import csv
import io
import re

from playwright.sync_api import expect
from waiting import LIMIT_MS

expect.set_options(timeout=LIMIT_MS)

FIRST = "Does more sleep help at equal tokens?"


def test_questions_figures_numbers_and_data(page, server, nothing_wrong_or_cut):
    page.goto(server + "/results")
    expect(page.get_by_role("heading", name=FIRST)).to_be_visible()
    figure = page.get_by_role("figure", name=FIRST)
    expect(figure.locator(".scatterlayer .point").first).to_be_visible()
    expect(page.get_by_role("heading", name="What the paper reports")).to_be_visible()
    expect(page.get_by_text("0.742")).to_be_visible()
    expect(page.get_by_role("link", name="Results")).to_have_attribute("aria-current", "page")

    page.get_by_text("Numbers", exact=True).first.focus()
    page.keyboard.press("Enter")
    table = page.get_by_role("region", name=FIRST).first
    expect(table).to_be_visible()
    expect(table).to_contain_text(re.compile(r"\[0\.\d\d, \d\.\d\d\]"))

    with page.expect_download() as download:
        page.get_by_role("button", name="Data (CSV)").first.click()
    assert download.value.suggested_filename == "depo-n8-equal-tokens.csv"
    with open(download.value.path(), encoding="utf-8") as file:
        rows = list(csv.DictReader(io.StringIO(file.read())))
    assert {"arm", "passes", "difficulty", "mean", "low", "high", "count"} == set(rows[0])
    assert any(row["arm"] == "sleep" and row["passes"] == "4" for row in rows)
    nothing_wrong_or_cut(page)


def test_an_address_names_a_record(page, server):
    page.goto(server + "/results?record=nothing")
    expect(page.get_by_text("There is no record named 'nothing'")).to_be_visible()
    expect(page.get_by_role("heading", name=FIRST)).to_be_visible()
    expect(page).to_have_url(re.compile(r"record=depo-n8"))
