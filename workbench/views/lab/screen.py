"""The lab's panes: made once, and what belongs in each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import panel as pn
import param

from workbench.lab.compare import Differences, differences
from workbench.lab.runs import Run
from workbench.lab.watch import Seen
from workbench.views.lab.asleep import Asleep
from workbench.views.lab.figures import Curves
from workbench.views.parts.components import (
    CSS,
    FORMS_JS,
    Choice,
    Download,
    FigurePane,
    Messenger,
)
from workbench.views.parts.html import failure_html, grid
from workbench.views.parts.outbox import Changes

HERE = Path(__file__).parent
MOST_COMPARED = 12
"""Runs whose configurations are compared; with more the table is wider than any page."""
EMPTY = """
<div class="empty"><h2>No runs yet</h2>
<ol>
  <li><b>Choose a question</b> in the form. An experiment trains small models that differ in one
  thing, its arms, such as N, the number of passes of a sleep. Several seeds of each say how far
  chance alone sets them apart.</li>
  <li><b>Read the plan</b>: what is trained, how long it takes, what it can show and what not.</li>
  <li><b>Press Start.</b> Each run becomes a separate process, which continues when you leave this
  page or close the browser. Its curves appear here within seconds, its answer at the end.</li>
</ol></div>
"""
FIGURES = {"learning": "Loss and accuracy while training", "against_n": "Accuracy against N"}
LOOK: dict[str, Any] = {"stylesheets": [CSS], "sizing_mode": "stretch_width", "margin": 0}
SMOOTHING = {"none": 0.0, "some": 0.6, "much": 0.9}
"""Weights of earlier losses in the mean that is drawn."""
NOTHING = {
    False: "Select runs in the table to see their curves.",
    True: "The selected runs have logged nothing yet: curves begin with the first logged step.",
}


class LabForm(Messenger):
    """A form whose fields come from a specification."""

    spec = param.Dict(default={}, doc="Tasks, starting points, settings and arms to choose from.")
    values = param.Dict(default={}, doc="What the fields hold when they are filled again.")
    serial = param.Integer(0, doc="A change builds the form again and fills it.")
    problems = param.Dict(default={}, doc="What is wrong, by field.")
    refused = param.Integer(0, doc="A change moves the focus to the first field in trouble.")
    presets = param.List(default=[], doc="Experiments to start from, with the time each takes.")
    preset = param.String("", doc="Which of them the fields are now; empty for none.")
    preview = param.String("", doc="What is being counted, or why nothing was started.")
    plan = param.List(default=[], doc="Label and sentence: what is trained, how long, what for.")
    busy = param.Boolean(False, doc="Whether that is being counted.")
    starting = param.Boolean(False, doc="Whether runs are being queued.")

    _esm = FORMS_JS + (HERE / "lab_form.js").read_text(encoding="utf-8")


class RunTable(Messenger):
    """Runs with filters, actions on those selected, and the trash."""

    rows = param.List(default=[], doc="The rows shown, as `workbench.views.lab.rows.row` returns.")
    states = param.List(default=[], doc="(name, state) of every selected run, shown or not.")
    choices = param.Dict(
        default={"turn": 0, "names": [], "text": "", "state": "", "sweep": ""},
        doc="Selected names and filters, as of the browser's `turn`.",
    )
    state_options = param.List(default=[], doc="States to filter by.")
    sweep_options = param.List(default=[], doc="Experiments to filter by.")
    counts = param.String("", doc="How many runs are in each state.")
    total = param.Integer(0, doc="How many runs there are, shown or not.")
    said = param.String("", doc="What came of the last action.")
    done = param.String("", doc="Number of that action.")
    waiting = param.Boolean(False, doc="Whether runs wait and no queue is working.")
    trash = param.List(default=[], doc="Names of deleted runs.")
    now = param.Number(0.0, doc="The server's clock, for ages.")

    _esm = FORMS_JS + (HERE / "run_table.js").read_text(encoding="utf-8")


class LabScreen:
    """Every pane of the lab; `on_message` takes what the table asks for, `save` which data."""

    def __init__(
        self,
        form: LabForm,
        asleep: Asleep,
        *,
        on_message: Callable[[dict[str, Any]], None],
        save: Callable[[str], None],
    ) -> None:
        self.form, self.asleep = form, asleep
        self._asleep = _card("Watch a run asleep", asleep.choice, asleep.stage)
        self.table = RunTable(on_message)
        self.title = _html('<h1 class="unseen">Experiment</h1>', "title-pane")
        self.empty = _html(EMPTY)
        self.hint = _html("")
        self.conclusion = _html("")
        self.smoothing = Choice("Smoothing", options=SMOOTHING, value=0.0, width=250)
        self.figures = {name: FigurePane(label=label, svg=True) for name, label in FIGURES.items()}
        self.downloads = {name: _download(partial(save, name)) for name in FIGURES}
        self.differences = _html("")
        self._compared: tuple[Any, ...] | None = None
        self._runs = _card("Runs", self.table)
        self._figures = {
            name: _card(None, _bar(label, *self._beside(name)), self.figures[name])
            for name, label in FIGURES.items()
        }
        self._shows = _card("What these runs show", self.conclusion)
        self._comparison = _card("What differs in their configurations", self.differences)

    def layout(self) -> pn.Column:
        """Return everything, laid out."""
        return _box(
            "lab",
            _box("left", self.title, _card("Start an experiment", self.form)),
            _box(
                "right",
                self.empty,
                self._runs,
                self.hint,
                self._shows,
                *self._figures.values(),
                self._asleep,
                self._comparison,
            ),
        )

    def runs(self, seen: Seen, table: dict[str, Any]) -> Changes:
        """Return the runs, or what is shown in their place."""
        some = bool(seen.runs) or bool(seen.trash)  # what is deleted can be restored
        return [
            (
                self.empty,
                _shown(not seen.runs)
                | {"object": failure_html(seen.problem) if seen.problem else EMPTY},
            ),
            (self._runs, _shown(some, "panel")),
            (self.table, table),
        ]

    def drawings(self, seen: Seen, chosen: list[Run], curves: Curves) -> Changes:
        """Return the figures of the selected runs, and what differs between them."""
        drawn = curves.figures
        hint = curves.note or ("" if drawn or not seen.runs else NOTHING[bool(chosen)])
        words = f'<p class="note" role="status">{escape(hint)}</p>' if hint else ""
        says = "".join(f"<p>{escape(words)}</p>" for words in curves.conclusion)
        changes: Changes = [
            (self.hint, {"object": words} | _shown(bool(hint))),
            (self.conclusion, {"object": f'<div class="shows" role="status">{says}</div>'}),
            (self._shows, _shown(bool(says), "panel")),
        ]
        for name, pane in self.figures.items():
            changes.append((self._figures[name], _shown(name in drawn, "panel")))
            if name in drawn:
                changes.append((pane, {"figure": drawn[name]}))
        finished = any(run.state == "finished" for run in chosen)
        changes += self.asleep.options(chosen)
        changes.append((self._asleep, _shown(finished, "panel")))
        return changes + self._compare(chosen)

    def _beside(self, name: str) -> list[Any]:
        """Return what stands next to the title of a figure."""
        return [*([self.smoothing] if name == "learning" else []), self.downloads[name]]

    def _compare(self, chosen: list[Run]) -> Changes:
        key = tuple((run.name, run.labels.get("identity")) for run in chosen)
        if key == self._compared:
            return []
        self._compared = key
        if len(chosen) < 2:
            return [(self._comparison, _shown(False, "panel"))]
        found = differences(run.folder for run in chosen[:MOST_COMPARED])
        text = differences_html(found, len(chosen))
        return [(self.differences, {"object": text}), (self._comparison, _shown(True, "panel"))]


def differences_html(found: Differences, chosen: int) -> str:
    """Return what differs as a table, one column for each run."""
    notes = []
    if chosen > MOST_COMPARED:
        notes.append(f"The first {MOST_COMPARED} of {chosen} selected runs are compared.")
    if found.unreadable:
        notes.append(f"Cannot be read: {', '.join(found.unreadable)}.")
    same = f"{found.same} setting{' is' if found.same == 1 else 's are'} the same in all of them."
    notes.append(same if found.rows else f"Nothing: {same}")
    words = f'<p class="note">{escape(" ".join(notes))}</p>'
    if not found.rows:
        return words
    rows = [[name, *row] for name, row in found.rows.items()]
    return grid(["setting", *found.runs], rows, "Differences, scrollable") + words


def _shown(whether: bool, name: str = "") -> dict[str, list[str]]:
    """Return the classes of a pane that is shown or not, with the one that lays it out."""
    return {"css_classes": [n for n in (name, "" if whether else "gone") if n]}


def _download(act: Callable[[], None]) -> Download:
    return Download(lambda pressed: act(), label="Data (CSV)")


def _html(text: str, name: str = "") -> pn.pane.HTML:
    return pn.pane.HTML(text, css_classes=[name] if name else [], **LOOK)


def _box(name: str, *objects: Any) -> pn.Column:
    """Return a column that ``panes.css`` lays out by its class."""
    return pn.Column(*objects, css_classes=[name], **LOOK)


def _bar(title: str, *objects: Any) -> pn.Column:
    return _box("bar", _html(f"<h2>{escape(title)}</h2>"), *objects)


def _card(title: str | None, *objects: Any) -> pn.Column:
    heading = [_html(f"<h2>{escape(title)}</h2>")] if title else []
    return _box("panel", *heading, *objects)
