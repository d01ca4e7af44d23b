"""The lab in a real browser; what its words and numbers are is tested in tests/views.

One run really trains. The others are folders written as if they had.
"""

import contextlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from lab_runs import TINY, step_event, write_run
from playwright.sync_api import Browser, Page, expect
from waiting import LIMIT, LIMIT_MS

from workbench.identity import identify
from workbench.paths import data_folder

expect.set_options(timeout=LIMIT_MS)

FIGURES = ("Loss and accuracy while training", "Accuracy against N")
LONG = "100000"
"""Steps of a run that does not end by itself during a test."""
DONE = [(20, 0.25), (40, 0.5)]


class Place:
    """A folder with runs, a tiny configuration, and a server."""

    def __init__(self, folder: Path, start_server) -> None:
        self.folder, self.runs, self._start = folder, folder / "runs", start_server
        configs = folder / "data" / "configs"
        configs.mkdir(parents=True)
        (configs / "tiny.toml").write_text(TINY.format(passes=1, seed=0))
        self.serve()

    def serve(self) -> None:
        self.url, self.process = self._start(self.folder, WORKBENCH_DATA=str(self.folder / "data"))

    def run(self, name: str, passes: int, seed: int, state="finished", evaluated=DONE, **status):
        """Write the folder of a run as if it had been trained."""
        return write_run(self.runs, name, passes, seed, state, evaluated, **status)

    def clear(self) -> None:
        """End every process that works on these runs, and remove them."""
        for process in psutil.process_iter(["cmdline", "environ"]):
            with contextlib.suppress(psutil.Error):
                ours = str(self.folder) in str(
                    (process.info["environ"] or {}).get("WORKBENCH_DATA")
                )
                if ours and {"queue", "train"} & set(process.info["cmdline"] or ()):
                    process.kill()
        time.sleep(0.3)
        shutil.rmtree(self.runs, ignore_errors=True)


@pytest.fixture(scope="module")
def whole_place(start_server, tmp_path_factory):
    return Place(tmp_path_factory.mktemp("lab"), start_server)


@pytest.fixture
def place(whole_place):
    """The module's server, without runs."""
    yield whole_place
    whole_place.clear()


def open_lab(page: Page, place: Place, query: str = "") -> None:
    page.goto(f"{place.url}/experiment{query}")
    expect(page.get_by_role("form", name="New experiment")).to_be_visible()
    expect(page.get_by_label("Starting point")).to_have_value("tiny")


def button(page: Page, name: str):
    return page.get_by_role("button", name=name, exact=True)


def row(page: Page, name: str):
    return page.get_by_role("table", name="Runs").get_by_role("row").filter(has_text=name)


def state(page: Page, name: str):
    return row(page, name).locator(".state")


def figure(page: Page, name: str):
    return page.get_by_role("figure", name=name, exact=True)


def drawn(page: Page) -> int:
    """Return how often the first figure was drawn."""
    return int(figure(page, FIGURES[0]).get_attribute("data-drawn") or 0)


def expect_figures(page: Page) -> None:
    for name in FIGURES:
        expect(figure(page, name)).to_have_attribute("data-drawn", re.compile(r"\d"))


def test_a_run_outlives_its_server_and_is_stopped_by_the_next(page, place, problems):
    open_lab(page, place)
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    field = page.get_by_label("Nodes", exact=True)
    field.fill("2")
    said = page.get_by_text("'2' given; expected a whole number, 3 to 100000")
    expect(said).to_be_visible()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".reason")).to_have_text("First correct: Nodes.")
    expect(button(page, "Start")).to_have_attribute("aria-disabled", "true")
    button(page, "Start").click(force=True)
    expect(page.locator(".preview")).to_contain_text("Nothing was started")
    expect(field).to_be_focused()
    assert not list(place.runs.glob("*"))
    field.fill("4")
    expect(said).to_be_hidden()
    expect(button(page, "Start")).to_have_attribute("aria-disabled", "false")
    name = "tiny-1.sleep-n2-seed0"
    for label, text in (("N of sleep", "2"), ("Seeds", "0"), ("Budget (steps)", LONG)):
        page.get_by_label(label, exact=True).fill(text)
    expect(page.get_by_label("Plan")).to_contain_text("1 run: sleep with N = 2; seed 0")
    page.reload()
    expect(page.get_by_label("Seeds", exact=True)).to_have_value("0")
    expect(page.get_by_label("Budget (steps)", exact=True)).to_have_value(LONG)
    button(page, "Start").click()
    expect(page.locator(".said")).to_contain_text("tiny-1: 1 run is queued")
    expect(page.get_by_label("Name", exact=True)).to_have_value("tiny-2")
    expect(state(page, name)).to_have_text("running")
    expect(row(page, name).locator(".progress")).not_to_contain_text("0 / 100,000")
    expect(row(page, name)).to_contain_text("(2 hops)")
    expect_figures(page)
    expect(page.locator(".counts")).to_have_text("1 running")
    page.wait_for_url(re.compile(f"runs={name}"))
    place.process.send_signal(signal.SIGKILL)
    place.process.wait(LIMIT)
    page.goto("about:blank")
    problems.clear()  # the connection that broke
    before = json.loads((place.runs / name / "status.json").read_text())
    assert psutil.pid_exists(before["pid"]), "runs outlive the dashboard"
    place.serve()
    open_lab(page, place, f"?runs={name}")
    expect(state(page, name)).to_have_text("running")
    after = json.loads((place.runs / name / "status.json").read_text())
    assert (after["pid"], after["started"]) == (before["pid"], before["started"])
    expect_figures(page)
    button(page, "Stop").click()
    expect(page.locator(".said")).to_contain_text("asked to stop")
    expect(state(page, name)).to_have_text("stopped")
    expect(button(page, "Stop")).to_have_attribute("aria-disabled", "true")


def test_kill_delete_restore_and_empty_ask_first(page, place, problems):
    """A process that only sleeps stands for one that trains; the first wish to delete gets lost."""
    lost = losing(page, '"delete"')
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        name = place.run("one", 2, 0, "running", **identify(process.pid)).name
        open_lab(page, place)
        button(page, "Kill ...").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("since their newest resume point is lost")
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(state(page, name)).to_have_text("running")
        button(page, "Kill ...").click()
        button(page, "Kill 1 run").click()
        expect(state(page, name)).to_have_text("killed")
        expect(row(page, name)).to_contain_text("killed by hand")
        expect(button(page, "Resume")).to_have_attribute("aria-disabled", "false")
    finally:
        process.kill()
        process.wait()
    for said in ("The server does not answer", "moved to the trash"):
        button(page, "Delete ...").click()
        button(page, "Delete 1 run").click()
        expect(page.locator(".said")).to_contain_text(said)
    assert len(lost) == 1
    problems.clear()
    deleted = page.get_by_text("Deleted runs (1)")
    expect(row(page, name)).to_have_count(0)
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    expect(page.get_by_text("No run fits the filter.")).to_be_hidden()
    deleted.click()
    button(page, f"Restore {name}").click()
    expect(state(page, name)).to_have_text("killed")
    button(page, "Delete ...").click()
    button(page, "Delete 1 run").click()
    button(page, "Empty the trash ...").click()
    expect(dialog).to_contain_text("cannot be undone")
    button(page, "Empty the trash").click()
    expect(page.locator(".said")).to_have_text("Removed for good: 1 deleted.")
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()


def test_two_browsers_see_new_events_and_runs(page, browser: Browser, place):
    folder = place.run("live", 2, 0, "running", **identify())
    open_lab(page, place)
    other = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    open_lab(other, place)
    for each in (page, other):
        expect(row(each, folder.name)).to_contain_text("0.025")
        expect_figures(each)
    before = drawn(page)
    with (folder / "events.jsonl").open("a") as file:
        file.write(step_event(41, 7.25))
    for each in (page, other):
        expect(row(each, folder.name)).to_contain_text("7.250")
    expect(figure(page, FIGURES[0])).not_to_have_attribute("data-drawn", str(before))
    new = place.run("new", 1, 0).name
    for each in (page, other):
        expect(row(each, new)).to_be_visible()
    row(other, new).get_by_role("checkbox").check()
    expect(row(page, new).get_by_role("checkbox")).not_to_be_checked()
    other.context.close()


def test_runs_are_compared_and_data_saved(page, place, nothing_wrong):
    for passes in (1, 2):
        for seed in (0, 1):
            place.run("both", passes, seed, evaluated=[(40, 0.4 * passes + 0.1 * seed)])
    for number, other in enumerate(("failed", "stopped", "queued")):
        place.run("both", 4, number, other, evaluated=())
    open_lab(page, place)
    differences = page.get_by_role("region", name="Differences, scrollable")
    expect(differences).to_contain_text("sleep.passes")
    expect_figures(page)
    with page.expect_download() as download:
        button(page, "Data (CSV)").nth(1).click()
    lines = download.value.path().read_text().splitlines()
    assert download.value.suggested_filename == "sleep-against-n.csv"
    assert lines[3].startswith("sleep,2,1,0.85,") and lines[3].endswith(",2")
    with page.expect_download() as download:
        button(page, "SVG").nth(1).click()
    assert "<svg" in download.value.path().read_text()
    page.get_by_text("More settings").click()
    page.get_by_text("More arms").click()
    nothing_wrong(page)
    for seed in (0, 1):
        row(page, f"both.sleep-n1-seed{seed}").get_by_role("checkbox").uncheck()
    for seed in (0, 1, 2):
        row(page, f"both.sleep-n4-seed{seed}").get_by_role("checkbox").uncheck()
    expect(differences).not_to_contain_text("sleep.passes")
    expect(page.locator(".chosen")).to_have_text("2 selected")


def test_filters_and_selection_live_in_the_address_and_work_by_keyboard(page, place):
    for seed in (0, 1):
        place.run("one", 1, seed)
    place.run("two", 4, 0)
    open_lab(page, place)
    page.get_by_label("Experiment", exact=True).select_option("one")
    expect(row(page, "two.sleep")).to_have_count(0)
    page.get_by_label("Filter by text").fill("seed1")
    expect(row(page, "one.sleep-n1-seed0")).to_have_count(0)
    expect(page.locator(".chosen")).to_have_text("1 selected (1 not shown)")
    page.get_by_label("Select all runs shown").check()
    page.wait_for_url(re.compile("text=seed1&experiment=one&runs=.*one.sleep-n1-seed1"))
    page.reload()
    expect(page.get_by_label("Filter by text")).to_have_value("seed1")
    tick = row(page, "one.sleep-n1-seed1").get_by_role("checkbox")
    expect(tick).to_be_checked()
    expect(row(page, "one.sleep-n1-seed0")).to_have_count(0)
    tick.focus()
    page.keyboard.press("Space")
    expect(tick).not_to_be_checked()
    expect(page.locator(".chosen")).to_have_text("1 selected (1 not shown)")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED) == "Delete ...":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate(FOCUSED) == "Cancel", "the safe answer comes first"
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    tick.check()
    button(page, "Note ...").click()
    page.get_by_label("Note", exact=True).fill("<i>odd</i>")
    button(page, "Save").click()
    page.get_by_label("Filter by text").fill("<i>odd")
    expect(page.locator(".note-text")).to_have_text("<i>odd</i>")
    page.get_by_label("Filter by text").fill("nothing like it")
    expect(page.get_by_text("No run fits the filter.")).to_be_visible()


def test_a_finished_run_is_watched_asleep_on_the_page(page, place):
    from workbench.config import load_experiment
    from workbench.training.loop import train

    settings = ["sleep.passes=2", "training.steps=1", "training.eval_count=4"]
    tiny = load_experiment(place.folder / "data" / "configs" / "tiny.toml", settings)
    place.runs.mkdir(exist_ok=True)
    train(tiny, place.runs / "mine")
    open_lab(page, place)
    link = page.get_by_role("link", name="Watch mine sleep")
    expect(link).to_have_attribute("href", "/explore?model=runs/mine")
    page.get_by_label("Finished run").select_option("mine")
    stage = page.get_by_role("region", name="One sleep of the model")
    expect(stage).to_have_attribute("data-boundary", re.compile(r"\d"))
    passes = stage.get_by_role("group", name="N, the number of passes over each window")
    one = passes.get_by_role("button", name="1", exact=True)
    expect(one).to_have_attribute("aria-pressed", "false")
    one.click()
    expect(one).to_have_attribute("aria-pressed", "true")
    button(page, "Light or dark").click()
    expect(page.locator("[data-theme=dark]").first).to_be_attached()
    page.get_by_label("Finished run").select_option("none")
    expect(stage).to_have_count(0)


def test_presets_by_keyboard_and_a_phone_where_nothing_overprints(page, place, serious_faults):
    bundled, data = data_folder(), place.folder / "data"
    for name in ("presets.toml", "configs/depo-n8-n4.toml"):
        shutil.copy(bundled / name, data / name)
    for passes in (1, 2, 4):
        place.run("one", passes, 0, evaluated=[(20, 0.3), (40, 0.2 * passes)])
    page.set_viewport_size({"width": 420, "height": 900})
    try:
        page.goto(f"{place.url}/experiment")
        expect(page.get_by_role("radio").first).to_be_checked()
        expect(page.get_by_label("Plan")).to_contain_text("seeds 0, 1 and 2; 800 steps each")
        page.get_by_role("radio").first.focus()
        page.keyboard.press("ArrowDown")
        expect(page.get_by_label("Plan")).to_contain_text("longer with N = 3")
        expect(page.get_by_text("What these runs show")).to_be_visible()
        expect_figures(page)
        expect(figure(page, FIGURES[0]).locator(".annotation")).to_have_count(3)
        assert page.evaluate(OVERPRINTED) == []
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0 and serious_faults(page) == []
    finally:
        for name in ("presets.toml", "configs/depo-n8-n4.toml"):
            (data / name).unlink()


def losing(page: Page, text: str) -> list[bool]:
    """Let the first ask of the page that contains a text get lost; return what was lost."""
    lost: list[bool] = []

    def passed_on(route) -> None:
        if not lost and text in (route.request.post_data or ""):
            lost.append(True)
            route.abort()
        else:
            route.continue_()

    page.route("**/experiment/ask", passed_on)
    return lost


OVERPRINTED = """() => {
  const found = []
  const look = (root) => {
    for (const e of root.querySelectorAll("*")) {
      if (e.shadowRoot) look(e.shadowRoot)
      if (!e.matches(".js-plotly-plot")) continue
      const texts = [...e.querySelectorAll("svg text")]
        .map((t) => [t.textContent, t.getBoundingClientRect()])
        .filter(([text, box]) => box.width && text.trim())
      for (const [i, [one, a]] of texts.entries()) {
        for (const [other, b] of texts.slice(i + 1)) {
          const x = Math.min(a.right, b.right) - Math.max(a.left, b.left)
          const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
          if (x > 2 && y > 3) found.push(`${one} | ${other}`)
        }
      }
    }
  }
  look(document)
  return found
}"""
"""Labels of figures that lie on top of each other."""
FOCUSED = """() => {
  let e = document.activeElement
  while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement
  return e?.textContent
}"""
