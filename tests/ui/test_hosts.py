"""The theatre in a real browser: the page Explore, and one HTML file with the network off."""

import re

from playwright.sync_api import Browser, Page, expect
from waiting import LIMIT_MS

from workbench.theatre.asks import Asks
from workbench.theatre.page import page_of
from workbench.training.checkpoints import load_checkpoint

expect.set_options(timeout=LIMIT_MS)


def theatre(page: Page):
    return page.get_by_role("region", name="One sleep of the model")


def passes_of(stage):
    return stage.get_by_role("group", name="N, the number of passes over each window")


def test_explore_answers_and_keeps_its_place(page: Page, server: str, problems: list[str]):
    loaded = []
    page.on("response", lambda response: loaded.append(response))
    page.goto(f"{server}/explore?model=rule110-w12-t8-any&N=3&window=0&pass=2")
    stage = theatre(page)
    expect(stage).to_have_attribute("data-boundary", "2")
    expect(stage.get_by_role("heading", level=1)).to_contain_text("right")
    module = next(one for one in loaded if "/assets/theatre." in one.url)
    assert module.headers["content-encoding"] == "gzip"
    assert "immutable" in module.headers["cache-control"]
    expect(page).to_have_url(re.compile("model=rule110-w12-t8-any.*N=3.*pass=2"))
    stage.press("ArrowRight")
    expect(page).to_have_url(re.compile("pass=3"))

    stage.get_by_text("Your own text").click()
    text = stage.get_by_label("Text that the model reads")
    text.fill("0101")
    stage.get_by_role("button", name="Let it read this").click()
    expect(stage.get_by_role("alert").filter(has_text="1 string")).to_contain_text("2 strings")
    text.fill("010101010101 111000111000")
    stage.get_by_role("button", name="Let it read this").click()
    expect(page).to_have_url(re.compile(r"input=010101010101\+111000111000"))
    page.reload()
    expect(theatre(page)).to_contain_text("Your text")
    stage = theatre(page)
    stage.get_by_text("Your own text").click()
    stage.get_by_role("button", name="Back to drawn examples").click()
    expect(page).to_have_url(re.compile("example=0"))
    for back, words, address in (
        (page.go_back, "Your text", "input="), (page.go_forward, "Example 1 of", "example=0"),
    ):  # fmt: skip
        back()
        expect(theatre(page)).to_contain_text(words)
        expect(page).to_have_url(re.compile(address))
    page.set_viewport_size({"width": 420, "height": 900})
    page.wait_for_timeout(300)
    page.evaluate("scrollTo(0, 0)")
    header, top = page.get_by_role("banner").bounding_box(), theatre(page).bounding_box()["y"]
    assert header["y"] == 0 and top >= header["height"], "the header covers what can be chosen"
    assert problems == []


def test_a_choice_of_light_or_dark_stays(page: Page, server: str, serious_faults):
    page.emulate_media(color_scheme="dark")
    ground = "getComputedStyle(document.documentElement).colorScheme"
    page.goto(f"{server}/explore?model=variables-story")
    expect(theatre(page)).to_have_attribute("data-boundary", re.compile(r"\d"))
    for theme in ("dark", "light"):
        assert page.evaluate(ground) == theme
        expect(page.locator(f"#theatre[data-theme={theme}]")).to_be_attached()
        assert serious_faults(page) == [], theme
        page.get_by_role("banner").get_by_role("button", name="Light or dark").click()
    page.reload()
    assert page.evaluate(ground) == "dark"


def test_a_file_plays_without_server_or_network(browser: Browser, tmp_path):
    checkpoint = load_checkpoint("depo-n8-any")
    asks = Asks(lambda name: checkpoint)
    ask = {"what": "scene", "name": checkpoint.name, "example": 5}
    path = tmp_path / "sleep.html"
    path.write_text(page_of([asks.scene(ask | {"N": n}) for n in (4, 1)], "A sleep"))
    wrong: list[str] = []
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: wrong.append(asked.url) if "://" in asked.url[:8] else None)
    page.goto(path.as_uri())
    stage = theatre(page)
    stage.press("End")
    expect(stage.get_by_role("heading", level=1)).to_contain_text("all 8")
    expect(page).to_have_url(re.compile("#.*example=5&N=4.*window=2"))
    page.reload()
    expect(stage.get_by_role("heading", level=1)).to_contain_text("all 8")
    passes_of(stage).get_by_role("button", name="1", exact=True).click()
    expect(stage.get_by_role("heading", level=1)).not_to_contain_text("all 8")
    context.close()
    assert [one for one in wrong if not one.startswith("file:")] == []


def test_a_wrong_address_opens_and_says_so(page: Page, server: str):
    page.goto(f"{server}/explore?model=nobody&N=999")
    expect(theatre(page)).to_have_attribute("data-boundary", re.compile(r"\d"))
    expect(page.locator("#problems li")).to_have_count(2)
    expect(page.locator("#problems")).to_contain_text("expected")
