"""The whole HTML of a page: header, navigation, light or dark, and what the page gives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from workbench.files import read_text
from workbench.views.parts.html import failure_html
from workbench.views.site import tokens
from workbench.views.site.assets import AssetHandler, asset, asset_text
from workbench.views.site.entry import NAME, Document, PageEntry, Visit, imported, pages
from workbench.views.site.plain import HTML, PlainHandler, described

HERE: Final = Path(__file__).parent
THEME_COOKIE: Final = "workbench_theme"
THEMES: Final = ("light", "dark")
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'"
)
"""What a page may load: nothing from another host, and no script that is not a file."""
_MAKERS: Final = ThreadPoolExecutor(4, "document")
"""Make documents: reading files takes some milliseconds, which other answers need not wait for."""


def style() -> str:
    """Return the address of the style sheet of all pages."""
    return asset_text("shell.css", tokens.css() + read_text(HERE / "shell.css"))


def theme_of(cookies: Mapping[str, str]) -> str:
    """Return what was chosen before, light or dark; else auto: as the system has it."""
    chosen = cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else "auto"


def header_html(entries: Iterable[PageEntry], here: str, visit: Visit, icon: str) -> str:
    """Return the header; `here` is the link of the page."""
    links = "".join(
        f'<a href="{escape(visit.address(one.link))}"'
        f"{' aria-current=page' if one.link == here else ''}>{escape(one.label)}</a>"
        for one in entries
    )
    return (
        '<a class="skip" href="#main">Skip to the content</a><header class="site">'
        f'<a class="name" href="{escape(visit.address())}"><img src="{icon}" alt="">{NAME}</a>'
        f'<nav aria-label="Pages">{links}</nav>'
        '<button class="theme" type="button" aria-label="Light or dark" title="Light or dark">◐'
        "</button></header>"
    )


def html_of(
    document: Document, visit: Visit, entries: Iterable[PageEntry] = (), here: str = ""
) -> str:
    """Return the whole page."""

    def at(path: str) -> str:
        return escape(visit.address(path))

    title = f"{document.title} - {NAME}" if document.title else NAME
    icon = at(asset(HERE / "icon.svg"))
    styles = "".join(f'<link rel="stylesheet" href="{at(s)}">' for s in (style(), *document.styles))
    fetches = "".join(
        f'<link rel="preload" as="fetch" crossorigin href="{at(path)}">'
        for path in document.fetches
    )
    scripts = "".join(
        f'<script type="module" src="{at(path)}"></script>'
        for path in (asset(HERE / "shell.js"), *document.scripts)
    )
    # in a script element, "</script>" and "<!--" mean something even within a text
    data = json.dumps(dict(document.data), allow_nan=False).replace("<", "\\u003c")
    return (
        f'<!doctype html><html lang="en" data-theme="{visit.theme}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>{styles}"
        f'<link rel="icon" type="image/svg+xml" href="{icon}">{fetches}{scripts}</head><body>'
        f'{header_html(entries, here, visit, icon)}<main id="main">{document.body}</main>'
        f'<script type="application/json" id="data">{data}</script></body></html>'
    )


class DocumentHandler(PlainHandler):
    """Answers with pages, inside the shell."""

    def initialize(self, prefix: str, entry: PageEntry | None = None) -> None:
        """Take the prefix of the server's pages, and the page; None stands for no page."""
        self.prefix, self.entry = prefix, entry

    async def get(self, rest: str | None = None) -> None:
        """Send the page."""
        visit = self.visit(rest or "")
        loop = asyncio.get_running_loop()
        document = await loop.run_in_executor(_MAKERS, made, self.entry, visit)
        self.show(document or not_found(self.request.path, visit), visit)

    def visit(self, rest: str) -> Visit:
        """Return what is asked for."""
        query = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        cookies = {name: morsel.value for name, morsel in self.cookies.items()}
        return Visit(query, rest.strip("/"), self.prefix, theme_of(cookies))

    def show(self, document: Document, visit: Visit) -> None:
        """Send a document."""
        self.set_status(document.status)
        self.set_header("Content-Security-Policy", POLICY)
        here = self.entry.link if self.entry else ""
        self.send(html_of(document, visit, pages(), here), HTML)


class NotFound(DocumentHandler):
    """Answers every address without a page, with status 404, whatever the method."""

    def prepare(self) -> None:
        """Answer."""
        visit = self.visit("")
        self.show(not_found(self.request.path, visit), visit)


class Redirect(PlainHandler):
    """Sends an old address of a page to its place now."""

    def initialize(self, address: str, more: Mapping[str, str]) -> None:
        """Take the page's address, and what is added to the query."""
        self.address, self.more = address, more

    def get(self) -> None:
        """Redirect."""
        query = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        kept = urlencode({**query, **self.more})
        self.redirect(f"{self.address}?{kept}" if kept else self.address)


def made(entry: PageEntry | None, visit: Visit) -> Document | None:
    """Return a page's document; if it fails, one that says why."""
    if entry is None:
        return None
    try:
        document: Document | None = entry.load()(visit)
        return document
    except Exception as error:
        said = described(error, f"the page {entry.title} cannot be built")
        return Document(
            entry.label,
            f'<div class="page"><h1>This page cannot be shown</h1>{failure_html(said)}</div>',
            status=500,
        )


def not_found(path: str, visit: Visit) -> Document:
    """Return the page for an address without one."""
    home, *others = pages()
    links = "".join(
        f'<li><a href="{escape(visit.address(page.link))}">{escape(page.label)}</a></li>'
        for page in others
    )
    body = (
        '<div class="page"><h1>Page not found</h1>'
        f"<p>There is nothing at <code>{escape(path)}</code>. "
        f'<a href="{escape(visit.address(home.link))}">Go to the home page</a>, or to one of '
        f"these:</p><ul>{links}</ul></div>"
    )
    return Document("Not found", body, status=404)


def routes(entries: Iterable[PageEntry], prefix: str) -> list[tuple[Any, ...]]:
    """Return Tornado's routes of pages, of what they ask for, and of old addresses."""
    found: list[tuple[Any, ...]] = [(r"/assets/([\w.-]+)", AssetHandler)]
    links = {entry.link for entry in entries}
    for entry in entries:
        if entry.routes is not None:
            found += imported(entry.routes)()
    for entry in entries:
        pattern = "/?" if entry.link == "./" else rf"/{entry.link}(?:/(.*))?"
        found.append((pattern, DocumentHandler, {"prefix": prefix, "entry": entry}))
        for link, more in entry.old.items():
            if link not in links:
                given = {"address": prefix + entry.path, "more": more}
                found.append((rf"/{link}/?", Redirect, given))
    return found
