"""Panel's pages, each built inside the header and navigation of all pages."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, Final

import panel as pn
from panel_material_ui.template.base import Page

import workbench.figures  # noqa: F401  (whole, before threads import parts of it at once)
from workbench.figures.theme import INKS, Theme
from workbench.views.parts.components import CSS, ThemeCookie
from workbench.views.parts.notices import described, show_error
from workbench.views.parts.outbox import Outbox
from workbench.views.site import tokens
from workbench.views.site.entry import NAME, PageEntry, pages
from workbench.views.site.sessions import begin
from workbench.views.site.shell import THEME_COOKIE

THREADS = 4
"""Threads of the pool for callbacks, so that one session does not hold up another."""
_ICON = Path(__file__).with_name("icon.svg").read_bytes()
ICON = "data:image/svg+xml;base64," + b64encode(_ICON).decode()
GROUND: Final[dict[Theme, str]] = {"light": "#f8f8f8", "dark": "#1e232a"}
"""What stands behind the cards, as in ``shell.css``."""
THEMES: Final[tuple[Theme, ...]] = ("light", "dark")
THEME: Final = {
    theme: {
        "palette": {
            "primary": {"main": INKS[theme].accent},
            "background": {"default": GROUND[theme], "paper": INKS[theme].paper},
            "text": {"primary": INKS[theme].text},
        }
    }
    for theme in THEMES
}
HEADER = """
.header.header { background: var(--paper) !important; color: var(--ink) !important; }
.header.header { box-shadow: none; }
.header.header { border-bottom: 1px solid color-mix(in srgb, var(--ink) 14%, transparent); }
.header .title, .header .title * { color: var(--ink) !important; font-size: 16px; }
.header .title { font-weight: 600; }
/* The links may take several lines; without this they take one, and push the rest out of sight. */
.header .MuiToolbar-root > .MuiBox-root + .MuiBox-root { min-width: 0; }
/* However many they take, the page begins below: in the flow, not under a fixed bar. */
.MuiBox-root:has(> .header) { flex-direction: column; }
.header.header { position: static; flex: none; }
.main.main { flex: 1; min-height: 0; height: auto; }
.main .MuiToolbar-root { display: none; }
"""


def build(link: str) -> Page:
    """Return one session's page, given its link in the table; if it fails, the page says why."""
    entry = next(page for page in pages() if page.link == link)
    dark = pn.state.cookies.get(THEME_COOKIE) == "dark"
    outbox = Outbox()
    cookie = ThemeCookie(
        lambda wish: outbox.set([(page, {"dark_theme": wish})]), cookie=THEME_COOKIE, dark=dark
    )
    page = Page(
        title=NAME,
        meta_title=entry.title,
        favicon=ICON,
        site_url="./",
        header=[_navigation(link), cookie],
        theme_config=THEME,
        dark_theme=dark,
        busy_indicator=None,
        raw_css=[tokens.css(), CSS],
        stylesheets=[HEADER],
    )
    page.param.watch(lambda event: outbox.set([(cookie, {"dark": event.new})]), "dark_theme")
    begin(page)
    try:
        page.main = _main(entry, page)
    except Exception as error:
        message = escape(described(error, f"the page {entry.title} cannot be built"))
        title = "<h1>This page cannot be shown</h1>"
        page.main = [_html(f'<div class="failure" role="alert">{title}<p>{message}</p></div>')]
    return page


def _main(entry: PageEntry, page: Page) -> list[Any]:
    """Return what goes in the main area of a page."""
    if entry.plotly:
        pn.extension("plotly")
    return [entry.load()(page)]


def builder(link: str) -> Callable[[], Page]:
    """Return `build` for one page as a plain function, the only callable that Panel takes."""

    def page() -> Page:
        return build(link)

    return page


def configure() -> None:
    """Set up Panel for this process: threads, notifications, a handler that hides no error."""
    pn.extension(nthreads=THREADS, notifications=True, exception_handler=show_error)


def _navigation(here: str) -> pn.pane.HTML:
    links = "".join(
        f'<a href="{page.link}"{" aria-current=page" if page.link == here else ""}>'
        f"{escape(page.label)}</a>"
        for page in pages()
    )
    return pn.pane.HTML(
        f'<nav aria-label="Pages" class="pages">{links}</nav>',
        stylesheets=[CSS],
        styles={"flex": "0 1 auto", "min-width": "0"},
        margin=0,
    )


def _html(text: str, **values: Any) -> pn.pane.HTML:
    return pn.pane.HTML(text, stylesheets=[CSS], sizing_mode="stretch_width", **values)
