"""The pages: functions that build one session's page, in one shell with header and navigation."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import panel as pn
from panel_material_ui.template.base import Page

import workbench.figures  # noqa: F401  (whole, before threads import parts of it at once)
from workbench.errors import WorkbenchError
from workbench.views.parts.components import CSS, ThemeCookie
from workbench.views.parts.notices import show_error
from workbench.views.parts.outbox import Outbox
from workbench.views.site.glossary import words_html
from workbench.views.site.sessions import begin

logger = logging.getLogger(__name__)

NAME = "Sleep workbench"
THREADS = 4
"""Callbacks run in a pool, so that one session's computation does not hold up another's."""
_ICON = Path(__file__).with_name("icon.svg").read_bytes()
ICON = "data:image/svg+xml;base64," + b64encode(_ICON).decode()
THEME = {
    "light": {
        "palette": {
            "primary": {"main": "#1f4e79"},
            "background": {"default": "#f5f7fa", "paper": "#ffffff"},
        }
    },
    "dark": {
        "palette": {
            "primary": {"main": "#8ab8e6"},
            "background": {"default": "#12161c", "paper": "#181d24"},
        }
    },
}
HEADER = """
.mui-light > .header { background-color: #1f4e79 !important; color: #fff; }
.mui-dark > .header { background-color: #1c2a3a !important; color: #fff; background-image: none; }
/* The links may take several lines; without this they take one, and push the rest out of sight. */
.header .MuiToolbar-root > .MuiBox-root + .MuiBox-root { min-width: 0; }
"""
THEME_COOKIE = "workbench_theme"
WORDED = ("stepper", "memory", "interventions", "attribution", "instruments", "probes")
"""Links of the pages that explain their words."""


class PageEntry(NamedTuple):
    """One page of the server."""

    path: str
    title: str
    link: str
    label: str
    function: Callable[[], Any]


def configure() -> None:
    """Set Panel up for this process: threads, notifications, a handler that hides no error."""
    pn.extension(nthreads=THREADS, notifications=True, exception_handler=show_error)


def shell(title: str, here: str, body: Callable[[Page], list[Any]]) -> Page:
    """Return a page with header, navigation and theme toggle around `body`.

    Parameters
    ----------
    title : str
        Window title.
    here : str
        Link of this page, marked in the navigation.
    body : callable
        Given the page, returns what goes in its main area; if it fails, the page says why.
    """
    dark = pn.state.cookies.get(THEME_COOKIE) == "dark"
    outbox = Outbox()
    cookie = ThemeCookie(
        lambda wish: outbox.set([(page, {"dark_theme": wish})]), cookie=THEME_COOKIE, dark=dark
    )
    page = Page(
        title=NAME,
        meta_title=title,
        favicon=ICON,
        site_url="./",
        header=[_navigation(here), cookie],
        theme_config=THEME,
        dark_theme=dark,
        busy_indicator=None,
        raw_css=[CSS],
        stylesheets=[HEADER],
    )
    page.param.watch(lambda event: outbox.set([(cookie, {"dark": event.new})]), "dark_theme")
    begin(page)
    try:
        parts = body(page)
        page.main = [*parts, _words()] if here in WORDED else parts
    except WorkbenchError as error:
        page.main = [_failure(str(error))]
    except Exception as error:
        logger.exception("the page %s cannot be built", title)
        page.main = [
            _failure(f"{type(error).__name__}: {error} (a bug; the terminal has the details)")
        ]
    return page


def home() -> Page:
    """Return the home page."""
    from workbench.views.home.page import body

    return shell(NAME, "./", lambda page: [body()])


def stepper() -> Page:
    """Return the stepper."""

    def build(page: Page) -> list[Any]:
        pn.extension("plotly")
        from workbench.views.stepper.page import Stepper

        return [Stepper.in_page(page)]

    return shell(f"Stepper - {NAME}", "stepper", build)


def memory() -> Page:
    """Return the memory page."""

    def build(page: Page) -> list[Any]:
        pn.extension("plotly")
        from workbench.views.memory.page import Memory

        return [Memory.in_page(page)]

    return shell(f"Memory - {NAME}", "memory", build)


def interventions() -> Page:
    """Return the page of interventions."""

    def build(page: Page) -> list[Any]:
        pn.extension("plotly")
        from workbench.views.interventions.page import Interventions

        return [Interventions.in_page(page)]

    return shell(f"Interventions - {NAME}", "interventions", build)


def attribution() -> Page:
    """Return the page of attribution."""

    def build(page: Page) -> list[Any]:
        pn.extension("plotly")
        from workbench.views.attribution.page import Attribution

        return [Attribution.in_page(page)]

    return shell(f"Attribution - {NAME}", "attribution", build)


def measured() -> Page:
    """Return the page of measurements."""

    def build(page: Page) -> list[Any]:
        pn.extension("plotly")
        from workbench.views.instruments.page import Measured

        return [Measured.in_page(page)]

    return shell(f"Instruments - {NAME}", "instruments", build)


def probes() -> Page:
    """Return the page of probes."""

    def build(page: Page) -> list[Any]:
        pn.extension("plotly")
        from workbench.views.probes.page import Probes

        return [Probes.in_page(page)]

    return shell(f"Probes - {NAME}", "probes", build)


def lab() -> Page:
    """Return the lab."""

    def build(page: Page) -> list[Any]:
        pn.extension("plotly")
        from workbench.views.lab.page import Lab

        return [Lab.in_page(page)]

    return shell(f"Lab - {NAME}", "lab", build)


def results() -> Page:
    """Return the results."""

    def build(page: Page) -> list[Any]:
        pn.extension("plotly")
        from workbench.views.results.page import Results

        return [Results.in_page(page)]

    return shell(f"Results - {NAME}", "results", build)


PAGES = (
    PageEntry("/", NAME, "./", "Home", home),
    PageEntry("/stepper", f"Stepper - {NAME}", "stepper", "Stepper", stepper),
    PageEntry("/memory", f"Memory - {NAME}", "memory", "Memory", memory),
    PageEntry(
        "/interventions", f"Interventions - {NAME}", "interventions", "Interventions", interventions
    ),
    PageEntry("/attribution", f"Attribution - {NAME}", "attribution", "Attribution", attribution),
    PageEntry("/instruments", f"Instruments - {NAME}", "instruments", "Instruments", measured),
    PageEntry("/probes", f"Probes - {NAME}", "probes", "Probes", probes),
    PageEntry("/lab", f"Lab - {NAME}", "lab", "Lab", lab),
    PageEntry("/results", f"Results - {NAME}", "results", "Results", results),
)


def _navigation(here: str) -> pn.pane.HTML:
    links = "".join(
        f'<a href="{page.link}"{" aria-current=page" if page.link == here else ""}>'
        f"{escape(page.label)}</a>"
        for page in PAGES
    )
    return pn.pane.HTML(
        f'<nav aria-label="Pages" class="pages">{links}</nav>',
        stylesheets=[CSS],
        styles={"flex": "0 1 auto", "min-width": "0"},
        margin=0,
    )


def _words() -> pn.pane.HTML:
    """Return what the words of a page mean, which unfolds at its foot."""
    foot = f'<div class="foot">{words_html()}</div>'
    return pn.pane.HTML(foot, stylesheets=[CSS], sizing_mode="stretch_width", margin=0)


def _failure(message: str) -> pn.pane.HTML:
    return pn.pane.HTML(
        f'<div class="failure" role="alert"><h1>This page cannot be shown</h1>'
        f"<p>{escape(message)}</p></div>",
        stylesheets=[CSS],
        sizing_mode="stretch_width",
    )
