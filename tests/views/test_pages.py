"""The home page's facts, the shell around pages, and the server's refusals."""

import json
import logging
import socket

import pytest

from workbench.errors import WorkbenchError
from workbench.views import catalogue, home, pages, server

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
    assert "99.9 %" in html and "100 %" in html and "12.5 %" in html and "uniform guess" in html


@pytest.mark.parametrize("text", ["", "[]", "{", '{"metrics": {"passes": {"1": {}}}}'])
def test_a_damaged_provenance_is_told(folder, text):
    (folder / "provenance.json").write_text(text)
    entry = catalogue.read_entry("<ring>", folder)
    assert entry.problem
    assert "Cannot be read" in home.entry_html(entry) and "<ring>" not in home.entry_html(entry)


def test_home_without_checkpoints_says_how_to_train():
    assert "workbench train" in home.page_html([])


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.125, "12.5 %"), (0.93, "93 %"), (1.0, "100 %"), (0.9996, "100 %"), (0.996, "99.6 %")],
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
