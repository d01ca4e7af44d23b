"""Panel's pages, each built inside the header and navigation of all pages."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final

import panel as pn
import param
from panel.custom import JSComponent

import workbench.figures  # noqa: F401  (whole, before threads import parts of it at once)
from workbench.files import read_text
from workbench.views.parts.html import failure_html
from workbench.views.parts.notices import show_error
from workbench.views.parts.outbox import Outbox
from workbench.views.site import tokens
from workbench.views.site.entry import PageEntry, Visit, pages
from workbench.views.site.plain import described
from workbench.views.site.sessions import begin
from workbench.views.site.shell import HERE, header_html, theme_of

THREADS = 4
"""Threads of the pool for callbacks, so that one session does not hold up another."""
ICON = "data:image/svg+xml;base64," + b64encode((HERE / "icon.svg").read_bytes()).decode()
FRAME: Final = """{% extends base %}
{% block postamble %}
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{{ style }}</style>
{% endblock %}
{% block contents %}
{{ header }}<main id="main">{{ super() }}</main><script type="module">{{ script }}</script>
{% endblock %}"""
"""The shell of plain pages as Panel's template: styles and scripts are in it, as ``panel serve``
gives them no address."""


class Page(param.Parameterized):
    """What a view is given of its page."""

    dark_theme = param.Boolean(False, doc="Whether the page is dark now.")


class ThemeWatch(JSComponent):
    """Reports whether the page is dark; draws nothing."""

    _esm = """export function render({model}) {
      const tell = () => model.send_msg({dark: document.documentElement.dataset.theme === "dark"})
      addEventListener("themechange", tell)
      tell()
    }"""

    def __init__(self, page: Page) -> None:
        super().__init__(width=0, height=0)
        self._page, self._outbox = page, Outbox()

    def _handle_msg(self, data: dict[str, Any]) -> None:
        self._outbox.set([(self._page, {"dark_theme": bool(data["dark"])})])


def build(entry: PageEntry) -> pn.Template:
    """Return one session's page; if it fails, the page says why."""
    theme = theme_of(pn.state.cookies)
    page = Page(dark_theme=theme == "dark")
    watch = ThemeWatch(page)
    begin()
    try:
        shown = pn.panel(entry.load()(page))
    except Exception as error:
        said = failure_html(described(error, f"the page {entry.title} cannot be built"))
        title = "<h1>This page cannot be shown</h1>"
        shown = pn.pane.HTML(title + said, sizing_mode="stretch_width")
    template = pn.Template(FRAME, items={"main": shown, "theme": watch}, location=True)
    if pn.state.notifications is not None:
        template.add_panel("notifications", pn.state.notifications)
    address = Visit(prefix=".").address  # below the page's own folder, wherever that is
    variables = {
        "app_favicon": ICON,
        "apple_icon": ICON,
        "html_attrs": f'data-theme="{theme}"',
        "style": tokens.css() + read_text(HERE / "shell.css"),
        "header": header_html(pages(), entry.link, address, ICON),
        "script": read_text(HERE / "shell.js"),
    }
    for name, value in variables.items():
        template.add_variable(name, value)
    return template


def builder(entry: PageEntry) -> Callable[[], pn.Template]:
    """Return `build` for one page as a plain function, the only callable that Panel takes."""

    def page() -> pn.Template:
        return build(entry)

    return page


def configure() -> None:
    """Set up Panel for this process: threads, notifications, a handler that hides no error."""
    pn.extension(nthreads=THREADS, notifications=True, exception_handler=show_error)
