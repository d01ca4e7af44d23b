"""The lens "memory" in a real browser, with a model that answers its asks."""

import re

from playwright.sync_api import expect
from waiting import LIMIT_MS

from workbench.theatre.instruments import INSTRUMENTS

expect.set_options(timeout=LIMIT_MS)

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
