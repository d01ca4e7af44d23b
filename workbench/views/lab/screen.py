"""The lab's panes: made once, and what belongs in each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any

import panel as pn

from workbench.lab.compare import Differences, differences
from workbench.lab.runs import Run
from workbench.lab.watch import Seen
from workbench.views.lab.figures import Curves
from workbench.views.lab.parts import LabForm, RunTable
from workbench.views.parts.components import CSS, FORMS_CSS, Download, FigurePane
from workbench.views.parts.outbox import Changes

MOST_COMPARED = 12
"""Runs whose configurations stand side by side; the table would be wider than any page."""
EMPTY = """
<div class="empty"><h2>No runs yet</h2>
<ol>
  <li><b>Choose what to compare</b> in the form: a task, how hard it is, and the arms. The first
  proposal trains the same small model with N = 1, 2 and 4 sleep passes, two seeds each.</li>
  <li><b>Press Start.</b> Each run becomes a process of its own, which goes on when you leave this
  page or close the browser.</li>
  <li><b>Watch here</b> how loss and accuracy move, and how accuracy against N fills in.</li>
</ol></div>
"""
FIGURES = {
    "learning": "Loss and accuracy while training",
    "against_n": "Accuracy against N",
}
NOTHING = {
    False: "Select runs in the table to see their curves.",
    True: "The selected runs have told nothing yet: curves begin with the first logged step.",
}


class LabScreen:
    """Every pane of the lab.

    Parameters
    ----------
    form : LabForm
        The form that starts an experiment.
    told : callable
        Told what the table asks for.
    save : callable
        Told which data to save.
    """

    def __init__(
        self,
        form: LabForm,
        *,
        told: Callable[[dict[str, Any]], None],
        save: Callable[[str], None],
    ) -> None:
        self.form = form
        self.table = RunTable(told)
        self.title = _html('<h1 class="unseen">Lab</h1>', "title-pane")
        self.empty = _html(EMPTY)
        self.hint = _html("")
        self.figures = {name: FigurePane(label=label, svg=True) for name, label in FIGURES.items()}
        self.downloads = {
            name: Download(partial(save, name), label="Data (CSV)") for name in FIGURES
        }
        self.differences = _html("")
        self._compared: tuple[Any, ...] | None = None
        self._runs = _card("Runs", self.table)
        self._figures = {
            name: _card(None, _bar(label, self.downloads[name]), self.figures[name])
            for name, label in FIGURES.items()
        }
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
                *self._figures.values(),
                self._comparison,
            ),
        )

    def runs(self, seen: Seen, table: dict[str, Any]) -> Changes:
        """Return the runs, and what is shown in their place where there are none."""
        some = bool(seen.runs) or bool(seen.trash)
        return [
            (self.empty, _shown(not some) | {"object": _problem(seen) or EMPTY}),
            (self._runs, _shown(some, "panel")),
            (self.table, table),
        ]

    def drawings(self, seen: Seen, chosen: list[Run], curves: Curves) -> Changes:
        """Return the figures of the selected runs, and what differs between them."""
        drawn = curves.figures
        hint = curves.note or ("" if drawn or not seen.runs else NOTHING[bool(chosen)])
        words = f'<p class="note" role="status">{escape(hint)}</p>' if hint else ""
        changes: Changes = [(self.hint, {"object": words} | _shown(bool(hint)))]
        for name, pane in self.figures.items():
            changes.append((self._figures[name], _shown(name in drawn, "panel")))
            if name in drawn:
                changes.append((pane, {"figure": drawn[name]}))
        return changes + self._compare(chosen)

    def saved(self, which: str, file: tuple[str, str]) -> Changes:
        """Return what makes the browser save a file."""
        button = self.downloads[which]
        name, content = file
        return [(button, {"filename": name, "content": content, "serial": button.serial + 1})]

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
    """Return what differs as a table, a run a column."""
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
    heads = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in found.runs)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{escape(value)}</td>" for value in row)
        + "</tr>"
        for name, row in found.rows.items()
    )
    return (
        '<div class="differences" tabindex="0" role="region" aria-label="Differences, scrollable">'
        f'<table><thead><tr><th scope="col">setting</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{words}"
    )


def _problem(seen: Seen) -> str:
    if not seen.problem:
        return ""
    return f'<div class="failure" role="alert"><p>{escape(seen.problem)}</p></div>'


def _shown(whether: bool, name: str = "") -> dict[str, list[str]]:
    """Return the classes of a pane that is shown or not; how it is laid out stands in its class."""
    return {"css_classes": [n for n in (name, "" if whether else "gone") if n]}


def _html(text: str, name: str = "") -> pn.pane.HTML:
    return pn.pane.HTML(
        text,
        css_classes=[name] if name else [],
        stylesheets=[CSS, FORMS_CSS],
        sizing_mode="stretch_width",
        margin=0,
    )


def _box(name: str, *objects: Any) -> pn.Column:
    """Return a column that ``forms.css`` and ``style.css`` lay out by its class."""
    return pn.Column(
        *objects,
        css_classes=[name],
        stylesheets=[CSS, FORMS_CSS],
        sizing_mode="stretch_width",
        margin=0,
    )


def _bar(title: str, button: Download) -> pn.Column:
    return _box("bar", _html(f"<h2>{escape(title)}</h2>"), button)


def _card(title: str | None, *objects: Any) -> pn.Column:
    heading = [_html(f"<h2>{escape(title)}</h2>")] if title else []
    return _box("panel", *heading, *objects)
