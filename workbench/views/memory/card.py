"""One card of an instrument: its figures, what they show and do not show, and their numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import panel as pn
import plotly.graph_objects as go
import xarray as xr

from workbench.errors import WorkbenchError
from workbench.figures.theme import Theme
from workbench.views.cursor.cursor import Cursor
from workbench.views.cursor.screen import CursorScreen, box, card, heading, html
from workbench.views.cursor.traces import TraceView
from workbench.views.parts.components import Download, FigurePane
from workbench.views.parts.html import failure_html
from workbench.views.parts.outbox import Changes


@dataclass(frozen=True)
class Plot:
    """One figure of a card; `label` names it for screen readers.

    It is drawn again when the trace, the theme or `key` changes. `make` and `moving` are called
    with the `theme`: they return the figure, and the part of its layout that follows the cursor.
    """

    label: str
    key: Hashable
    make: Callable[..., go.Figure]
    moving: Callable[..., dict[str, Any]] | None = None


@dataclass(frozen=True)
class Instrument:
    """One card of the page: `shows` and `omits` say in plain words what it does and does not show.

    `plots` and `data` take a trace and a cursor, and return the figures and the numbers behind
    them; a WorkbenchError from `plots` appears in the card. `figures` is the largest number of
    figures, and `arrangement` the class of ``style.css`` that lays out several. `name` is short,
    for files.
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
    """The panes of one instrument: made once, and filled for each position of the cursor."""

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
        """Return what the panes hold; an error appears in place of the figures."""
        changes: Changes = []
        failure = ""
        try:
            for number, plot in enumerate(self.instrument.plots(traced, cursor)):
                name = f"{self.instrument.name} {number}"
                make = partial(plot.make, theme=theme)
                values: dict[str, Any] = {
                    "figure": screen.figure(name, (traced, plot.key, theme), make),
                    "label": plot.label,
                    "visible": True,
                }
                if plot.moving is not None:
                    values["moving"] = plot.moving(theme=theme)
                changes.append((self.panes[number], values))
        except WorkbenchError as error:
            changes = []
            failure = failure_html(error)
        changes += [(pane, {"visible": False}) for pane in self.panes[len(changes) :]]
        problem = {"object": failure, "visible": bool(failure)}
        return [*changes, (self.problem, problem), (self.button, {"visible": not failure})]
