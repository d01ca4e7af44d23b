"""The theatre's module in a real browser, with no server behind it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from scenes import decode
from theatre_page import open_theatre

import workbench
from workbench.theatre.container import Scene, encode
from workbench.theatre.problem import drawn
from workbench.theatre.recording import read_example
from workbench.theatre.scene import scene_of
from workbench.trace import origin_of

ONE = "depo-n8-any", 5
"""A model and an example whose eight answers turn right one pass after the other."""


def scenes(name: str, example: int, passes: tuple[int, ...]) -> bytes:
    checkpoint = workbench.load(name)
    found = []
    for count in passes:
        problem, sleep = drawn(checkpoint.task, 0, example), checkpoint.sleep.with_passes(count)
        origin = origin_of(checkpoint) | {"seed": 0}
        read = read_example(
            checkpoint.model, problem, sleep, origin=origin, number=example, examples=16
        )
        found.append(encode(scene_of(read)))
    return b"".join(found)


@pytest.fixture(scope="module")
def depo() -> bytes:
    return scenes(*ONE, (4, 1))


@pytest.fixture
def show(page: Page):
    """Return what opens a page with scenes."""

    return lambda data, **extra: open_theatre(page, data, **extra)


def test_keys_walk_through_a_sleep_and_switch_n(depo, show):
    page = show(depo)
    title, slider = page.locator("h1"), page.get_by_role("slider")
    for key, words in (
        ("Home", "1 of 8"), ("ArrowRight", "5 of 8"), ("ArrowRight", "6 of 8"),
        ("ArrowRight", "7 of 8"), ("ArrowRight", "all 8"), ("1", "5 of 8"), ("4", "all 8"),
        ("End", "all 8"),
    ):  # fmt: skip
        slider.press(key)
        expect(title).to_contain_text(words)
    expect(slider).to_have_attribute("aria-valuetext", re.compile("8 of 8 right"))
    expect(page.locator(".window").first).to_have_class(re.compile("forgotten"))
    page.wait_for_function("model.values.place.pass === 1 && model.values.place.window === 2")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    expect(title).to_contain_text("5 of 8")
    page.keyboard.press(" ")


def test_panels_are_linked(depo, show):
    page = show(depo)
    ink = "(c) => { let sum = 0; for (const v of c.getContext('2d').getImageData(0, 0, c.width, "
    ink += "c.height).data) sum = (sum * 31 + v) % 1000003; return sum }"
    large = page.locator("canvas.large")
    before = large.evaluate(ink)
    page.locator("[data-token='0']").hover()
    expect(page.locator(".edge.lit")).to_have_count(1)
    expect(page.locator(".text > .note")).to_contain_text("of S")
    assert large.evaluate(ink) != before
    page.locator("tr", has_text="4 hops from 2").hover()
    expect(page.locator(".edge.hop")).to_have_count(4)
    expect(page.locator(".t.lit")).to_have_count(8)
    large.hover(position={"x": 9, "y": 9})
    expect(page.locator(".memory > .note")).to_contain_text("Key 0, value 0")
    page.locator("[data-token='3']").click()
    page.locator("h1").hover()
    expect(page.locator(".t.lit")).to_have_count(1)
    page.get_by_role("slider").press("Escape")
    expect(page.locator(".t.lit")).to_have_count(0)


def test_two_sleeps_stand_side_by_side_under_one_scrubber(depo, show):
    page = show(depo)
    page.get_by_label("Compare with").select_option(label="N = 1")
    page.get_by_role("slider").press("End")
    eyebrows = page.locator(".eyebrow")
    expect(eyebrows).to_have_count(2)
    expect(eyebrows.nth(1)).to_contain_text("N = 1 · Awake · window 3")


def test_a_file_plays_every_sleep_that_it_holds(show):
    one = decode(scenes(*ONE, (1,)))
    sources = [one.header["source"] | {"example": n, "examples": 30} for n in range(30)]
    page = show(b"".join(encode(Scene(one.header | {"source": s}, one.arrays)) for s in sources))
    for button, words in (("Previous", "Example 30 of 30"), ("Next", "Example 1 of 30")):
        page.get_by_label(f"{button} example").click()
        expect(page.locator(".example")).to_contain_text(words)


def test_asks_are_dimmed_and_their_problems_stand_at_the_field(depo, show):
    page = show(depo, live=True, catalogue=[{"name": ONE[0], "title": "Depo"}])
    page.get_by_role("slider").press("5")
    expect(page.locator(".stage")).to_have_class(re.compile("dimmed"))
    expect(page.get_by_role("status")).to_contain_text("N = 5")
    ask = page.evaluate("sent[0]")
    assert ask["ask"] == {"what": "scene", "name": ONE[0], "seed": 0, "example": 5, "N": 5}
    page.evaluate("model.answer({kind: 'answer', id: 1, problem: 'N = 5 is too many'}, [])")
    expect(page.get_by_role("alert").first).to_contain_text("N = 5 is too many")
    page.get_by_role("slider").press("6")
    expect(page.locator(".stage")).to_have_class(re.compile("dimmed"))
    page.get_by_role("slider").press("1")  # at hand, and newer than N = 6
    page.evaluate("model.answer({kind: 'answer', id: 2, problem: 'too late'}, [])")
    expect(page.locator(".stage")).not_to_have_class(re.compile("dimmed"))
    page.get_by_role("slider").press("4")
    expect(page.locator(".stage")).not_to_have_class(re.compile("dimmed"))
    expect(page.get_by_text("too late")).to_have_count(0)
    page.get_by_text("Your own text").click()
    page.get_by_label("Text that the model reads").fill("0>1")
    page.get_by_role("button", name="Let it read this").click()
    page.evaluate("model.answer({kind: 'answer', id: 3, problem: 'no ring', field: 'input'}, [])")
    expect(page.locator("textarea")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".problem[role=alert]")).to_have_text("no ring")


def test_every_picture_is_saved_as_svg_and_png(depo, show):
    page = show(depo)
    for name in ("text", "problem", "memory", "answers"):
        page.get_by_label(f"Save the picture of the {name}").click()
        with page.expect_download() as saved:
            page.locator(f".{name}").get_by_role("button", name="SVG").click()
        svg = saved.value.path().read_text(encoding="utf-8")
        assert svg.startswith("<svg") and "<text" in svg
    page.get_by_label("Save the picture of the memory").click()
    with page.expect_download() as saved:
        page.locator(".memory").get_by_role("button", name="PNG").click()
    assert saved.value.path().read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "name, theme",
    [("depo-n8-any", "dark"), ("rule110-w12-t8-n3", "light"), ("variables-story", "dark")],
)
def test_it_fits_every_width_and_reads_well(name, theme, depo, show, serious_faults):
    data = depo if name == ONE[0] else scenes(name, 0, (3,))
    page = show(data, settings={"theme": theme})
    for width in (420, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(f"document.documentElement.scrollWidth <= {width}")
    assert serious_faults(page) == []
