"""The results page: recorded sweeps, a figure for each question, and the paper's numbers beside.

Everything is drawn from committed records; nothing is trained and torch is not loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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
from workbench.lab.results.axes import axes_words, open_axes, value_text
from workbench.views.parts.components import (
    CSS,
    RECORDS_CSS,
    Choice,
    Download,
    FigurePane,
    record_html,
)
from workbench.views.parts.outbox import Outbox
from workbench.views.results import words
from workbench.views.results.differences import Family, family
from workbench.views.results.questions import Question, answers, unanswered_words

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
    axes : dict of str to Choice
        One for each further axis in which the record's runs differ.
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
        self.family = Family({}, {})
        self.axes: dict[str, Choice] = {}
        self._wanted: dict[str, str] = {}
        self._outbox = Outbox()
        self._column = pn.Column(css_classes=["results"], stylesheets=[CSS, RECORDS_CSS], margin=0)
        self._column.sizing_mode = "stretch_width"
        self.choice = Choice("Sweep", options={name: name for name in self.records}, width=360)
        self.choice.param.watch(lambda event: setattr(self, "name_shown", event.new), "value")
        self.param.watch(lambda event: self._show(), "name_shown")
        self.param.watch(lambda event: self.draw(), "dark")

    @classmethod
    def in_page(cls, page: Any) -> Results:
        """Return the view that follows the page's theme and address."""
        view = cls(dark=page.dark_theme)
        view.location = pn.state.location
        query = dict(parse_qsl(view.location.search.lstrip("?"))) if view.location else {}
        page.param.watch(lambda event: setattr(view, "dark", event.new), "dark_theme")
        view.choose(query.pop(FIELD, ""), query)
        pn.state.onload(view._address)  # before that, a change of the address is lost
        return view

    def choose(self, name: str, axes: Mapping[str, str] | None = None) -> None:
        """Show a record; one that is not there becomes the first, and the page says so.

        Parameters
        ----------
        name : str
            Of the record; "" takes the first.
        axes : mapping or None
            Values of its further axes as text; what is not named is the first.
        """
        self._wanted = dict(axes or {})
        first = next(iter(self.records), "")
        if name and name not in self.records:
            self.note = f"There is no record named {name!r}; this is {first!r}."
        self.choice.value = name if name in self.records else first
        if not self.records:
            self.rebuild()
        elif self._wanted:  # the same record as before, at other values
            self._show()

    def __panel__(self) -> Any:
        return self._column

    def _show(self) -> None:
        """Show the record that was chosen, with a choice for each of its further axes."""
        self.axes, wanted_axes = {}, self._wanted
        self._wanted = {}
        try:
            record = read_record(self.records[self.name_shown]) if self.name_shown else {"runs": []}
        except WorkbenchError:
            record = {"runs": []}  # which building the page says
        for name, values in open_axes(record["runs"]).items():
            options = {value_text(value): value for value in values}
            first = next(iter(options))
            wanted = wanted_axes.get(name, first)
            if wanted not in options:
                self.note += f"There is no run with {name} = {wanted}; this is {first}. "
                wanted = first
            self.axes[name] = Choice(name, options=options, value=options[wanted], width=360)
            self.axes[name].param.watch(lambda event: self.rebuild(), "value")
        self.rebuild()

    @property
    def _at(self) -> dict[str, Any]:
        return {name: choice.value for name, choice in self.axes.items()}

    def rebuild(self) -> None:
        """Build the page for the record that is chosen."""
        self.figures, self.tables, self.buttons, self.questions = {}, {}, {}, []
        parts: list[Any] = [self.choice] if len(self.records) > 1 else []
        parts += self.axes.values()
        if self.note:
            parts.append(record_html(f'<p class="failure" role="alert">{escape(self.note)}</p>'))
            self.note = ""
        if self.name_shown:
            try:
                parts += self._sections(self.records[self.name_shown])
            except WorkbenchError as error:
                parts.append(
                    record_html(f'<p class="failure" role="alert">{escape(str(error))}</p>')
                )
            self._address()
        else:
            parts.append(record_html(f"<h1>Results</h1><p>{words.NO_RECORDS}</p>"))
        parts.append(record_html(words.published_html()))
        self._outbox.set([(self._column, {"objects": parts})])

    def _address(self) -> None:
        """Write into the page's address which record is shown, and which part of it."""
        if self.location is not None and self.name_shown:
            at = {name: value_text(value) for name, value in self._at.items()}
            search = f"?{urlencode({FIELD: self.name_shown, **at})}"
            self._outbox.set([(self.location, {"search": search})])

    def _sections(self, path: Path) -> list[Any]:
        record = read_record(path)
        dataset = results.dataset(record, axes=self._at)
        final = results.final(dataset)
        found = answers(dataset, final)
        self.questions = [question for question, _ in found]
        self.family = family(final)
        about = words.about_html(record, dataset, path.stem, self._at, self.family)
        parts: list[Any] = [record_html(about)]
        if not found:
            parts.append(record_html(f"<p>{escape(unanswered_words(final))}</p>"))
        for question, table in found:
            self.tables[question.name] = table
            pane = FigurePane(label=question.title, svg=True)
            self.figures[question.name] = pane
            button = Download(partial(self._save, question.name), label="Data (CSV)")
            self.buttons[question.name] = button
            row = [button]
            if self.differences_csv(question.name):
                tested = partial(self._save_differences, question.name)
                more = Download(tested, label="Differences (CSV)")
                self.buttons[f"{question.name}-differences"] = more
                row.append(more)
            parts += [
                record_html(words.question_html(final, question)),
                pane,
                pn.Row(*row, margin=0),
                record_html(words.details_html(question, table, self.family)),
            ]
        if (measured := words.latency()) is not None and record["sweep"].startswith("depo-n8"):
            self.latency, said = measured
            self.figures[LATENCY] = FigurePane(label=LATENCY_TITLE, svg=True)
            heading = f"<h2>{LATENCY_TITLE}</h2><p>{escape(said)}</p>"
            parts += [record_html(heading), self.figures[LATENCY]]
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

    def differences_csv(self, name: str) -> str:
        """Return the differences of a question with their tests as CSV; "" without any."""
        question = next(q for q in self.questions if q.name == name)
        return words.differences_csv(self.family, question)

    def _save(self, name: str) -> None:
        self._hand_out(name, self.csv(name))

    def _save_differences(self, name: str) -> None:
        self._hand_out(f"{name}-differences", self.differences_csv(name))

    def _hand_out(self, name: str, content: str) -> None:
        button = self.buttons[name]
        names = (self.name_shown, axes_words(self._at), name.replace("_", "-"))
        file = f"{'-'.join(filter(None, names))}.csv"
        changes = {"filename": file, "content": content, "serial": button.serial + 1}
        self._outbox.set([(button, changes)])
