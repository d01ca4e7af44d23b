"""A real JupyterLab, as ``run.py lab`` starts it: quiet, and with a tile for the dashboards."""

import re
import time

import psutil
import pytest
from playwright.sync_api import Page, expect
from waiting import LIMIT, LIMIT_MS

pytestmark = pytest.mark.slow
expect.set_options(timeout=LIMIT_MS)


def test_it_opens_on_the_first_notebook_and_asks_nothing(page: Page, jupyterlab) -> None:
    page.goto(f"{jupyterlab.url}/?token={jupyterlab.token}")
    title = page.locator(".jp-Notebook h1", has_text="A memory you can write to")
    expect(title).to_be_visible()
    expect(page.locator(".jp-Notebook-ExecutionIndicator")).to_be_visible()
    page.wait_for_timeout(3000)  # the question about news came a second after the notebook
    assert page.locator(".Toastify__toast").count() == 0


CELL = """\
from IPython.display import display

import workbench
from workbench import figures
from workbench.notebook import setup
from workbench.notebook.exploring import explore
from workbench.trace import load_trace

setup(panel=False)
display(workbench.theatre("depo-n8-any", example=5))
trace = load_trace("depo-n8-any")
shown = explore(figures.one_head, trace["states"]["fast_weight"], trace=trace, window=0)
shown.controls["sleep_pass"].value = 1  # before it is on screen
shown
"""


def run_cell(page: Page, jupyterlab, code: str, shown: str):
    """Run a notebook of one cell, and return its output once that holds `shown`, a selector."""
    import jupytext

    notebook = jupytext.reads("# %%\n" + code, fmt="py:percent")
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    jupytext.write(notebook, jupyterlab.notebooks / "cell.ipynb")
    page.goto(f"{jupyterlab.url}/lab/workspaces/cell/tree/cell.ipynb?token={jupyterlab.token}")
    prompt = page.locator(".jp-CodeCell .jp-InputPrompt").first
    expect(prompt).to_be_visible()
    output = page.locator(".jp-OutputArea-output")
    deadline = time.monotonic() + LIMIT
    ran = 0.0
    while not output.locator(shown).count() and time.monotonic() < deadline:
        # A cell waiting when its kernel comes is dropped; and Plotly's widget, drawn before its
        # data arrive, now and then stays empty, so that a person would run the cell again.
        waiting = prompt.inner_text().strip() == "[ ]:"
        if waiting or (prompt.inner_text().strip() != "[*]:" and time.monotonic() - ran > 20):
            page.locator(".jp-InputArea .cm-content").first.click()
            page.keyboard.press("Control+Enter")
            ran = time.monotonic()
        page.wait_for_timeout(1000)
    return output


def test_a_cell_plays_a_sleep_and_its_sliders_move_a_figure_in_place(page, jupyterlab) -> None:
    output = run_cell(page, jupyterlab, CELL, ".js-plotly-plot .annotation text")
    stage = output.get_by_role("region", name="One sleep of the model")
    stage.press("End")
    expect(stage.get_by_role("heading", level=1)).to_contain_text("all 8")
    passes = stage.get_by_role("group", name="N, the number of passes over each window")
    one = passes.get_by_role("button", name="1", exact=True)
    one.click()  # the kernel reads it
    expect(one).to_have_attribute("aria-pressed", "true")
    expect(stage.get_by_role("heading", level=1)).not_to_contain_text("all 8")
    words = output.locator(".js-plotly-plot .annotation text")
    deadline = time.monotonic() + LIMIT
    expect(words.first).to_contain_text("S after pass 1")
    assert output.locator(".widget-slider, .widget-dropdown").count() == 3
    plot = output.locator(".js-plotly-plot").element_handle()
    slider = output.locator(".widget-slider", has_text="sleep_pass").get_by_role("slider")
    before = slider.get_attribute("aria-valuenow")
    while slider.get_attribute("aria-valuenow") == before and time.monotonic() < deadline:
        slider.press("ArrowRight")  # lost where the widget is still being put on screen
        page.wait_for_timeout(500)
    expect(words.first).to_contain_text("S after pass 2")
    output.locator(".widget-dropdown select").select_option("3")
    expect(words.first).to_contain_text("Head 3")
    assert plot.evaluate("plot => plot.isConnected"), "the figure was changed, not drawn anew"


def test_the_tile_opens_the_dashboards_and_they_end_with_jupyter(
    page: Page, jupyterlab, problems: list[str]
) -> None:
    page.goto(
        f"{jupyterlab.url}/lab/workspaces/tile?token={jupyterlab.token}"
    )  # empty: it shows the launcher
    tile = page.locator(".jp-LauncherCard", has_text="Sleep workbench")
    expect(tile).to_be_visible()
    drawn = tile.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)")
    assert drawn > 0, "the tile has its icon"
    with page.context.expect_page(timeout=LIMIT_MS) as opened:
        tile.click()
    board = opened.value
    board.set_default_timeout(LIMIT_MS)
    explore = board.locator("nav a", has_text="Explore")
    expect(explore).to_be_visible()
    assert board.url == f"{jupyterlab.url}/workbench/"
    assert explore.evaluate("a => a.href") == f"{jupyterlab.url}/workbench/explore"
    board.get_by_role("button", name="Light or dark").first.click()
    board.wait_for_function("document.cookie.includes('workbench_theme=dark')")
    explore.click()
    board.get_by_role("button", name="Next example").click()  # an ask, through the proxy
    expect(board).to_have_url(re.compile("example="))
    expect(board.locator(".example")).to_contain_text("Example")
    expect(board.locator(".stage")).not_to_have_class(re.compile("dimmed"))
    expect(board.locator(".notice")).to_be_hidden()
    board.locator("nav a", has_text="Experiment").click()
    expect(board.get_by_role("button", name="Start", exact=True)).to_be_enabled()
    ours = [
        child
        for child in psutil.Process(jupyterlab.process.pid).children()
        if "workbench.cli" in child.cmdline()
    ]
    assert len(ours) == 1

    # Shut down as the menu does, by a request: no signal is sent to what the proxy has started.
    problems.clear()
    page.goto("about:blank")
    board.close()
    page.request.post(
        f"{jupyterlab.url}/api/shutdown", headers={"Authorization": f"token {jupyterlab.token}"}
    )
    jupyterlab.process.wait(timeout=LIMIT)
    psutil.wait_procs(ours, timeout=LIMIT)
    assert not ours[0].is_running()
