"""The home page's facts, the shell around pages, and the server's refusals."""

import asyncio
import json
import logging
import runpy
import socket
from pathlib import Path
from types import SimpleNamespace

import panel as pn
import pytest
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from workbench.config import UntilAnswersSettle, UntilMemorySettles
from workbench.errors import WorkbenchError
from workbench.registry import load, names
from workbench.views.home import catalogue
from workbench.views.home import page as home
from workbench.views.site import pages, server
from workbench.views.site.entry import GROUP, PageEntry
from workbench.views.site.glossary import GENERAL, words, words_html

METRICS = {
    "difficulty": "hops",
    "count": 100,
    "passes": {
        "1": {
            "accuracy": {"1": 0.9, "2": 0.4},
            "chance": {"uniform guess": {"accuracy": {"1": 0.125, "2": 0.125}}},
        },
        "4": {"accuracy": {"1": 0.999, "2": 1.0}, "chance": {}},
    },
}
CONFIG = """
[sleep]
window = 16
passes = { kind = "random", low = 1, high = 4 }
[task]
name = "depo"
nodes = 8
max_hops = 4
"""
BAD = "<img src=x onerror=alert(1)>"


@pytest.fixture
def entry(tmp_path):
    """Return a function that reads a checkpoint's folder, with its provenance changed or given."""

    def read(change=lambda record: None, *, name="ring", text=None, config=CONFIG):
        budget = {"parameters": 89432, "steps": 10}
        record = json.loads(json.dumps({"metrics": METRICS, "budget": budget}))
        change(record)
        (tmp_path / "config.toml").write_text(config)
        (tmp_path / "provenance.json").write_text(json.dumps(record) if text is None else text)
        return catalogue.read_entry(name, tmp_path)

    return read


def test_a_card_says_what_was_trained_and_how_it_was_measured(entry):
    def more(record):
        record["budget"]["seconds"] = 14.2
        record["seed"] = 3
        record["metrics"]["passes"]["1"]["interval"] = {"accuracy": {"1": [0.88, 0.915]}}

    found = entry(more)
    assert found.task == "Depo: follow the arrows of a ring of 8 nodes, 1 to 4 hops"
    assert found.trained == "trained with N drawn from 1 to 4, windows of 16 tokens"
    html = home.card_html(found)
    for text in (
        "stepper?checkpoint=ring", "89,432 parameters", "99.9 %", "100.0 %", "12.5 %",
        "uniform guess", "14 s of training", 'title="95 % interval: 88.0 to 91.5 %"',
        "Measured on 100 evaluation examples, one training run (seed 3)",
        "95 % intervals reach at most 2.0 points",
    ):  # fmt: skip
        assert text in html, text


def test_a_card_shows_first_queries_where_they_were_measured(entry):
    def first(record):
        one = record["metrics"]["passes"]["1"]
        one["first"] = {"accuracy": {"1": 0.432}, "interval": {"1": [0.4, 0.5]}}
        one["chance"]["a guess"] = {"accuracy": {"1": 0.9}, "exact": None, "first": {"1": 0.123}}

    summary = "<summary>First query of each example alone</summary>"
    _, found, below = home.card_html(entry(first)).partition(summary)
    assert found and "43.2" in below and "12.3" in below and "40.0 to 50.0" in below
    assert summary not in home.card_html(entry())


def test_home_leads_on_and_says_how_to_train():
    html = home.page_html([])
    for text in ("https://arxiv.org/abs/2605.26099", "CITATION.cff", "python3 run.py lab",
                 "method.md", "workbench train"):  # fmt: skip
        assert text in html
    links = [page.link for page in pages.pages() if page.link != "./"]
    assert all(f'<a class="card" href="{link}">' in html for link in links)


def test_words_have_one_source_at_home_and_at_the_foot_of_pages(monkeypatch):
    whole = words_html()
    assert whole in home.page_html([])
    assert whole.count("<dt>") == len(words()) and "<summary>Words</summary>" in whole
    assert {"frozen replay", "probe", "patch", "infidelity", "chance"} < set(words())
    assert all(text.endswith(".") for text in words().values())
    monkeypatch.setitem(GENERAL, "<b>", "<i>.")
    assert "&lt;b&gt;" in words_html() and "<i>" not in words_html()
    for explains in (True, False):
        shown = [part.object for part in toy(monkeypatch, explains_words=explains).main]
        assert [words_html() in text for text in shown] == [False, True][: 1 + explains]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.125, "12.5 %"), (1.0, "100.0 %"), (0.9996, "> 99.9 %"), (0.0003, "< 0.1 %"),
        (0.0, "0.0 %"), (0.996, "99.6 %"),
    ],
)  # fmt: skip
def test_percent(share, text):
    assert home.percent(share) == text


@pytest.mark.parametrize("text", ["", "[]", "{", '{"metrics": {"passes": {"1": {}}}}'])
def test_a_damaged_provenance_is_reported(entry, text):
    html = home.card_html(entry(name="<ring>", text=text))
    assert "Cannot be read" in html and "<ring>" not in html
    assert "Cannot be read" in home.card_html(entry(config="sleep = 3"))


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["budget"].update(parameters="many"),
        lambda r: r["budget"].update(seconds="long"),
        lambda r: r.update(budget=7),
        lambda r: r["metrics"].update(count="all"),
        lambda r: r["metrics"]["passes"]["1"]["accuracy"].update({"1": "high"}),
        lambda r: r["metrics"]["passes"]["1"].update(interval=3),
    ],
)
def test_a_bad_provenance_costs_its_own_card_only(entry, change):
    html = home.page_html([entry(change, name="bad"), entry(name="good")])
    assert html.count("Cannot be read: ") == 1
    assert "stepper?checkpoint=good" in html and "stepper?checkpoint=bad" not in html


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["metrics"].update(difficulty=BAD),
        lambda r: r["metrics"]["passes"].update({BAD: r["metrics"]["passes"]["4"]}),
        lambda r: r["metrics"]["passes"]["1"]["accuracy"].update({BAD: 0.5}),
        lambda r: r["metrics"]["passes"]["1"]["chance"].update({BAD: {"accuracy": {"1": 0.1}}}),
        lambda r: r.update(seed=BAD),
    ],
)
def test_nothing_from_a_provenance_reaches_the_page_as_html(entry, change):
    html = home.page_html([entry(change)])
    assert "<img" not in html and "&lt;img src=x onerror=alert(1)&gt;" in html


@pytest.mark.parametrize(
    ("passes", "words"),
    [
        (3, "trained with N = 3"),
        (UntilMemorySettles(cap=9), "N up to 9, sleeping until the memory settles"),
        (UntilAnswersSettle(cap=9), "N up to 9, sleeping until the answers settle"),
    ],
)
def test_every_rule_of_n_has_words(passes, words):
    assert words in catalogue.passes_words(passes)


def toy(monkeypatch, view=lambda page: pn.pane.HTML("toy"), **options):
    """Return the page that is built around a view."""
    entry = PageEntry("toy", "Toy", 1, view, **options)
    monkeypatch.setattr(pages, "pages", lambda: (entry,))
    return pages.build("toy")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (WorkbenchError("no <model>", "a model", "train one"), "no &lt;model&gt;; expected a mod"),
        (RuntimeError("oops"), "RuntimeError: oops"),
    ],
)
def test_a_page_that_fails_says_why(monkeypatch, caplog, error, said):
    def broken(page):
        raise error

    with caplog.at_level(logging.ERROR):
        assert said in toy(monkeypatch, broken).main[0].object
        pages.show_error(error)
    logged = [record.message for record in caplog.records]
    bug = ["the page Toy - Sleep workbench cannot be built", "error in a callback"]
    assert logged == (bug if isinstance(error, RuntimeError) else [])


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.5", "example.org", "::", ""])
def test_other_addresses_are_refused(address):
    with pytest.raises(WorkbenchError, match="no authentication"):
        server.serve(port=0, address=address, open_browser=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_loopback_addresses_are_taken(address):
    server.check_loopback(address)


def test_a_port_in_use_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(WorkbenchError, match=f"port {port} is in use") as error:
            server.serve(port=port, address="127.0.0.1", open_browser=False)
    assert "\n" not in str(error.value)


APPS = Path(__file__).resolve().parents[3] / "apps"


def test_the_apps_are_the_pages_of_the_server(monkeypatch):
    """`panel serve apps/*.py` serves Panel's pages as `workbench serve` does."""
    done = []
    stub = SimpleNamespace(servable=lambda: done.append("servable"))
    monkeypatch.setattr(type(pn.state), "served", True)
    monkeypatch.setattr(pages, "configure", lambda: done.append("configure"))
    monkeypatch.setattr(pages, "build", lambda link: done.append(link) or stub)
    entries = {name: load(point, PageEntry) for name, point in names(GROUP).items()}
    known = {name: entry for name, entry in entries.items() if entry.view}
    assert {path.stem for path in APPS.glob("*.py")} == set(known)
    for name, entry in known.items():
        done.clear()
        path = APPS / f"{name}.py"
        assert "--address 127.0.0.1" in path.read_text(), "there is no authentication"
        runpy.run_path(str(path))
        assert done == ["configure", entry.link, "servable"]


def test_an_app_is_served():
    from panel.tests.util import serve_and_request

    assert serve_and_request(APPS / "home.py").status_code == 200


def test_every_way_to_serve_has_the_same_threads(monkeypatch):
    given = []
    monkeypatch.setattr(pages.pn, "extension", lambda *names, **settings: given.append(settings))
    pages.configure()
    assert given[0]["nthreads"] == pages.THREADS > 1
    assert given[0]["exception_handler"] is pages.show_error


def test_a_page_that_was_left_is_no_error_in_the_terminal(caplog):
    loop = asyncio.new_event_loop()
    try:
        for error in (WebSocketClosedError(), StreamClosedError(), ValueError("a bug")):
            server.say_unless_closed(loop, {"message": "a task failed", "exception": error})
    finally:
        loop.close()
    assert "a bug" in caplog.text and "Closed" not in caplog.text
