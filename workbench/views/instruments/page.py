"""The page of measurements: what instruments found, as figures and tables, and measuring again.

Bundled measurements are drawn from committed files, and those made here from the folder of runs;
nothing is computed in this process and torch is not loaded.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import panel as pn
import param

from workbench.figures.theme import Theme
from workbench.measurements.shelf import bundled_records, finished, menu_text, plain_title
from workbench.views.measuring.form import MeasurePanel
from workbench.views.measuring.view import MeasurementView
from workbench.views.parts.components import (
    CSS,
    RECORDS_CSS,
    Choice,
    record_html,
)
from workbench.views.parts.outbox import Changes, Outbox
from workbench.views.site.services import services

FIELD = "measurement"
NONE = "Nothing is measured yet. Measure below, or all of it with <code>data/instruments.py</code>."


class Measured(pn.viewable.Viewer):
    """The page of measurements.

    Parameters
    ----------
    found : dict of str to Path or None
        Measurements by name; None takes the bundled ones, and those of the folder of runs.
    root : Path or None
        Folder of the runs; None has none.

    Attributes
    ----------
    view : MeasurementView
        What is shown.
    """

    dark = param.Boolean(False, doc="Whether the figures are drawn for a dark page.")
    name_shown = param.String("", doc="Name of the measurement that is shown.")

    def __init__(
        self, found: dict[str, Path] | None = None, *, root: Path | None = None, **values: Any
    ) -> None:
        super().__init__(**values)
        self._given, self.root = found, root
        self.found: dict[str, Path] = {}
        self.location: Any = None
        self.note = ""
        self._outbox = Outbox()
        self.view = MeasurementView(self._outbox)
        self.measure: MeasurePanel | None = None
        self._column = pn.Column(css_classes=["results"], stylesheets=[CSS, RECORDS_CSS], margin=0)
        self._column.sizing_mode = "stretch_width"
        self.choice = Choice("Measurement", width=420)
        self._outbox.set(self._look())
        self.choice.param.watch(lambda event: setattr(self, "name_shown", event.new), "value")
        self.param.watch(lambda event: self.rebuild(), "name_shown")
        self.param.watch(lambda event: self.draw(), "dark")

    @classmethod
    def in_page(cls, page: Any) -> Measured:
        """Return the view that follows the page's theme and address, and can measure."""
        view = cls(dark=page.dark_theme, root=services().runs)
        view.location = pn.state.location
        query = dict(parse_qsl(view.location.search.lstrip("?"))) if view.location else {}
        page.param.watch(lambda event: setattr(view, "dark", event.new), "dark_theme")
        view.measure = MeasurePanel.in_page(page, on_done=view.display)
        view.choose(query.get(FIELD, ""))
        pn.state.onload(view._address)  # before that, a change of the address is lost
        return view

    def _look(self) -> Changes:
        """List the measurements: bundled ones, then those made here."""
        named = bundled_records() if self._given is None else dict(self._given)
        texts = {menu_text(name, path): name for name, path in named.items()}
        for one in finished(self.root):
            named[one.key] = one.result
            title = plain_title(one.kind, one.checkpoint)
            texts[f"here: {title}, {one.words} ({one.key[-6:]})"] = one.key
        self.found = named
        return [(self.choice, {"options": texts})]

    def choose(self, name: str) -> None:
        """Show a measurement; if it does not exist, the first, and the page says so."""
        names = sorted(self.found, key=lambda n: not n.startswith("lens-"))
        first = next(iter(names), "")
        if name and name not in self.found:
            self.note = f"There is no measurement named {name!r}; this is {first!r}."
        self.choice.value = name if name in self.found else first
        if not self.found:
            self.rebuild()

    def display(self, path: Path) -> None:
        """Show a measurement that was just made, or asked for again."""
        changes = self._look()
        name = next((n for n, p in self.found.items() if p.resolve() == path.resolve()), "")
        if name and name == self.name_shown:  # measured again
            self._outbox.set(changes)
            self.rebuild()
        elif name:
            self._outbox.set([*changes, (self.choice, {"value": name})])

    def __panel__(self) -> Any:
        return self._column

    def rebuild(self) -> None:
        """Build the page for the chosen measurement."""
        parts: list[Any] = [self.choice] if len(self.found) > 1 else []
        if self.note:
            parts.append(record_html(f'<p class="failure" role="alert">{escape(self.note)}</p>'))
            self.note = ""
        if self.name_shown:
            path = self.found[self.name_shown]
            parts += self.view.parts(path, self.name_shown, self._theme)
            self._address()
        else:
            parts.append(record_html(f"<h1>Instruments</h1><p>{NONE}</p>"))
        if self.measure is not None:
            parts.append(self.measure)
        self._outbox.set([(self._column, {"objects": parts})])

    def _address(self) -> None:
        if self.location is not None and self.name_shown:
            search = f"?{urlencode({FIELD: self.name_shown})}"
            self._outbox.set([(self.location, {"search": search})])

    @property
    def _theme(self) -> Theme:
        return "dark" if self.dark else "light"

    def draw(self) -> None:
        """Draw every figure in the page's theme."""
        self.view.draw(self._theme)
