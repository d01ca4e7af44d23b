"""The page for unknown addresses: it says so and links home. Built without Panel."""

from __future__ import annotations

from html import escape
from typing import Final

from tornado.web import RequestHandler

STYLE: Final = """
:root { color-scheme: light; --text: #1b1f24; --ground: #f5f7fa; --bar: #1f4e79; --link: #1f4e79; }
:root.dark { color-scheme: dark; --text: #e9edf1; --ground: #12161c; --bar: #1c2a3a;
  --link: #8ab8e6; }
body { margin: 0; font: 16px/1.5 Roboto, "Helvetica Neue", Arial, sans-serif;
  color: var(--text); background: var(--ground); }
header { background: var(--bar); color: #fff; padding: 14px 24px; font-size: 20px; }
main { max-width: 40em; padding: 8px 24px; overflow-wrap: anywhere; }
a { color: var(--link); }
"""


class NotFound(RequestHandler):
    """Answers every address without a page, with status 404."""

    def initialize(self, prefix: str) -> None:
        """Take the prefix of the server's pages."""
        self.prefix = prefix

    def prepare(self) -> None:
        """Answer, whatever the method."""
        from workbench.views.site.pages import THEME_COOKIE

        self.set_status(404)
        dark = self.get_cookie(THEME_COOKIE) == "dark"
        self.finish(not_found_html(self.request.path, self.prefix, dark=dark))


def not_found_html(path: str, prefix: str = "", *, dark: bool = False) -> str:
    """Return the page for a `path`; `prefix` is that of the server's pages, "" or "/something"."""
    from workbench.views.site.entry import NAME
    from workbench.views.site.pages import pages

    home, *others = pages()
    links = "".join(
        f'<li><a href="{escape(prefix + page.path)}">{escape(page.label)}</a></li>'
        for page in others
    )
    return (
        f'<!doctype html><html lang="en"{" class=dark" if dark else ""}><head>'
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<link rel="icon" href="data:,"><title>Not found - {NAME}</title>'
        f"<style>{STYLE}</style></head><body><header>{NAME}</header><main>"
        f"<h1>Page not found</h1><p>There is nothing at <code>{escape(path)}</code>. "
        f'<a href="{escape(prefix + home.path)}">Go to the home page</a>, or to one of these:</p>'
        f"<ul>{links}</ul></main></body></html>"
    )
