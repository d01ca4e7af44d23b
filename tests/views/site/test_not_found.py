"""An address that no page has: our own page, which leads home."""

import asyncio

from tornado.httpclient import AsyncHTTPClient

from workbench.views.site.not_found import not_found_html
from workbench.views.site.pages import THEME_COOKIE, pages
from workbench.views.site.server import listen


def test_it_says_what_was_asked_and_links_every_page():
    html = not_found_html("/<script>", "/workbench")
    assert "/&lt;script&gt;" in html and "<script>" not in html
    assert all(f'href="/workbench{page.path}"' in html for page in pages())
    assert " class=dark" not in html and " class=dark" in not_found_html("/x", dark=True)
    assert "http" not in html, "nothing is fetched from elsewhere"


async def answers(prefix):
    server = listen(0, "127.0.0.1", prefix)
    server.start()
    try:
        client = AsyncHTTPClient(force_instance=True)
        address = f"http://127.0.0.1:{server.port}{prefix}/nothing?x=1"
        dark = {"Cookie": f"{THEME_COOKIE}=dark"}
        return [
            await client.fetch(address, raise_error=False),
            await client.fetch(address, raise_error=False, headers=dark),
            await client.fetch(address, raise_error=False, method="POST", body=""),
        ]
    finally:
        server.stop()


def test_the_server_answers_with_it():
    plain, dark, posted = asyncio.run(answers("/deep"))
    assert [answer.code for answer in (plain, dark, posted)] == [404] * 3
    text = plain.body.decode()
    assert "Page not found" in text and "/deep/nothing" in text
    assert 'href="/deep/"' in text
    assert " class=dark" in dark.body.decode()
