"""Plain pages: the HTML around them, their assets, and what a request gets that fits no page."""

import asyncio
import gzip
import hashlib
import html
import json
import re

import pytest
from tornado.httpclient import AsyncHTTPClient

from workbench.errors import WorkbenchError
from workbench.figures.theme import INKS
from workbench.views.site import assets, tokens
from workbench.views.site.entry import Document, PageEntry, Visit, pages
from workbench.views.site.server import listen
from workbench.views.site.shell import THEME_COOKIE, html_of, made, not_found


def test_a_page_is_whole_before_any_script_has_run():
    document = Document("Toy", "<h1>A toy</h1>", ("assets/toy.js",), data={"x": "</script><b>"})
    text = html_of(document, Visit(prefix="/deep", theme="dark"), pages(), "explore")
    assert '<html lang="en" data-theme="dark">' in text and "<title>Toy - Sleep" in text
    assert '<main id="main"><h1>A toy</h1></main>' in text
    assert '<script type="module" src="/deep/assets/toy.js">' in text
    assert all(f'href="/deep{page.path}"' in text for page in pages())
    assert '<a href="/deep/explore" aria-current=page>' in text
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1]
    assert json.loads(data) == {"x": "</script><b>"}
    assert "http" not in text and "<script>" not in text, "nothing foreign, and nothing inline"


def test_an_unknown_address_links_every_page():
    document = not_found("/<script>", Visit(prefix="/workbench"))
    assert document.status == 404 and "/&lt;script&gt;" in document.body
    assert all(f'href="/workbench{page.path}"' in document.body for page in pages())


def broken(error):
    def make(visit):
        raise error

    return PageEntry("toy", "Toy", 1, document=make)


def test_a_page_that_fails_says_why(caplog):
    for error, said, logged in (
        (WorkbenchError("no <model>", "a model", "train one"), "no <model>; expected a", False),
        (RuntimeError("oops"), "RuntimeError: oops", True),
    ):
        caplog.clear()
        document = made(broken(error), Visit())
        assert said in html.unescape(document.body) and "<model>" not in document.body
        assert document.status == 500 and bool(caplog.records) is logged


def test_the_tokens_are_the_colours_of_the_figures():
    light, dark = (tokens.variables(theme) for theme in ("light", "dark"))
    assert light.keys() == dark.keys()
    assert light["ink"] == INKS["light"].text and dark["paper"] == INKS["dark"].paper
    rules = tokens.css()
    assert rules.count(f"--paper: {INKS['dark'].paper};") == 2, "as chosen, and as the system asks"


def test_an_asset_has_the_address_of_its_content(tmp_path):
    path = tmp_path / "toy.js"
    found = []
    for text in ("export default 1", "export default 22"):
        path.write_text(text)
        found.append(assets.asset(path))
        assert hashlib.sha256(text.encode()).hexdigest().startswith(found[-1].split(".")[1])
    assert found[0] != found[1]
    with pytest.raises(ValueError, match="TYPES"):
        assets.asset_text("toy.exe", "")


async def answers(prefix):
    asset = assets.asset_text("toy.css", "b { margin: 0 } " * 100)
    server, port = listen(0, "127.0.0.1", prefix)
    try:
        client = AsyncHTTPClient(force_instance=True)

        async def ask(path, **given):
            address = f"http://127.0.0.1:{port}{prefix}/{path}"
            return await client.fetch(
                address, raise_error=False, decompress_response=False, **given
            )

        dark = {"Cookie": f"{THEME_COOKIE}=dark"}
        zipped = {"Accept-Encoding": "br, gzip"}
        return {
            "plain": await ask("nothing?x=1"),
            "dark": await ask("nothing", headers=dark),
            "posted": await ask("nothing", method="POST", body=""),
            "asset": await ask(asset),
            "zipped": await ask(asset, headers=zipped),
            "refused": await ask(asset, headers={"Accept-Encoding": "gzip;q=0"}),
            "head": await ask(asset, method="HEAD"),
            "method": await ask(asset, method="POST", body=""),
            "unknown": await ask("assets/toy.css"),
            "home": await ask(""),
            "bare": await client.fetch(f"http://127.0.0.1:{port}{prefix}"),
        }
    finally:
        server.stop()


def test_the_server_answers_with_pages_and_assets():
    found = asyncio.run(answers("/deep"))
    assert found["home"].body == found["bare"].body and found["home"].code == 200
    assert [found[name].code for name in ("plain", "dark", "posted", "unknown")] == [404] * 4
    plain, dark = (found[name].body.decode() for name in ("plain", "dark"))
    assert "Page not found" in plain and "/deep/nothing" in plain and 'href="/deep/"' in plain
    assert 'data-theme="auto"' in plain and 'data-theme="dark"' in dark
    assert "default-src 'none'" in found["plain"].headers["Content-Security-Policy"]
    whole, zipped = found["asset"], found["zipped"]
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == whole.body == found["refused"].body
    assert len(zipped.body) < len(whole.body) / 5
    assert whole.headers["Content-Type"] == "text/css; charset=utf-8"
    assert "immutable" in whole.headers["Cache-Control"]
    assert found["head"].code == 200 and found["head"].body == b""
    assert int(found["head"].headers["Content-Length"]) == len(whole.body)
    assert found["method"].code == 405 and found["method"].headers["Allow"] == "GET, HEAD"
