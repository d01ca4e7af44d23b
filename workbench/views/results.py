"""The results page: recorded sweeps, a figure for each question, and the paper's numbers beside.

Everything is drawn from committed records; nothing is trained and torch is not loaded.
"""

from __future__ import annotations

import json
from functools import partial
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import panel as pn
import param
import xarray as xr

from workbench.errors import WorkbenchError
from workbench.figures import latency_against_n
from workbench.figures.theme import Theme
from workbench.lab import results
from workbench.lab.record import read_record
from workbench.views import results_words as words
from workbench.views.components import CSS, HERE, Choice, FigurePane
from workbench.views.lab_parts import Download
from workbench.views.outbox import Outbox
from workbench.views.questions import Question, answerable

RESULTS_CSS = (HERE / "results.css").read_text(encoding="utf-8")
FIELD = "record"
LATENCY, LATENCY_TITLE = "latency", "What does an answer wait for?"


class Results(pn.viewable.Viewer):
    """The results page.

    Parameters
    ----------
    found : dict of str to Path or None
        Records by name; None takes the bundled ones.

    Attributes
    ----------
    name_shown : str
        The record shown.
    figures : dict of str to FigurePane
        By question.
    """

    dark = param.Boolean(False, doc="Whether the figures are drawn for a dark page.")
    name_shown = param.String("", doc="Name of the record that is shown.")

    def __init__(self, found: dict[str, Path] | None = None, **values: Any) -> None:
        super().__init__(**values)
        self.records = words.records() if found is None else found
        self.location: Any = None
        self.note = ""
        self.latency = xr.Dataset()
        self.figures: dict[str, FigurePane] = {}
        self.tables: dict[str, xr.Dataset] = {}
        self.buttons: dict[str, Download] = {}
        self.questions: list[Question] = []
        self._outbox = Outbox()
        self._column = pn.Column(css_classes=["results"], stylesheets=[CSS, RESULTS_CSS], margin=0)
        self._column.sizing_mode = "stretch_width"
        self.choice = Choice("Sweep", options={name: name for name in self.records}, width=360)
        self.choice.param.watch(lambda event: setattr(self, "name_shown", event.new), "value")
        self.param.watch(lambda event: self.rebuild(), "name_shown")
        self.param.watch(lambda event: self.draw(), "dark")

    @classmethod
    def in_page(cls, page: Any) -> Results:
        """Return the view that follows the page's theme and address."""
        view = cls(dark=page.dark_theme)
        view.location = pn.state.location
        query = dict(parse_qsl(view.location.search.lstrip("?"))) if view.location else {}
        page.param.watch(lambda event: setattr(view, "dark", event.new), "dark_theme")
        view.choose(query.get(FIELD, ""))
        pn.state.onload(view._address)  # before that, a change of the address is lost
        return view

    def choose(self, name: str) -> None:
        """Show a record; one that is not there becomes the first, and the page says so."""
        first = next(iter(self.records), "")
        if name and name not in self.records:
            self.note = f"There is no record named {name!r}; this is {first!r}."
        self.choice.value = name if name in self.records else first
        if not self.records:
            self.rebuild()

    def __panel__(self) -> Any:
        return self._column

    def rebuild(self) -> None:
        """Build the page for the record that is chosen."""
        self.figures, self.tables, self.buttons, self.questions = {}, {}, {}, []
        parts: list[Any] = [self.choice] if len(self.records) > 1 else []
        if self.note:
            parts.append(_html(f'<p class="failure" role="alert">{escape(self.note)}</p>'))
            self.note = ""
        if self.name_shown:
            try:
                parts += self._sections(self.records[self.name_shown])
            except WorkbenchError as error:
                parts.append(_html(f'<p class="failure" role="alert">{escape(str(error))}</p>'))
            self._address()
        else:
            parts.append(_html(f"<h1>Results</h1><p>{words.NO_RECORDS}</p>"))
        parts.append(_html(words.published_html()))
        self._outbox.set([(self._column, {"objects": parts})])

    def _address(self) -> None:
        """Write into the page's address which record is shown."""
        if self.location is not None and self.name_shown:
            search = f"?{urlencode({FIELD: self.name_shown})}"
            self._outbox.set([(self.location, {"search": search})])

    def _sections(self, path: Path) -> list[Any]:
        record = read_record(path)
        dataset = results.dataset(record)
        final = results.final(dataset)
        self.questions = answerable(final)
        parts: list[Any] = [_html(words.about_html(record, dataset, path.stem))]
        for question in self.questions:
            table = question.answer(dataset, final)
            self.tables[question.name] = table
            pane = FigurePane(label=question.title, svg=True)
            self.figures[question.name] = pane
            button = Download(partial(self._save, question.name), label="Data (CSV)")
            parts += [
                _html(words.question_html(final, question)),
                pane,
                pn.Row(button, margin=0),
                _html(words.details_html(final, question, table)),
            ]
            self.buttons[question.name] = button
        if (measured := words.latency()) is not None and record["sweep"].startswith("depo-n8"):
            self.latency, said = measured
            self.figures[LATENCY] = FigurePane(label=LATENCY_TITLE, svg=True)
            heading = f"<h2>{LATENCY_TITLE}</h2><p>{escape(said)}</p>"
            parts += [_html(heading), self.figures[LATENCY]]
        self.draw()
        return parts

    def draw(self) -> None:
        """Draw every figure in the page's theme."""
        theme: Theme = "dark" if self.dark else "light"
        drawn = {q.name: q.draw(self.tables[q.name], theme) for q in self.questions}
        if LATENCY in self.figures:
            drawn[LATENCY] = latency_against_n(self.latency, theme=theme)
        self._outbox.set(
            [(self.figures[n], {"figure": json.loads(f.to_json())}) for n, f in drawn.items()]
        )

    def csv(self, name: str) -> str:
        """Return the numbers of a question's figure as CSV."""
        return words.csv_text(self.tables[name])

    def _save(self, name: str) -> None:
        button = self.buttons[name]
        file = f"{self.name_shown}-{name.replace('_', '-')}.csv"
        changes = {"filename": file, "content": self.csv(name), "serial": button.serial + 1}
        self._outbox.set([(button, changes)])


def _html(text: str) -> pn.pane.HTML:
    return pn.pane.HTML(
        f'<div class="told">{text}</div>',
        stylesheets=[CSS, RESULTS_CSS],
        sizing_mode="stretch_width",
        margin=0,
    )
