"""The words of all pages, the server's refusals, and the theatre in Panel."""

import socket
from pathlib import Path

import pytest

from workbench.errors import WorkbenchError
from workbench.views.home import page as home
from workbench.views.site import server
from workbench.views.site.entry import Visit
from workbench.views.site.glossary import GENERAL, words, words_html


def test_words_have_one_source(monkeypatch):
    whole = words_html()
    assert whole in home.home(Visit(), []).body
    assert whole.count("<dt>") == len(words()) and "<summary>Words</summary>" in whole
    assert {"frozen replay", "probe", "patch", "infidelity", "chance"} < set(words())
    assert all(text.endswith(".") for text in words().values())
    monkeypatch.setitem(GENERAL, "<b>", "<i>.")
    assert "&lt;b&gt;" in words_html() and "<i>" not in words_html()


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


APP = Path(__file__).resolve().parents[3] / "apps" / "theatre.py"


def test_the_theatre_is_served_by_panel():
    from panel.tests.util import serve_and_request

    assert "--address 127.0.0.1" in APP.read_text(), "there is no authentication"
    answer = serve_and_request(APP)
    assert answer.status_code == 200 and "Theatre - Sleep workbench" in answer.text
