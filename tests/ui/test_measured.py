"""The page of measurements in a real browser."""

import re

from playwright.sync_api import expect
from waiting import LIMIT_MS

expect.set_options(timeout=LIMIT_MS)


def test_figures_tables_and_data(page, server):
    page.goto(server + "/instruments?measurement=probes-depo-n8-any")
    expect(page.get_by_role("heading", name="Probes: depo-n8-any")).to_be_visible()
    figure = page.get_by_role("figure", name="Accuracy", exact=True)
    expect(figure.locator(".heatmaplayer image").first).to_be_visible()
    expect(page.get_by_role("region", name="told right")).to_contain_text("untrained weights")
    with page.expect_download() as download:
        page.get_by_role("button", name="Data (CSV)").click()
    assert download.value.suggested_filename == "probes-depo-n8-any.csv"


def test_another_measurement_is_chosen_and_stands_in_the_address(page, server):
    page.goto(server + "/instruments")
    expect(page.get_by_role("heading", name="Lens: depo-n8-any")).to_be_visible()
    page.get_by_label("Measurement").select_option(
        "Answers with another context's memory: depo-n8-any, heads"
    )
    expect(page.get_by_role("heading", name="Patches: depo-n8-any")).to_be_visible()
    expect(page).to_have_url(re.compile("measurement=patches-depo-n8-any-heads"))
    noise = page.get_by_role("figure", name="Effect by part, beyond an unrelated donor's, noise")
    expect(noise).to_be_visible()


def test_a_wrong_address_is_told(page, server):
    page.goto(server + "/instruments?measurement=nothing")
    expect(page.get_by_text("There is no measurement named 'nothing'")).to_be_visible()
    expect(page.get_by_role("link", name="Instruments")).to_have_attribute("aria-current", "page")
