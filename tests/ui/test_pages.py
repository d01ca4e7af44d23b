"""Home, Explore and Findings in a real browser, and one HTML file with the network off."""

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
    model = theatre(page).get_by_label("Model", exact=True)
    model.select_option("variables-any")
    expect(page).to_have_url(re.compile("model=variables-any"))
    page.go_back()  # before the model has read anything
    expect(page).to_have_url(re.compile("model=rule110-w12-t8-any"))
    expect(model).to_have_value("rule110-w12-t8-any")
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


# --- Home ---


def test_a_sleep_plays_at_once_and_the_story_is_told(page, server, serious_faults):
    page.emulate_media(reduced_motion="no-preference")
    page.goto(server)
    expect(page.get_by_role("heading", name="Language models that sleep")).to_be_visible()
    theatre = page.locator("#theatre")
    expect(theatre.get_by_role("button", name="Pause (space)")).to_be_visible()
    expect(theatre.get_by_text("If it woke now, it would answer 5 of 8 right.")).to_be_visible()
    expect(theatre.get_by_text("If it woke now, it would answer 6 of 8 right.")).to_be_visible()
    theatre.get_by_role("button", name="More passes").click()
    expect(theatre.get_by_text("The answers are hidden.")).to_be_visible()
    expect(theatre.get_by_text("of 8 right")).to_have_count(0)
    theatre.get_by_role("button", name="6, 7 and 8").click()
    expect(theatre.get_by_text("Right.", exact=True)).to_be_visible()
    expect(theatre.get_by_text("it would answer all 8 right.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?scene=4$"))
    theatre.get_by_role("button", name="One pass back").click()
    theatre.get_by_role("button", name="Back to this scene").click()
    expect(theatre.get_by_text("it would answer all 8 right.")).to_be_visible()
    expect(theatre.get_by_role("link", name="Open this moment in Explore")).to_have_attribute(
        "href", re.compile(r"/explore\?model=depo-n8-any&.*N=4.*pass=4")
    )
    assert serious_faults(page) == []
    for width in (420, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(200)
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) <= 0, width


def test_a_teacher_asks_first(page, server, serious_faults):
    page.goto(f"{server}/?teacher=1")  # less motion is asked for: nothing plays
    theatre = page.locator("#theatre")
    hidden = theatre.get_by_text("The answers are hidden.")
    expect(hidden).to_be_visible()
    expect(theatre.get_by_role("button", name="Play (space)")).to_be_visible()
    expect(theatre.get_by_role("button", name="Teacher mode")).to_have_attribute(
        "aria-pressed", "true"
    )
    theatre.get_by_role("button", name="Show the answers").click()
    expect(theatre.get_by_text("it would answer all 8 right.")).to_be_visible()
    theatre.get_by_role("button", name="One pass on").click()
    expect(hidden).to_be_visible()
    assert serious_faults(page, only_colours=True) == []
    page.get_by_role("button", name="Light or dark").first.click()
    assert serious_faults(page, only_colours=True) == []
    theatre.get_by_role("button", name="Teacher mode").click()
    expect(theatre.get_by_text("of 8 right").first).to_be_visible()


# --- Findings ---


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
