"""The results page: recorded sweeps, a figure for each question, and the paper's own numbers.

Everything is drawn from committed records; nothing is trained and torch is not loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import panel as pn
import xarray as xr

from workbench.errors import WorkbenchError
from workbench.figures import latency_against_n
from workbench.figures.lab.questions import question_figure
from workbench.lab import results
from workbench.lab.record import read_record
from workbench.lab.results import bundled
from workbench.lab.results.axes import axes_words, open_axes, value_text
from workbench.lab.results.differences import Family, family
from workbench.lab.results.questions import Question, answers, unanswered_words
from workbench.lab.results.rows import csv_text, differences_csv
from workbench.views.parts.components import Choice, Download, FigurePane, record_html
from workbench.views.parts.records import NamedRecords
from workbench.views.results import words

LATENCY, LATENCY_TITLE = "latency", "What does an answer wait for?"


class Results(NamedRecords):
    """The results page. `records` by name; None takes the bundled ones.

    Attributes
    ----------
    figures, tables, buttons : dict
        Panes and numbers by name of the question.
    axes : dict of str to Choice
        One for each further axis in which the record's runs differ.
    """

    field = "record"
    empty = f"<h1>Results</h1><p>{words.NO_RECORDS}</p>"

    def __init__(self, records: dict[str, Path] | None = None, **values: Any) -> None:
        super().__init__(bundled.records() if records is None else records, "Sweep", 360, **values)
        self.latency = xr.Dataset()
        self.figures: dict[str, FigurePane] = {}
        self.tables: dict[str, xr.Dataset] = {}
        self.buttons: dict[str, Download] = {}
        self.questions: dict[str, Question] = {}
        self.family = Family({}, {})
        self.axes: dict[str, Choice] = {}
        self._wanted: dict[str, str] = {}

    def open(self, page: Any, query: dict[str, str]) -> None:
        """Show what an address names."""
        self.choose(query.pop(self.field, ""), query)

    def choose(self, name: str, axes: Mapping[str, str] | None = None) -> None:
        """Show a record, at `axes`, values of its further axes as text; else at their first."""
        self._wanted = dict(axes or {})
        super().choose(name)
        if self._wanted and self.found:  # the same record as before, at other values
            self.open_record()

    def open_record(self) -> None:
        """Show the record that was chosen, with a choice for each of its further axes."""
        self.axes, wanted_axes = {}, self._wanted
        self._wanted = {}
        try:
            record = read_record(self.found[self.name_shown]) if self.name_shown else {"runs": []}
        except WorkbenchError:
            record = {"runs": []}  # the page says why when it is built
        for name, values in open_axes(record["runs"]).items():
            options = {value_text(value): value for value in values}
            first = next(iter(options))
            wanted = wanted_axes.get(name, first)
            if wanted not in options:
                self.note += f"There is no run with {name} = {wanted}; {first} is shown. "
                wanted = first
            self.axes[name] = Choice(name, options=options, value=options[wanted], width=360)
            self.axes[name].param.watch(lambda event: self.rebuild(), "value")
        self.rebuild()

    @property
    def _at(self) -> dict[str, Any]:
        return {name: choice.value for name, choice in self.axes.items()}

    def choices(self) -> list[Any]:
        """Return the choice of a record and those of its further axes."""
        return [*super().choices(), *self.axes.values()]

    def address(self) -> dict[str, str]:
        """Return which record is shown, and which part of it."""
        at = {name: value_text(value) for name, value in self._at.items()}
        return super().address() and {**super().address(), **at}

    def below(self) -> list[Any]:
        """Return the paper's numbers."""
        return [record_html(words.published_html())]

    def rebuild(self) -> None:
        """Build the page for the record that is chosen."""
        self.figures, self.tables, self.buttons, self.questions = {}, {}, {}, {}
        super().rebuild()

    def sections(self, path: Path) -> list[Any]:
        """Return the panes of a record: what was run, and each question with its answer."""
        record = read_record(path)
        dataset = results.dataset(record, axes=self._at)
        final = results.final(dataset)
        found = answers(dataset, final)
        self.family = family(final)
        about = words.about_html(record, dataset, path.stem, self._at, self.family)
        parts: list[Any] = [record_html(about)]
        if not found:
            parts.append(record_html(f"<p>{escape(unanswered_words(final))}</p>"))
        for question, table in found:
            name = question.name
            self.questions[name], self.tables[name] = question, table
            pane = self.figures[name] = FigurePane(label=question.title, svg=True)
            files = {name: "Data (CSV)"}
            if self.csv(f"{name}-differences"):
                files[f"{name}-differences"] = "Differences (CSV)"
            buttons = {f: Download(partial(self.save, f), label=t) for f, t in files.items()}
            self.buttons |= buttons
            parts += [
                record_html(words.question_html(final, question)),
                pane,
                pn.Row(*buttons.values(), margin=0),
                record_html(words.details_html(question, table, self.family)),
            ]
        if (measured := bundled.latency()) is not None and record["sweep"].startswith("depo-n8"):
            self.latency, said = measured
            self.figures[LATENCY] = FigurePane(label=LATENCY_TITLE, svg=True)
            heading = f"<h2>{LATENCY_TITLE}</h2><p>{escape(said)}</p>"
            parts += [record_html(heading), self.figures[LATENCY]]
        self.draw()
        return parts

    def draw(self) -> None:
        """Draw every figure in the page's theme."""
        drawn = {
            n: question_figure(q.figure, self.tables[n], theme=self.theme)
            for n, q in self.questions.items()
        }
        if LATENCY in self.figures:
            drawn[LATENCY] = latency_against_n(self.latency, theme=self.theme)
        self._outbox.set(
            [(self.figures[n], {"figure": json.loads(f.to_json())}) for n, f in drawn.items()]
        )

    def csv(self, file: str) -> str:
        """Return the numbers of a question as CSV, or its differences, named so; "" without any."""
        name = file.removesuffix("-differences")
        if name == file:
            return csv_text(self.tables[name])
        return differences_csv(self.family, self.questions[name])

    def save(self, file: str) -> None:
        """Let the browser save a file of `csv`."""
        names = (self.name_shown, axes_words(self._at), file.replace("_", "-"))
        stem = "-".join(filter(None, names))
        button = self.buttons[file]
        self._outbox.set([(button, button.saving(f"{stem}.csv", self.csv(file)))])
