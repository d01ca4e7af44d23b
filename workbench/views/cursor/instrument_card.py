"""One card of an instrument: its figures, what they show and do not show, and their numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import numpy as np
import panel as pn
import plotly.graph_objects as go
import xarray as xr

from workbench.errors import WorkbenchError
from workbench.figures.theme import Theme
from workbench.views.cursor.cursor import Cursor
from workbench.views.cursor.screen import CursorScreen, box, card, heading, html
from workbench.views.cursor.traces import TraceView
from workbench.views.parts.components import Download, FigurePane
from workbench.views.parts.outbox import Changes


@dataclass(frozen=True)
class Plot:
    """One figure of a card.

    Attributes
    ----------
    label : str
        What it shows, for screen readers.
    key : hashable
        All that it depends on beside the traced and the theme: it is drawn anew where that changes.
    make : callable
        Given the theme, returns the figure.
    moving : callable or None
        Given the theme, returns the part of the layout that follows the cursor.
    """

    label: str
    key: Hashable
    make: Callable[[Theme], go.Figure]
    moving: Callable[[Theme], dict[str, Any]] | None = None


@dataclass(frozen=True)
class Instrument:
    """One card of a page.

    Attributes
    ----------
    name : str
        Short, for files.
    title : str
        Heading.
    shows, omits : str
        What it shows in plain words, and what it does not.
    plots : callable
        Given a traced and a cursor, returns its figures; what it raises is told in the card.
    data : callable
        Given the same, returns the numbers behind the figures.
    figures : int
        How many figures there are at most.
    arrangement : str
        Class of ``style.css`` that lays several figures out.
    """

    name: str
    title: str
    shows: str
    omits: str
    plots: Callable[[TraceView, Cursor], Sequence[Plot]]
    data: Callable[[TraceView, Cursor], xr.Dataset]
    figures: int = 1
    arrangement: str = "pair"


class InstrumentCard:
    """The panes of one instrument: made once, filled for every place of the cursor.

    Parameters
    ----------
    instrument : Instrument
        What is shown.
    on_save : callable
        Called when the numbers are asked for.
    """

    def __init__(self, instrument: Instrument, on_save: Callable[[], None]) -> None:
        self.instrument = instrument
        self.panes = [FigurePane(svg=True) for _ in range(instrument.figures)]
        self.button = Download(on_save, label="Data (CSV)", css_classes=["small"])
        self.problem = html("problem")
        self.says = html("says")
        self.says.object = (
            f'<p class="says">{escape(instrument.shows)} '
            f'<span class="omits">{escape(instrument.omits)}</span></p>'
        )

    def layout(self) -> pn.Column:
        """Return the card."""
        several = len(self.panes) > 1
        figures = [box(self.instrument.arrangement, *self.panes)] if several else self.panes
        head = box("bar", heading(self.instrument.title), box("push", self.button))
        return card(None, head, self.says, self.problem, *figures)

    def contents(
        self, screen: CursorScreen, traced: TraceView, cursor: Cursor, theme: Theme
    ) -> Changes:
        """Return what the panes hold; an error is told in place of the figures."""
        try:
            plots = list(self.instrument.plots(traced, cursor))
            drawn: list[dict[str, Any]] = []
            for number, plot in enumerate(plots):
                name = f"{self.instrument.name} {number}"
                key = (traced, plot.key, theme)
                values: dict[str, Any] = {
                    "figure": screen.figure(name, key, partial(plot.make, theme)),
                    "label": plot.label,
                    "visible": True,
                }
                if plot.moving is not None:
                    values["moving"] = plot.moving(theme)
                drawn.append(values)
        except WorkbenchError as error:
            gone: Changes = [(pane, {"visible": False}) for pane in self.panes]
            told = f'<p class="failure" role="alert">{escape(str(error))}</p>'
            return [
                *gone,
                (self.problem, {"object": told, "visible": True}),
                (self.button, {"visible": False}),
            ]
        changes: Changes = list(zip(self.panes, drawn, strict=False))
        changes += [(pane, {"visible": False}) for pane in self.panes[len(drawn) :]]
        return [*changes, (self.problem, {"visible": False}), (self.button, {"visible": True})]


def csv_of(data: xr.Dataset) -> str:
    """Return a dataset as CSV: a row for each value, with the name of its variable.

    What is NaN has no row; coordinates of a single value have a column like the others.
    """
    single = {str(n): c.item() for n, c in data.coords.items() if c.ndim == 0}
    axes = [str(name) for name in data.dims]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*single, *axes, "variable", "value"])
    for name, array in data.data_vars.items():
        labels = {str(d): array[d].values.tolist() for d in array.dims}
        for index in np.ndindex(array.shape):
            value = array.values[index].item()
            if value != value:
                continue
            at = {d: labels[d][i] for d, i in zip(labels, index, strict=True)}
            place = [at.get(axis, "") for axis in axes]
            told = f"{value:.7g}" if isinstance(value, float) else value
            writer.writerow([*single.values(), *place, name, told])
    return text.getvalue()
