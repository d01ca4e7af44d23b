"""The home page's facts, the shell around pages, and the server's refusals."""

import json
import logging
import socket
from pathlib import Path

import panel as pn
import pytest

from workbench.config import UntilAnswersSettle, UntilMemorySettles
from workbench.errors import WorkbenchError
from workbench.registry import load, names
from workbench.views.home import catalogue
from workbench.views.home import page as home
from workbench.views.site import pages, server
from workbench.views.site.entry import PageEntry
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


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.toml").write_text(CONFIG)
    (tmp_path / "provenance.json").write_text(
        json.dumps({"metrics": METRICS, "budget": {"parameters": 89432, "steps": 10}})
    )
    return tmp_path


def test_an_entry_speaks_plainly(folder):
    entry = catalogue.read_entry("ring", folder)
    assert entry.task == "Depo: follow the arrows of a ring of 8 nodes, 1 to 4 hops"
    assert entry.trained == "trained with N drawn from 1 to 4, windows of 16 tokens"
    html = home.entry_html(entry)
    assert "stepper?checkpoint=ring" in html and "89,432 parameters" in html
    assert "99.9 %" in html and "100.0 %" in html and "12.5 %" in html and "uniform guess" in html


@pytest.mark.parametrize("text", ["", "[]", "{", '{"metrics": {"passes": {"1": {}}}}'])
def test_a_damaged_provenance_is_told(folder, text):
    (folder / "provenance.json").write_text(text)
    entry = catalogue.read_entry("<ring>", folder)
    assert entry.problem
    assert "Cannot be read" in home.card_html(entry) and "<ring>" not in home.card_html(entry)


def test_home_leads_on():
    html = home.page_html([])
    assert "https://arxiv.org/abs/2605.26099" in html and "CITATION.cff" in html
    assert "python3 run.py lab" in html and "method.md" in html and 'href="stepper"' in html


def test_words_have_one_source_at_home_and_at_the_foot_of_pages(monkeypatch):
    whole = words_html()
    assert whole in home.page_html([])
    assert whole.count("<dt>") == len(words()) and "<summary>Words</summary>" in whole
    assert {"frozen replay", "probe", "patch", "infidelity", "chance"} < set(words())
    assert all(text.endswith(".") for text in words().values())
    monkeypatch.setitem(GENERAL, "<b>", "<i>.")
    assert "&lt;b&gt;" in words_html() and "<i>" not in words_html()
    for explains in (True, False):
        entry = PageEntry(
            "toy", "Toy", 1, lambda page: pn.pane.HTML("toy"), explains_words=explains
        )
        monkeypatch.setattr(pages, "pages", lambda entry=entry: (entry,))
        shown = [part.object for part in pages.build("toy").main]
        assert [words_html() in text for text in shown] == [False, True][: 1 + explains]


def test_a_short_training_is_told_in_seconds(folder):
    record = spoilt(lambda r: r["budget"].update(seconds=14.2))
    (folder / "provenance.json").write_text(json.dumps(record))
    assert "14 seconds of training" in home.card_html(catalogue.read_entry("ring", folder))


def test_home_without_checkpoints_says_how_to_train():
    assert "workbench train" in home.page_html([])


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.125, "12.5 %"),
        (0.93, "93.0 %"),
        (1.0, "100.0 %"),
        (0.9996, "> 99.9 %"),
        (0.0003, "< 0.1 %"),
        (0.0, "0.0 %"),
        (0.996, "99.6 %"),
    ],
)
def test_percent(share, text):
    assert home.percent(share) == text


def test_a_page_that_fails_says_why(caplog):
    def broken(page):
        raise WorkbenchError("no <model>", "a model", "train one")

    page = pages.shell("broken", "./", broken)
    assert "no &lt;model&gt;; expected a model; train one" in page.main[0].object

    def bug(page):
        raise RuntimeError("oops")

    with caplog.at_level(logging.ERROR):
        page = pages.shell("broken", "./", bug)
    assert "RuntimeError: oops" in page.main[0].object and "cannot be built" in caplog.text


def test_errors_in_callbacks_reach_the_log(caplog):
    with caplog.at_level(logging.ERROR):
        pages.show_error(RuntimeError("oops"))
    assert "error in a callback" in caplog.text


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


BAD = "<img src=x onerror=alert(1)>"


def spoilt(change):
    """Return a provenance with one thing changed."""
    record = json.loads(json.dumps({"metrics": METRICS, "budget": {"parameters": 1, "steps": 10}}))
    change(record)
    return record


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
def test_a_bad_provenance_costs_its_own_card_only(folder, tmp_path, change):
    (folder / "provenance.json").write_text(json.dumps(spoilt(change)))
    bad = catalogue.read_entry("bad", folder)
    (folder / "provenance.json").write_text(json.dumps(spoilt(lambda r: None)))
    good = catalogue.read_entry("good", folder)
    html = home.page_html([bad, good])
    assert html.count("Cannot be read: ") == 1
    assert "stepper?checkpoint=good" in html and "stepper?checkpoint=bad" not in html


def test_a_configuration_of_another_kind_costs_its_own_card_only(folder):
    (folder / "config.toml").write_text("sleep = 3")
    assert "Cannot be read" in home.page_html([catalogue.read_entry("odd", folder)])


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
def test_nothing_from_a_provenance_reaches_the_page_as_html(folder, change):
    (folder / "provenance.json").write_text(json.dumps(spoilt(change)))
    html = home.page_html([catalogue.read_entry("odd", folder)])
    assert "<img" not in html and "&lt;img src=x onerror=alert(1)&gt;" in html


def test_a_card_says_how_it_was_measured(folder):
    record = spoilt(lambda r: r.update(seed=3))
    record["metrics"]["passes"]["1"]["interval"] = {"accuracy": {"1": [0.88, 0.915]}}
    (folder / "provenance.json").write_text(json.dumps(record))
    html = home.card_html(catalogue.read_entry("ring", folder))
    assert "Measured on 100 evaluation examples, one training run (seed 3)" in html
    assert "95 % intervals reach at most 2.0 points" in html
    assert 'title="95 % interval: 88.0 to 91.5 %"' in html
    assert "one CPU core" not in home.page_html([]), "the page does not know where it was trained"


def test_a_card_shows_first_queries_where_they_were_measured(folder):
    record = spoilt(lambda r: None)
    entry = record["metrics"]["passes"]["1"]
    entry["first"] = {"accuracy": {"1": 0.432}, "interval": {"1": [0.4, 0.5]}}
    entry["chance"]["a guess"] = {"accuracy": {"1": 0.9}, "exact": None, "first": {"1": 0.123}}
    (folder / "provenance.json").write_text(json.dumps(record))
    html = home.card_html(catalogue.read_entry("ring", folder))
    _, found, below = html.partition("<summary>First query of each example alone</summary>")
    assert found and "43.2" in below and "12.3" in below
    (folder / "provenance.json").write_text(json.dumps(spoilt(lambda r: None)))
    assert "First query" not in home.card_html(catalogue.read_entry("ring", folder))


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


APPS = Path(__file__).resolve().parents[3] / "apps"


def test_every_page_has_an_app():
    assert {path.stem for path in APPS.glob("*.py")} == set(names(pages.GROUP))


@pytest.mark.parametrize("name", sorted(names(pages.GROUP)))
def test_the_apps_are_the_pages_of_the_server(name, monkeypatch):
    """`panel serve apps/*.py` serves what `workbench serve` does, set up in the same way."""
    from panel.tests.util import serve_and_request

    configured, built = [], []
    monkeypatch.setattr(pages, "configure", lambda: configured.append(True))
    build = pages.build
    monkeypatch.setattr(
        pages, "build", lambda link: built.append((link, build(link))) or built[0][1]
    )
    path = APPS / f"{name}.py"
    assert "--address 127.0.0.1" in path.read_text(), "there is no authentication"
    response = serve_and_request(path)
    assert response.status_code == 200
    assert configured == [True]
    assert built[0][0] == load(names(pages.GROUP)[name], PageEntry).link
    assert built[0][1].main, "a page with something in it"


def test_every_way_to_serve_has_the_same_threads(monkeypatch):
    given = []
    monkeypatch.setattr(pages.pn, "extension", lambda *names, **settings: given.append(settings))
    pages.configure()
    assert given[0]["nthreads"] == pages.THREADS > 1
    assert given[0]["exception_handler"] is pages.show_error


def test_a_page_that_was_left_is_no_error_in_the_terminal(caplog):
    import asyncio

    from tornado.iostream import StreamClosedError
    from tornado.websocket import WebSocketClosedError

    loop = asyncio.new_event_loop()
    try:
        for error in (WebSocketClosedError(), StreamClosedError(), ValueError("a bug")):
            server.say_unless_closed(loop, {"message": "a task failed", "exception": error})
    finally:
        loop.close()
    assert "a bug" in caplog.text and "Closed" not in caplog.text
