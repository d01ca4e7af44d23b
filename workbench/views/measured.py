"""The page of measurements: what instruments found in the bundled models, as figures and tables.

Everything is drawn from committed files; nothing is computed and torch is not loaded.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import panel as pn
import param
import xarray as xr

from workbench.errors import WorkbenchError
from workbench.figures.theme import Theme
from workbench.lab.measured import read_measurement
from workbench.views.components import CSS, Choice, FigurePane
from workbench.views.instrument_card import csv_of
from workbench.views.lab_parts import Download
from workbench.views.measured_figures import SAYS, Shown, figures_of
from workbench.views.measured_words import measurements, tables
from workbench.views.outbox import Outbox
from workbench.views.results import RESULTS_CSS, told_html
from workbench.views.results_words import grid

FIELD = "measurement"
NONE = (
    "Nothing is measured yet. Measure with <code>workbench measure probes depo-n8-any</code>, or "
    "all of it with <code>python data/instruments.py</code>."
)


class Measured(pn.viewable.Viewer):
    """The page of measurements.

    Parameters
    ----------
    found : dict of str to Path or None
        Measurements by name; None takes the bundled ones.

    Attributes
    ----------
    figures : list of (Shown, FigurePane)
        Those of the measurement shown.
    """

    dark = param.Boolean(False, doc="Whether the figures are drawn for a dark page.")
    name_shown = param.String("", doc="Name of the measurement that is shown.")

    def __init__(self, found: dict[str, Path] | None = None, **values: Any) -> None:
        super().__init__(**values)
        self.found = measurements() if found is None else found
        self.location: Any = None
        self.note = ""
        self.data = xr.Dataset()
        self.figures: list[tuple[Shown, FigurePane]] = []
        self.button: Download | None = None
        self._outbox = Outbox()
        self._column = pn.Column(css_classes=["results"], stylesheets=[CSS, RESULTS_CSS], margin=0)
        self._column.sizing_mode = "stretch_width"
        self.choice = Choice("Measurement", options={n: n for n in self.found}, width=360)
        self.choice.param.watch(lambda event: setattr(self, "name_shown", event.new), "value")
        self.param.watch(lambda event: self.rebuild(), "name_shown")
        self.param.watch(lambda event: self.draw(), "dark")

    @classmethod
    def in_page(cls, page: Any) -> Measured:
        """Return the view that follows the page's theme and address."""
        view = cls(dark=page.dark_theme)
        view.location = pn.state.location
        query = dict(parse_qsl(view.location.search.lstrip("?"))) if view.location else {}
        page.param.watch(lambda event: setattr(view, "dark", event.new), "dark_theme")
        view.choose(query.get(FIELD, ""))
        pn.state.onload(view._address)  # before that, a change of the address is lost
        return view

    def choose(self, name: str) -> None:
        """Show a measurement; one that is not there becomes the first, and the page says so."""
        names = sorted(self.found, key=lambda n: not n.startswith("lens-"))
        first = next(iter(names), "")
        if name and name not in self.found:
            self.note = f"There is no measurement named {name!r}; this is {first!r}."
        self.choice.value = name if name in self.found else first
        if not self.found:
            self.rebuild()

    def __panel__(self) -> Any:
        return self._column

    def rebuild(self) -> None:
        """Build the page for the measurement that is chosen."""
        self.figures, self.button = [], None
        parts: list[Any] = [self.choice] if len(self.found) > 1 else []
        if self.note:
            parts.append(told_html(f'<p class="failure" role="alert">{escape(self.note)}</p>'))
            self.note = ""
        if self.name_shown:
            try:
                parts += self._sections(self.found[self.name_shown])
            except WorkbenchError as error:
                parts.append(told_html(f'<p class="failure" role="alert">{escape(str(error))}</p>'))
            self._address()
        else:
            parts.append(told_html(f"<h1>Instruments</h1><p>{NONE}</p>"))
        self._outbox.set([(self._column, {"objects": parts})])

    def _address(self) -> None:
        if self.location is not None and self.name_shown:
            search = f"?{urlencode({FIELD: self.name_shown})}"
            self._outbox.set([(self.location, {"search": search})])

    def _sections(self, path: Path) -> list[Any]:
        self.data, origin = read_measurement(path)
        self.button = Download(self._save, label="Data (CSV)")
        parts: list[Any] = [
            told_html(about_html(self.data, origin)),
            pn.Row(self.button, margin=0),
        ]
        for shown in figures_of(self.data):
            pane = FigurePane(label=shown.title, svg=True)
            self.figures.append((shown, pane))
            heading = f"<h2>{escape(shown.title)}</h2><p>{escape(shown.says)}</p>"
            parts += [told_html(heading), pane]
        told = "".join(
            f"<h2>{escape(name[:1].upper() + name[1:])}</h2>{grid(rows[0], rows[1:], name)}"
            for name, rows in tables(self.data).items()
        )
        parts.append(told_html(told))
        self.draw()
        return parts

    def draw(self) -> None:
        """Draw every figure in the page's theme."""
        theme: Theme = "dark" if self.dark else "light"
        self._outbox.set(
            [(pane, {"figure": json.loads(s.draw(theme).to_json())}) for s, pane in self.figures]
        )

    def _save(self) -> None:
        assert self.button is not None
        changes = {
            "filename": f"{self.name_shown}.csv",
            "content": csv_of(self.data),
            "serial": self.button.serial + 1,
        }
        self._outbox.set([(self.button, changes)])


def about_html(data: xr.Dataset, origin: dict[str, Any]) -> str:
    """Return what was measured on what, what it says, and the command that measures it again."""
    kind, model = str(data.attrs["kind"]), str(data.attrs["checkpoint"])
    settings = {k: v for k, v in origin["settings"].items() if v is not None}
    again = " ".join(f"--set {k}={json.dumps(v)}" for k, v in settings.items())
    commit = (origin.get("commit") or {}).get("hash", "unknown")[:10]
    machine = origin["machine"].get("processor")
    return (
        f"<h1>{escape(kind.capitalize())}: {escape(model)}</h1>"
        f"<p>{escape(SAYS[kind])}</p>"
        f'<p class="small">{data.attrs["examples"]} held-out examples of seed '
        f"{data.attrs['seed']}, N = {data.attrs['n_sleep']}; one trained model, so intervals say "
        f"nothing of other training seeds. Measured {escape(str(origin['created_at'])[:10])}, "
        f"commit {escape(commit)}, {escape(str(machine))}. Again: <code>workbench measure "
        f"{escape(kind)} {escape(model)} {escape(again)}</code></p>"
    )
