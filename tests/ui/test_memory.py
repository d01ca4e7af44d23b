"""The memory page in a real browser: what a person does with it."""

import csv
import io
import re

import pytest
from playwright.sync_api import Page, expect
from waiting import LIMIT_MS

from workbench.instruments.linear import CONVENTIONS

expect.set_options(timeout=LIMIT_MS)

NEAR = (
    "Timeline of the sleep", "Fast weights, all heads",
    "Shares of S by window and pass, left of each write",
)  # fmt: skip
FAR = ("Change per pass against its replay", "Likeness of two passes")
HEADINGS = (
    "Fast weights S", "Where S comes from", "Which tokens wrote it", "How many directions S uses",
    "What each pass changes, against a replay", "How long it stays",
    "What S returns for the keys that wrote it", "What would be answered", "Does it settle",
)  # fmt: skip


@pytest.fixture(autouse=True)
def patient(page: Page) -> None:
    page.set_default_timeout(60_000)
    page.set_default_navigation_timeout(120_000)


def figure(page: Page, name: str):
    return page.get_by_role("figure", name=name, exact=True)


def open_memory(
    page: Page, server: str, query: str = "checkpoint=depo-n8-any", *, far: tuple[str, ...] = FAR
) -> None:
    page.goto(f"{server}/memory?{query}")
    for name in NEAR + far:
        expect(figure(page, name)).to_have_attribute("data-drawn", re.compile(r"\d"))


def drawn(page: Page, name: str) -> int:
    return int(figure(page, name).get_attribute("data-drawn") or 0)


def expect_place(page: Page, words: str) -> None:
    expect(page.locator(".stop b")).to_have_text(words)


def numbers(page: Page) -> list[str]:
    """Return the shares that are written into their cells."""
    return figure(page, NEAR[2]).locator(".textpoint text").all_text_contents()


def test_every_card_in_both_themes_with_its_numbers(page, server, serious_faults):
    open_memory(page, server, "checkpoint=depo-n8-any&pass=2")
    expect(page).to_have_title("Memory - Sleep workbench")
    expect_place(page, "Asleep, window 1 of 3, pass 2 of 4")
    for heading in HEADINGS:
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    levels = [h.evaluate("e => e.tagName") for h in page.get_by_role("heading").all()]
    assert levels.index("H1") < levels.index("H2") and levels.count("H1") == 1
    expect(page.get_by_text("had an earlier write been different")).to_be_visible()
    expect(page.get_by_text("the replay's shrink, too")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Ring of 8 nodes"))).to_be_visible()
    expect(page.get_by_role("link", name="Memory", exact=True)).to_have_attribute(
        "aria-current", "page"
    )

    with page.expect_download() as download:
        page.get_by_role("button", name="Data (CSV)").first.click()
    name = "depo-n8-any-seed-0-n-4-example-0-layer-1-head-0-shares.csv"
    assert download.value.suggested_filename == name
    with open(download.value.path(), encoding="utf-8") as file:
        rows = list(csv.DictReader(io.StringIO(file.read())))
    here = [r for r in rows if (r["window"], r["sleep_pass"]) == ("0", "2")]
    for convention in CONVENTIONS:
        of = [r for r in here if r["convention"] == convention]
        shares = [float(r["value"]) for r in of if r["variable"].endswith("share")]
        assert sum(shares) == pytest.approx(1, abs=1e-4)

    assert serious_faults(page) == [], "light"
    before = drawn(page, FAR[0])
    page.get_by_role("button", name="Toggle theme").click()
    expect(page.locator(".mui-dark").first).to_be_visible()
    expect(figure(page, FAR[0])).not_to_have_attribute("data-drawn", str(before))
    assert serious_faults(page) == [], "dark"

    page.get_by_role("heading", name="Does it settle").scroll_into_view_if_needed()
    step = page.get_by_role("button", name="Step one pass", exact=True)
    expect(step).to_be_in_viewport()
    step.click()
    expect_place(page, "Asleep, window 1 of 3, pass 3 of 4")


def test_where_the_memory_comes_from_by_now_example_head_and_n(page, server):
    open_memory(page, server, "checkpoint=depo-n8-any&pass=0")
    page.get_by_role("button", name="Step one pass", exact=True).click()
    expect_place(page, "Asleep, window 1 of 3, pass 1 of 4")
    expect(figure(page, NEAR[2]).locator(".textpoint text").first).to_have_text("100")
    page.keyboard.press("ArrowRight")
    expect_place(page, "Asleep, window 1 of 3, pass 2 of 4")
    page.wait_for_url(re.compile("pass=2"))
    expect(figure(page, NEAR[2]).locator(".textpoint text").nth(3)).to_be_visible()
    first, second, whole, carried = numbers(page)
    assert int(first) + int(second) == pytest.approx(100, abs=1)
    assert (whole, carried) == ("100", "0")

    ring = page.get_by_role("img", name=re.compile("Ring of 8 nodes"))
    before = str(ring.get_attribute("aria-label"))
    page.get_by_role("button", name="Example (0-15): one more", exact=True).click()
    page.wait_for_url(re.compile("example=1&"))
    expect(ring).not_to_have_attribute("aria-label", before)
    page.get_by_role("combobox", name="Head").select_option("2")
    expect(page.get_by_role("figure", name="Head 2, S", exact=True)).to_be_visible()
    page.wait_for_url(re.compile("head=2"))
    slider = page.get_by_role("slider")
    slider.focus()
    slider.press("ArrowRight")
    expect_place(page, "Asleep, window 1 of 3, pass 5 of 5")
    expect(page.get_by_text("beyond the trained range")).to_be_visible()
    page.wait_for_url(re.compile("N=5"))


def test_to_the_stepper_and_back_at_the_very_same_place(page, server):
    open_memory(page, server, "checkpoint=depo-n8-w2-any&seed=3&example=4&window=1&pass=2&head=1")
    ring = page.get_by_role("img", name=re.compile("Ring of 8 nodes")).get_attribute("aria-label")
    page.get_by_role("link", name="Step through this sleep").click()
    expect(page).to_have_title("Stepper - Sleep workbench")
    expect_place(page, "Asleep, window 2 of 6, pass 2 of 4")
    expect(page.get_by_role("img", name=ring, exact=True)).to_be_visible()
    page.get_by_role("link", name="Look into this memory").click()
    expect(page).to_have_title("Memory - Sleep workbench")
    expect_place(page, "Asleep, window 2 of 6, pass 2 of 4")
    expect(page.get_by_role("figure", name="Head 1, S", exact=True)).to_be_visible()
    assert "seed=3&example=4" in page.url


def test_typed_input_comes_along(page, server):
    query = "checkpoint=depo-n8-any&input=0>1+1>2+2>0&queries=1:0,+2:1&pass=1"
    open_memory(page, server, query, far=FAR[:1])  # one example has no likeness over examples
    expect(page.get_by_role("img", name=re.compile("Ring of 3 nodes"))).to_be_visible()
    expect(page.get_by_text("Your own input")).to_be_visible()


def test_wrong_values_in_the_address_are_told(page, server):
    open_memory(page, server, "checkpoint=depo-n8-any&N=99&pass=abc&example=77&head=9")
    expect(page.get_by_text("N = 99 in the address is out of range")).to_be_visible()
    expect(page.get_by_text("example 77 does not exist here; 15 is shown")).to_be_visible()
    page.wait_for_url(re.compile("example=15&N=12&window=0&pass=12&layer=1&head=3"))
    page.goto(f"{server}/memory?checkpoint=traces/../nothing")
    expect(page.get_by_text("there is no checkpoint 'traces/../nothing'")).to_be_visible()


def test_traces_of_one_s_own(page, start_server, tmp_path_factory):
    import workbench
    from workbench.trace import origin_of, record, save_trace
    from workbench.training.checkpoints import load_checkpoint
    from workbench.views.cursor.traces import drawn_batch

    assert workbench
    folder = tmp_path_factory.mktemp("own")
    (folder / "traces").mkdir()
    checkpoint = load_checkpoint("depo-n8-any")
    batch = drawn_batch(checkpoint.task, 0).examples(slice(0, 5))
    tree = record(
        checkpoint.model,
        batch,
        checkpoint.sleep.with_passes(3),
        origin=origin_of(checkpoint, seed=0),
    )
    save_trace(tree, folder / "traces" / "mine.zarr.zip")
    server, _ = start_server(folder)
    open_memory(page, server, "checkpoint=traces/mine&pass=3")
    expect_place(page, "Asleep, window 1 of 3, pass 3 of 3")
    expect(page.get_by_text("No model is loaded")).to_be_visible()
    expect(page.get_by_role("slider")).to_be_hidden()
    expect(page.get_by_role("spinbutton", name="Example (0-4)")).to_be_visible()


def test_nothing_is_cut_or_wider_than_the_window(page, server, labels_cut):
    open_memory(page, server, "checkpoint=depo-n8-w2-any&pass=1&N=8")
    for width in (1280, 1920, 1024, 700):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(800)
        wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, width
        if width < 1280:
            continue
        assert labels_cut(page) == [], width
