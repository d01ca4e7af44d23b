"""The stepper in a real browser: keys, clicks, focus, layout and colours."""

import re

import pytest
from playwright.sync_api import Page, expect
from waiting import LIMIT_MS

expect.set_options(timeout=LIMIT_MS)

FIGURES = (
    "Timeline of the sleep",
    "Fast weights, all heads",
    "Answers if the model woke now",
    "Curves along the walk",
)
TRANSPORT = ("First", "Back one pass", "Play", "Step one pass", "Last")
FIRST, LAST = "Before the first pass", "Awake, window 3 of 3"


def asleep(number: int, last: int = 4) -> str:
    return f"Asleep, window 1 of 3, pass {number} of {last}"


def figure(page: Page, name: str):
    return page.get_by_role("figure", name=name, exact=True)


def open_stepper(page: Page, server: str, query: str = "checkpoint=depo-n8-any") -> None:
    page.goto(f"{server}/stepper?{query}")
    for name in FIGURES:
        expect(figure(page, name)).to_have_attribute("data-drawn", re.compile(r"\d"))


def drawn(page: Page, name: str) -> int:
    return int(figure(page, name).get_attribute("data-drawn") or 0)


def expect_place(page: Page, words: str) -> None:
    expect(page.locator(".stop b")).to_have_text(words)


def click_figure(page: Page, name: str, right: float, down: float) -> None:
    """Click at a share of a figure's width and height; Plotly wants a hover before."""
    box = figure(page, name).bounding_box()
    x, y = box["x"] + right * box["width"], box["y"] + down * box["height"]
    page.mouse.move(x - 4, y)
    page.wait_for_timeout(150)
    page.mouse.move(x, y)
    page.wait_for_timeout(150)
    page.mouse.click(x, y)


def button(page: Page, name: str):
    return page.get_by_role("button", name=name, exact=True)


def press(page: Page, name: str) -> None:
    button(page, name).click()


def test_a_walk_by_buttons_and_keys(page, server):
    open_stepper(page, server)
    expect(page).to_have_title("Stepper - Sleep workbench")
    expect_place(page, FIRST)
    for name in TRANSPORT:
        expect(button(page, name)).to_be_enabled(enabled=name not in ("First", "Back one pass"))
    levels = [h.evaluate("e => e.tagName") for h in page.get_by_role("heading").all()]
    assert levels.index("H1") < levels.index("H2"), "the title comes before those of the cards"
    assert levels.count("H1") == 1
    region = page.locator(".stop[aria-live=polite]")
    region.evaluate("e => { e.marked = true }")  # screen readers do not announce a replaced one

    for key, place in {
        "ArrowRight": asleep(1), "ArrowLeft": FIRST, "End": LAST, "Home": FIRST,
    }.items():  # fmt: skip
        page.keyboard.press(key)
        expect_place(page, place)
    before = drawn(page, "Fast weights, all heads")
    press(page, "Step one pass")
    expect_place(page, asleep(1))
    expect(page.get_by_text("KV cache: 16")).to_be_visible()
    assert drawn(page, "Fast weights, all heads") > before
    assert region.evaluate("e => e.marked === true")
    assert page.locator("[aria-live]:not(.stop)").filter(has_text="right").count() == 0
    press(page, "Last")
    expect_place(page, LAST)
    expect(page.get_by_text("evicted").first).to_be_visible()
    step = button(page, "Step one pass")
    expect(step).to_be_disabled()
    press(page, "Back one pass")
    expect(step).to_be_enabled()
    step.focus()
    page.keyboard.press("Enter")
    expect_place(page, LAST)
    expect(step).to_be_disabled()
    expect(step).to_be_focused()

    page.get_by_role("textbox", name="Your own input").click()
    for key in ("Home", "ArrowLeft", "Space"):
        page.keyboard.press(key)  # in a field these keys stay there
    press(page, "Back one pass")
    expect_place(page, "Evicted: on to window 3 of 3")
    expect(button(page, "Play")).to_be_visible()


def test_playing_is_paused_and_jumped_out_of(page, server):
    open_stepper(page, server)
    page.get_by_label("Playing speed").select_option("0.5")  # slow: no step between look and press
    page.keyboard.press("Space")
    expect_place(page, asleep(1))
    press(page, "Pause")
    expect(button(page, "Play")).to_be_visible()
    page.keyboard.press("Space")
    expect(button(page, "Pause")).to_be_visible()
    click_figure(page, "Timeline of the sleep", 0.395, 0.45)
    expect_place(page, asleep(4))
    expect(button(page, "Play")).to_be_visible()
    page.wait_for_timeout(2_500)  # longer than a step takes
    expect_place(page, asleep(4))
    page.get_by_label("Playing speed").select_option("4")
    press(page, "Play")
    expect_place(page, LAST)
    expect(button(page, "Play")).to_be_visible()


def test_every_choice_takes_keys_and_clicks(page, server):
    """The trained model also answers more queries after four passes than after one."""
    open_stepper(page, server, "checkpoint=depo-n8-any&N=1&pass=1")
    total = page.locator(".scores .total")
    few = int(re.match(r"(\d+) of 8", total.inner_text())[1])
    slider = page.get_by_role("slider")
    slider.focus()
    for _ in range(3):
        slider.press("ArrowRight")
    expect_place(page, asleep(4))
    assert few < 8
    expect(total).to_have_text(re.compile(rf"^[{few + 1}-8] of 8"))
    expect(page.get_by_text("Trained with N from 1 to 4.")).to_be_visible()
    slider.press("ArrowRight")
    expect_place(page, asleep(5, 5))
    expect(page.get_by_text("beyond the trained range")).to_be_visible()

    ask = page.locator(".ring .ask")
    first = ask.text_content()
    page.get_by_role("combobox", name="Query").focus()
    page.keyboard.press("ArrowDown")
    expect(ask).not_to_have_text(first)
    second = ask.text_content()
    figure(page, "Answers if the model woke now").scroll_into_view_if_needed()
    click_figure(page, "Answers if the model woke now", 0.42, 0.07)
    expect(ask).not_to_have_text(second)

    click_figure(page, "Fast weights, all heads", 0.75, 0.75)
    expect(figure(page, "Head 3, S")).to_be_visible()
    button(page, "change: pass").click()
    expect(figure(page, "Head 3, change since the last pass")).to_be_visible()
    expect(page.get_by_text("S after pass 5 minus S after pass 4")).to_be_visible()
    page.get_by_role("combobox", name="Head").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    expect(figure(page, "Head 1, change since the last pass")).to_be_visible()
    page.get_by_role("combobox", name="Checkpoint").focus()
    page.keyboard.type("rule110-w12-t8-n3")
    expect(page.get_by_role("img", name="string 1 and its 8 steps")).to_be_visible()
    expect(page.get_by_role("combobox", name="Query")).to_have_value(re.compile("string"))


def test_numbers_and_typed_input(page, server):
    open_stepper(page, server)
    for name, typed, shown, said in (
        ("Example (0-15)", "-3", "0", "so -3 became 0"),
        ("Seed", "9" * 30, "4294967295", "seed goes from 0 to 4294967295"),
    ):
        field = page.get_by_role("spinbutton", name=name, exact=True)
        for _ in range(2):  # the second time nothing changes but the field
            field.fill(typed)
            field.press("Enter")
            expect(field, typed).to_have_value(shown)
            expect(page.get_by_text(said).first, typed).to_be_visible()
    assert page.get_by_text("a bug").count() == 0
    field = page.get_by_role("spinbutton", name="Example (0-15)", exact=True)
    press(page, "Example (0-15): one less")
    expect(field).to_have_value("0")
    press(page, "Example (0-15): one more")
    page.wait_for_url(re.compile("example=1&"))
    field.fill("")
    field.press("Enter")
    expect(field).to_have_value("1")

    field = page.get_by_role("textbox", name="Your own input")
    field.fill("0>1 1>2 2>3")
    press(page, "Use this input")
    expect(page.get_by_text("there is no edge")).to_be_visible()
    expect(field).to_have_attribute("aria-invalid", "true")
    assert "input=0" not in page.url
    field.fill("0>1 1>2 2>3 3>0")
    page.get_by_role("textbox", name="Queries (hops:node)").fill("1:0, 2:1")
    press(page, "Use this input")
    expect(page.get_by_role("img", name="Ring of 4 nodes: 0 to 1 to 2 to 3 and")).to_be_visible()
    expect(page.get_by_text("there is no edge")).to_be_hidden()
    expect(page.locator(".scores .total")).to_contain_text("of 2")
    press(page, "Draw again")
    expect(page.get_by_role("img", name=re.compile("Ring of 8 nodes"))).to_be_visible()


def test_the_address_keeps_the_place_and_back_leaves_the_page(page, server):
    page.goto(server)
    page.get_by_role("link", name="Step through depo-n8-any").click()
    expect_place(page, FIRST)
    page.goto(f"{server}/stepper?checkpoint=depo-n8-any&N=99&pass=abc&head=77")
    expect(page.get_by_text("N = 99 in the address is out of range")).to_be_visible()
    assert page.get_by_role("alert").count() <= 1, "one notice for all that is wrong"
    page.wait_for_url(re.compile("N=12&window=0&pass=0&layer=1&head=3"))
    press(page, "Step one pass")
    expect_place(page, asleep(1, 12))
    button(page, "change: sleep").click()
    page.wait_for_url(re.compile("pass=1.*show=sleep_change"))
    page.reload()
    expect_place(page, asleep(1, 12))
    expect(page.get_by_text("S after pass 1 minus S before the sleep")).to_be_visible()
    page.go_back()
    expect_place(page, FIRST)
    page.go_back()
    expect(page.get_by_role("heading", name="Language models that sleep")).to_be_visible()


INK = """([selector, theme]) => {
  const find = (root) => {
    for (const e of root.querySelectorAll("*")) {
      if (e.matches(selector)) return e
      const inner = e.shadowRoot && find(e.shadowRoot)
      if (inner) return inner
    }
  }
  const node = find(document)
  if (!node) return null
  const pen = document.createElement("canvas").getContext("2d", {willReadFrequently: true})
  const paint = (colour) => {
    pen.fillStyle = colour
    pen.fillRect(0, 0, 1, 1)
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3)
  }
  const style = getComputedStyle(node)
  paint(theme === "dark" ? "#181d24" : "#ffffff")
  for (const e of [node.closest(".past, .score"), node]) {
    if (e) paint(getComputedStyle(e).backgroundColor)
  }
  const behind = [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3)
  const svg = node instanceof SVGElement
  return [paint(svg ? style.fill : style.color), behind, style.opacity]
}"""


def luminance(colour: list[int]) -> float:
    parts = [c / 255 for c in colour]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_inks_can_be_read(page, server, serious_faults):
    """WCAG AA asks for 4.5:1 of text, in both themes; axe looks at the rest."""
    low = {}
    for query, selectors in {
        "checkpoint=depo-n8-any&pass=1&query=0": [
            ".hop-number", ".bad, .good", ".note", ".stop span", ".future .t", ".score",
        ],
        "checkpoint=rule110-w12-t8-n3&window=2&pass=1": [
            ".t.gone", ".t.on.gone", ".bad, .good", ".score",
        ],
    }.items():  # fmt: skip
        open_stepper(page, server, query)
        for _ in range(2):
            theme = "dark" if page.locator(".mui-dark").count() else "light"
            for selector in selectors:
                found = page.evaluate(INK, [selector, theme])
                assert found, f"no {selector} at {query}"
                ink, ground, opacity = found
                assert opacity == "1", f"{selector} fades its text"
                light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
                if (ratio := (light + 0.05) / (dark + 0.05)) < 4.5:
                    low[f"{selector} at {query}, {theme}"] = round(ratio, 2)
            if theme == "dark" or "depo" in query:  # what it looks at takes the same inks
                known = theme == "dark" and "depo" in query
                faults = serious_faults(page, only_colours=known)
                assert faults == [], f"{query}, {theme}"
            before = drawn(page, "Curves along the walk")
            button(page, "Toggle theme").click()
            other = "light" if theme == "dark" else "dark"
            expect(page.locator(f".mui-{other}").first).to_be_attached()
            curves = figure(page, "Curves along the walk")
            expect(curves).not_to_have_attribute("data-drawn", str(before))
    assert low == {}


def test_a_theme_is_remembered_and_counts_more_than_the_system(page, server):
    page.emulate_media(color_scheme="dark")
    page.goto(server)
    expect(page.locator(".mui-dark").first).to_be_visible()
    assert page.context.cookies() == [], "only a choice is remembered"
    button(page, "Toggle theme").click()
    page.wait_for_function("document.cookie.includes('workbench_theme=light')")
    page.reload()
    expect(page.get_by_role("heading", name="Checkpoints")).to_be_visible()
    page.wait_for_timeout(500)
    assert page.locator(".mui-dark").count() == 0, "the choice counts more than the system"


OVERFLOWING = """() => {
  const found = []
  const look = (root) => {
    for (const e of root.querySelectorAll("*")) {
      if (e.shadowRoot) look(e.shadowRoot)
      const panel = e.closest(".unseen, svg, .js-plotly-plot")
      if (panel || !e.getClientRects().length) continue
      if (e.getBoundingClientRect().right > innerWidth + 1)
        found.push(e.tagName + "." + e.className)
    }
  }
  look(document)
  return found
}"""
TICKS = """e => [...e.querySelectorAll(".xtick text")].map(
  (t) => [t.getBoundingClientRect(), t.getAttribute("transform") ?? ""]
).map(([b, turn]) => [b.left, b.right, turn])"""


@pytest.mark.parametrize("checkpoint", ["depo-n8-w2-any", "rule110-w12-t8-n3"])
def test_cards_and_labels_have_room(page, server, checkpoint, labels_cut):
    """Six windows with eight passes each: the labels of curves and windows have room, too."""
    page.set_viewport_size({"width": 1920, "height": 1000})
    open_stepper(page, server, f"checkpoint={checkpoint}&pass=2&N=8&show=sleep_change")
    for width in (1920, 1280, 1100, 800, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        cards = page.locator(".panel")
        cards.last.scroll_into_view_if_needed()
        boxes = [b for b in (card.bounding_box() for card in cards.all()) if b]
        assert len(boxes) == 6, width
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                apart = a["x"] >= b["x"] + b["width"] or b["x"] >= a["x"] + a["width"]
                below = a["y"] >= b["y"] + b["height"] or b["y"] >= a["y"] + a["height"]
                assert apart or below, f"two cards overlap at {width}: {a} {b}"
        if width >= 1280:
            assert page.evaluate(OVERFLOWING) == [], width
            assert labels_cut(page) == [], width
            ticks = figure(page, "Curves along the walk").evaluate(TICKS)
            assert not [turn for *_, turn in ticks if "rotate(" in turn and "rotate(0" not in turn]
            pairs = zip(ticks[:-1], ticks[1:], strict=True)
            assert all(b[0] > a[1] for a, b in pairs if b[0] > a[0]), width
            heads = page.locator(".tokens h4").all()
            heights = {round(head.bounding_box()["height"]) for head in heads}
            assert width < 1920 or len(heights) == 1 and heights.pop() <= 26, "one line"


def test_stepping_does_not_move_the_page(page, server):
    open_stepper(page, server)
    for width in (1280, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        page.keyboard.press("Home")
        expect_place(page, FIRST)
        page.wait_for_timeout(300)
        tops = set()
        for _ in range(5):
            tops.add(round(figure(page, "Timeline of the sleep").bounding_box()["y"]))
            before = page.locator(".stop b").text_content()
            press(page, "Step one pass")
            expect(page.locator(".stop b")).not_to_have_text(before)
        assert len(tops) == 1, width
