"""The lenses "cause" and "credit" in a real browser, with a model that answers their asks."""

import re

from playwright.sync_api import expect
from waiting import LIMIT_MS

expect.set_options(timeout=LIMIT_MS)

END = {"window": 1, "pass": 0}


def place(page):
    return page.evaluate("model.values.place")


def test_that_a_head_matters_is_shown_with_its_control(page, host, serious_faults):
    asked = host(place={"pass": 2})
    page.get_by_role("tab", name="Memory").press("ArrowRight")
    above = page.locator(".above .cause")
    expect(above.locator(".conclusion")).to_contain_text("All of S")
    page.get_by_label("Head", exact=True).select_option("0")
    page.get_by_label("Part of S").select_option("head")
    expect(above.locator(".conclusion")).to_contain_text("Head 0")
    expect(above.locator(".sure")).to_contain_text(["Effect minus control: ", ""])
    outcome = page.locator(".answers table.outcome")
    expect(outcome.locator("thead th")).to_have_text(
        ["Question", "before", "after", "control: unrelated donor", "Effect − control"]
    )
    expect(outcome.locator("tbody tr")).to_have_count(8)
    expect(page.locator(".states canvas")).to_have_count(5)
    page.get_by_role("button", name="Try every head").click()
    expect(above.get_by_text("matters most")).to_be_visible()
    assert asked[-1]["every"] and "part" not in asked[-1]
    page.wait_for_function("model.values.place.part === 'head'")
    assert place(page)["lens"] == "cause"
    with page.expect_download() as download:
        page.get_by_role("button", name="Data (CSV)").click()
    assert b"logit_diff" in download.value.path().read_bytes()
    assert serious_faults(page) == []


def test_what_does_not_fit_is_said_and_left_in_the_address(page, host):
    host(place={"lens": "cause", "donor": "5", **END})
    expect(page.locator(".above .problem")).to_contain_text("which is the recipient itself")
    donor = page.get_by_role("combobox", name=re.compile("^Donor"))
    expect(donor).to_have_value("5")
    page.wait_for_function("model.values.place.donor === '5'")
    donor.select_option("6")
    expect(page.locator(".above .conclusion")).to_contain_text("All of S")
    page.get_by_role("slider").press("End")
    back = page.get_by_role("button", name="Go to the last moment before the answers")
    back.click()
    expect(page.locator(".theatre")).to_have_attribute("data-boundary", "3")


def test_a_head_is_dragged_from_a_donor_next_to_it(page, host):
    asked = host(place={"lens": "cause", "part": "layer", **END})
    page.get_by_role("button", name="Show the donor’s sleep").click()
    aside = page.locator(".stage.aside")
    expect(aside).to_be_visible()
    assert asked[-1] == {"what": "scene", "name": "depo-n8-any", "N": 2, "seed": 0, "example": 6}
    aside.locator("canvas.small").drag_to(
        page.locator(".stage:not(.aside) canvas.large"), source_position={"x": 10, "y": 10}
    )
    page.wait_for_function("model.values.place.part === 'head' && model.values.place.donor === 6")
    expect(page.locator(".above .conclusion").first).to_contain_text("Head 0")
    page.get_by_role("button", name="Compare the changed sleep").click()
    expect(aside.locator(".eyebrow")).to_contain_text("head 0 from example 7")


def test_an_answer_is_credited_where_it_is_owed(page, host, serious_faults):
    asked = host(place={"lens": "credit", "to": "tokens", "method": "feature ablation"})
    above = page.locator(".above .credit")
    expect(above.locator(".sure").first).to_contain_text("does not promise to add up")
    expect(page.locator(".t.for, .t.against").first).to_be_visible()
    expect(page.locator(".graph .for, .graph .against").first).to_be_visible()
    page.get_by_label("Attribute to").select_option("passes and heads")
    expect(above.locator(".sure").first).to_contain_text("the attributions add up")
    assert "method" not in asked[-1], "the method of another subject is given up"
    expect(page.locator("table.parts tbody tr")).to_have_count(4)
    expect(page.locator(".scrubber .amount.for, .scrubber .amount.against").first).to_be_visible()
    page.locator("tr", has_text="1 hop from 4").click()
    expect(above.locator(".conclusion")).to_contain_text("1 hop from 4")
    page.get_by_label("Attribute to").select_option("entries of S")
    expect(page.locator(".one .what")).to_contain_text("what each entry adds to the answer")
    page.get_by_role("button", name="Compare with shuffled parameters").click()
    expect(above.get_by_text(re.compile("3 copies of the model"))).to_be_visible()
    assert serious_faults(page) == []


def test_on_a_phone_and_without_a_host(page, host):
    page.set_viewport_size({"width": 420, "height": 900})
    host(place={"lens": "cause", **END})
    expect(page.locator(".above .conclusion")).to_contain_text("All of S")
    page.wait_for_function("document.documentElement.scrollWidth <= 420")
    host(place={"lens": "credit"}, settings={"theme": "dark"})
    expect(page.locator(".above .conclusion")).not_to_be_empty()
    page.wait_for_function("document.documentElement.scrollWidth <= 420")
