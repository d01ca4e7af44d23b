"""What the server refuses before it looks for a page or a file."""

from __future__ import annotations

import pytest
from served import Served
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from workbench.views.site import door

HOSTS = ["127.0.0.1:5006", "localhost:5006"]


@pytest.fixture(scope="module")
def served():
    server = Served()
    yield server
    server.stop()


def refusal(path="/", host="127.0.0.1:5006", hosts=HOSTS, **headers):
    given = HTTPHeaders({name.replace("_", "-"): value for name, value in headers.items()})
    if host is not None:
        given.add("Host", host)
    line = RequestStartLine("GET", path, "HTTP/1.0" if host is None else "HTTP/1.1")
    return door.refusal(HTTPServerRequest(start_line=line, headers=given), hosts)


def test_its_own_addresses_are_answered():
    for host in ("127.0.0.1:5006", "localhost:5006", "LocalHost:5006"):
        assert refusal(host=host) is None
    assert refusal(host="[::1]:5006", hosts=["[::1]:5006"]) is None
    assert refusal(host="localhost", hosts=["localhost:80"]) is None, "browsers leave out port 80"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:5006", "127.0.0.1.evil.example:5006",
        "localhost.evil.example:5006", "127.0.0.1:5007", "localhost", "[::1]:5006", "*", "*:5006",
        "", None, "a" * 60_000,
    ],
)  # fmt: skip
def test_other_hosts_are_refused_in_one_short_line(host):
    status, reason = refusal(host=host)
    assert status == 403 and "open 127.0.0.1:5006 or localhost:5006" in reason
    assert "\n" not in reason and len(reason) < 300


@pytest.mark.parametrize(
    ("site", "mode", "destination", "answered"),
    [
        ("none", "navigate", "document", True),
        ("same-origin", "no-cors", "script", True),
        ("same-origin", "websocket", "empty", True),
        ("cross-site", "navigate", "document", True),  # a link
        ("cross-site", "no-cors", "image", False),
        ("cross-site", "no-cors", "script", False),
        ("cross-site", "navigate", "iframe", False),
        ("same-site", "no-cors", "image", False),  # another port of this machine
        ("cross-site", "cors", "empty", False),
    ],
)
def test_other_sites_may_link_but_not_load(site, mode, destination, answered):
    found = refusal(Sec_Fetch_Site=site, Sec_Fetch_Mode=mode, Sec_Fetch_Dest=destination)
    assert (found is None) == answered
    assert found is None or found[0] == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/static/%00", 400), ("/%00", 400), ("/stepper%0a", 400), ("/static/%ff", 400),
        ("/stepper?checkpoint=%00", 400), ("/stepper?checkpoint=%ff", 400),
        ("/" + "a" * 2000, 414), ("/memory?text=a%0Ab", None), ("/stepper?%", None),
        ("/r%C3%A9sum%C3%A9?a=%E2%88%80", None),
    ],
)  # fmt: skip
def test_paths_and_queries_that_are_no_text_are_refused(path, status):
    found = refusal(path)
    assert (found and found[0]) == status


@pytest.mark.parametrize("path", ["/", "/static/js/bokeh.min.js", "/stepper/ws", "/nowhere"])
def test_every_route_is_guarded(served, path):
    for host in ("evil.example", f"evil.example:{served.port}"):
        status, text = served.send(path, f"Host: {host}")
        assert status == 403 and text.count("\n") == 1 and host in text
    assert served.send(path, version="1.0")[0] == 403  # without a Host
    upgrade = "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    assert served.send(path, "Host: evil.example", *upgrade, key)[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/%00", "/static/..%2f", "/static/..%2f..%2f..%2fetc/passwd", "/static/%5c..%5c",
        "/static/js/", "/static/" + "a" * 300, "/static/" + "a" * 3000,
        "/static/extensions/panel/%00", "/static/extensions/panel/..%2f..%2f",
        "/static/extensions/nowhere/x", "/components/x/y", "/components/panel.io/..%2f..%2f",
        "/favicon.ico%00", "/autoload.js?bokeh-autoload-element=%00", "/lab/%ff", "//",
    ],
)  # fmt: skip
def test_no_path_is_an_error_of_the_server(served, path):
    status, text = served.get(path)
    assert 400 <= status < 500 and "Traceback" not in text and "root:" not in text
