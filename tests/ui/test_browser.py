"""The browser fixtures themselves: a page in trouble must not pass."""

import http.server
import threading
from collections.abc import Iterator

import pytest

HEAD = "<!doctype html><link rel=icon href=data:,>"
PAGES = {
    "/": f"{HEAD}<title>quiet</title><p>quiet</p>",
    "/trouble": f"{HEAD}<script>console.error('ouch')</script><script>throw Error('oh')</script>"
    "<script src=/gone.js></script><img src=http://example.invalid/a.png>",
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = PAGES.get(self.path)
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write((body or "").encode())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_quiet_page_has_no_problems(page, site, problems):
    page.goto(site, wait_until="networkidle")
    assert page.inner_text("p") == "quiet"
    assert page.viewport_size == {"width": 1280, "height": 800}
    assert problems == []


def test_trouble_in_the_page_is_recorded(page, site, problems):
    page.goto(site + "/trouble", wait_until="networkidle")
    for words in (
        "console error: ouch",
        "page error: oh",
        "gone.js: status 404",
        "request to another host: http://example.invalid/a.png",
    ):
        assert any(words in problem for problem in problems), (words, problems)
    problems.clear()


def test_without_chromium_it_skips_but_fails_in_ci(monkeypatch, request):
    chromium_path = request.config.pluginmanager.get_plugin(
        str(request.path.parent / "conftest.py")
    ).chromium_path
    monkeypatch.setenv("WORKBENCH_CHROMIUM", "/nowhere/chromium")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no Chromium"):
        chromium_path()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="no Chromium"):
        chromium_path()
