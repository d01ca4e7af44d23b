"""The lenses in a real browser, with a model that answers their asks."""

import re

from playwright.sync_api import expect
from waiting import LIMIT_MS

from workbench.theatre.instruments import INSTRUMENTS

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


# --- memory ---

SHARES = "Shares of S by window and pass, left of each write"


def figure(page, name, boundary):
    return page.locator(f".plot[aria-label='{name}'][data-drawn='{boundary}']")


def test_a_figure_follows_the_scrubber_without_asking_again(page, host):
    asked = host(place={"instrument": "shares", "pass": 2})
    expect(figure(page, SHARES, 2)).to_contain_text("100")
    page.wait_for_function("sent.length === 2")
    assert [(a["what"], a["instrument"], a["every"]) for a in asked] == [
        ("instrument", "shares", False), ("instrument", "shares", True),
    ]  # fmt: skip
    expect(page.locator(".says")).to_contain_text(INSTRUMENTS["shares"].shows[:40])
    slider = page.get_by_role("slider")
    for key, boundary, words in (
        ("ArrowLeft", 1, "100"), ("Home", 0, "nothing has been written"), ("End", 6, "window 3"),
    ):  # fmt: skip
        slider.press(key)
        expect(figure(page, SHARES, boundary)).to_contain_text(words)
    page.get_by_role("button", name="Against a replay").click()
    change = "Change per pass against its replay"
    expect(figure(page, change, 6)).to_be_visible()
    page.wait_for_function("model.values.place.instrument === 'change'")
    slider.press("Home")
    expect(figure(page, change, 0)).to_be_visible()
    assert len(asked) == 3, "one figure whose cursor moves"
    page.get_by_label("Head", exact=True).select_option("1")
    page.wait_for_function("sent.length === 4")
    assert asked[-1]["head"] == 1


def test_an_old_address_leads_to_the_lens_of_a_real_server(page, server):
    query = "checkpoint=depo-n8-any&N=2&example=5&window=0&pass=1&head=2&instrument=shares"
    page.goto(f"{server}/memory?{query}")
    expect(figure(page, SHARES, 1)).to_contain_text("head 2")
    page.wait_for_url(re.compile(r"/explore\?model=depo-n8-any&.*lens=memory&instrument=shares"))


def test_what_the_scene_has_is_drawn_without_asking(page, host):
    asked = host()
    panels = page.locator(".curves svg")
    expect(panels).to_have_count(4)
    expect(page.locator(".curves .line").first).to_have_attribute("d", re.compile("M.*L"))
    page.get_by_role("button", name="Share of each token").click()
    page.get_by_role("slider").press("End")
    expect(page.locator(".written .note")).to_contain_text("The largest shares")
    page.locator("rect.column[data-bar='3']").hover()
    expect(page.locator("[data-token='3']")).to_have_class(re.compile("lit"))
    assert asked == []


def test_pictures_and_numbers_are_saved(page, host):
    host(place={"instrument": "tokens", "pass": 1})
    expect(figure(page, "Contribution of each token", 1)).to_be_visible()
    saved = {}
    for words in ("SVG", "PNG", "Numbers (CSV)"):
        page.get_by_label("Save this figure or its numbers").click()
        with page.expect_download() as download:
            page.locator(".instruments").get_by_role("button", name=words).click()
        saved[words] = download.value.path().read_bytes()
    assert b"<svg" in saved["SVG"] and saved["PNG"].startswith(b"\x89PNG")
    assert saved["Numbers (CSV)"].startswith(b"example,layer,gdn_head,")
    page.get_by_role("button", name="Size, change, rank").click()
    page.get_by_label("Save this figure or its numbers").click()
    with page.expect_download() as download:
        page.locator(".instruments").get_by_role("button", name="Numbers (CSV)").click()
    assert b"0,1,1,0,norm," in download.value.path().read_bytes()


def test_without_plotly_or_a_host_it_says_where_the_figure_is(page, host):
    asked = host(settings={"plotly": ""}, place={"instrument": "lens"})
    expect(page.locator(".says")).to_contain_text("workbench.figures.lens_over_passes")
    assert asked == []
    host(place={"instrument": "nothing"})
    expect(page.locator(".instruments .wrong")).to_contain_text("instrument = nothing is unknown")
    expect(page.locator(".curves svg")).to_have_count(4)


def test_it_fits_a_phone_and_reads_well(page, host, serious_faults):
    page.set_viewport_size({"width": 420, "height": 900})
    host(settings={"theme": "dark"}, place={"instrument": "readout", "pass": 2})
    expect(figure(page, "Retrieval by pass", 2)).to_be_visible()
    page.wait_for_function("document.documentElement.scrollWidth <= 420")
    assert serious_faults(page) == []
