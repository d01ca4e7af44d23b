"""What the pages with a cursor have in common on the screen: widgets, transport, timeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Hashable, Mapping
from html import escape
from typing import Any

import panel as pn
import panel_material_ui as pmui
import param
import plotly.graph_objects as go
import xarray as xr

from workbench.figures import all_heads, one_head, timeline, timeline_place
from workbench.figures.theme import Theme
from workbench.views.cursor.cursor import (
    EXAMPLES,
    MOST_PASSES,
    QUANTITIES,
    BoundaryIndex,
    Cursor,
    Extent,
)
from workbench.views.parts.components import CSS, Choice, FigurePane, Number, Transport, Where
from workbench.views.parts.outbox import Changes

QUIET_TOGGLE = {
    "& .MuiToggleButton-root": {
        "textTransform": "none",
        "whiteSpace": "nowrap",
        "py": "5px",
        "px": "9px",
    }
}

Choose = Callable[[str, Any], None]
"""Told a parameter of the cursor, and the value that the user chose."""


class CursorScreen:
    """Widgets for every parameter of a cursor, the transport, the timeline, and where we are.

    Parameters
    ----------
    names : list of str
        Checkpoints, and whatever else there is, to choose from.
    title : str
        Title of the page, for screen readers.
    choose : callable
        Told a parameter of the cursor and the value that the user chose.
    act : callable
        Told a transport action.
    jump : callable
        Told window and pass clicked in the timeline.

    Attributes
    ----------
    bound : dict of str to object
        The widget of each parameter of the cursor.
    """

    def __init__(
        self,
        names: list[str],
        *,
        title: str,
        choose: Choose,
        act: Callable[[str], None],
        jump: Callable[[int, int], None],
    ) -> None:
        self.checkpoint = Choice("Checkpoint", options={name: name for name in names})
        self.seed = Number("Seed", end=2**32 - 1)
        self.example = Number(f"Example (0-{EXAMPLES - 1})", end=EXAMPLES - 1)
        self.passes = pmui.IntSlider(
            label="N, sleep passes",
            start=1,
            end=MOST_PASSES,
            step=1,
            marks=True,
            sizing_mode="stretch_width",
            margin=(0, 10),
        )
        self.quantity = pmui.RadioButtonGroup(
            label="Show",
            options={"S": "state", "change: pass": "change", "change: sleep": "sleep_change"},
            size="small",
            color="primary",
            margin=0,
            stylesheets=[".MuiFormLabel-root { display: none; }"],
            sx=QUIET_TOGGLE,
        )
        self.layer = Choice("Layer", width=90)
        self.gdn_head = Choice("Head", width=90)
        self.bound: dict[str, Any] = {
            "checkpoint": self.checkpoint,
            "seed": self.seed,
            "example": self.example,
            "passes": self.passes,
            "quantity": self.quantity,
            "layer": self.layer,
            "gdn_head": self.gdn_head,
        }
        self.transport = Transport(act)
        self.timeline = FigurePane(
            lambda curve, custom: jump(int(custom[0]), int(custom[1])),
            label="Timeline of the sleep",
        )
        self.heads = FigurePane(
            lambda curve, custom: choose("gdn_head", curve), label="Fast weights, all heads"
        )
        self.head = FigurePane()
        self.boundary = Where()
        self.note, self.title = html("note"), page_title(title)
        self._choose = choose
        self._asked: dict[str, Any] = {}
        self._made: dict[str, tuple[Hashable, dict[str, Any]]] = {}
        self.watch(*self.bound)

    def layout(self) -> pn.Column:
        """Return everything, laid out."""
        raise NotImplementedError

    def watch(self, *names: str) -> None:
        """Tell what the user chooses in the widgets of these parameters."""
        for name in names:
            widget = self.bound[name]
            # a slider is followed when it is let go, not at every N that it passes
            watched = "value_throttled" if widget is self.passes else "value"
            widget.param.watch(self._chosen(name), watched)

    def _chosen(self, name: str) -> Callable[[Any], None]:
        def told(event: Any) -> None:
            self._asked[name] = event.new
            self._choose(name, event.new)

        return told

    def follow(self, values: Mapping[str, Any], pending: Container[str]) -> None:
        """Set the widgets to the cursor, but for those that the user has moved on since.

        A widget that asked for the cursor's value is left as it is: a slider may already stand
        further on, and the message that says so may still be on its way.

        Parameters
        ----------
        values : mapping
            The cursor's values by name, as they were when the other panes were filled: by now
            another thread may be moving it. What is None has no value to be shown.
        pending : container of str
            Names of which a newer choice has been made.
        """
        for name, value in values.items():
            if value is None or name in pending or value == self._asked.get(name):
                continue
            self._asked[name] = value
            widget = self.bound[name]
            if widget is self.passes:  # else choosing its last value again would be no change
                with param.edit_constant(widget):
                    widget.param.update(value=value, value_throttled=value)
            elif widget.value != value:
                widget.value = value

    def controls(self, extent: Extent, boundary: BoundaryIndex) -> Changes:
        """Return what the widgets offer, but for what `follow` sets."""
        layers = {str(layer): layer for layer in extent.layers}
        return [
            (self.layer, {"options": layers, "visible": len(layers) > 1}),
            (self.gdn_head, {"options": {str(head): head for head in range(extent.heads)}}),
            (
                self.example,
                {"label": f"Example (0-{extent.examples - 1})", "end": extent.examples - 1},
            ),
            (
                self.transport,
                {"index": extent.boundaries.index(boundary), "count": len(extent.boundaries)},
            ),
        ]

    def matrices(
        self,
        cursor: Cursor,
        states: xr.DataArray,
        *,
        limit: float,
        awake: bool,
        theme: Theme,
        source: Hashable,
    ) -> Changes:
        """Return S of every head, and of one.

        Parameters
        ----------
        cursor : Cursor
            Where we are.
        states : DataArray
            S of the cursor's window and layer ``(sleep_pass, gdn_head, key, value)``.
        limit : float
            End of the colour scale.
        awake : bool
            The window is read awake.
        theme : {"light", "dark"}
            Ground of the figures.
        source : hashable
            What the states are of: with the cursor it says whether a figure is still right.
        """
        shared: dict[str, Any] = {
            "sleep_pass": cursor.sleep_pass,
            "quantity": cursor.quantity,
            "limit": limit,
            "awake": awake,
            "theme": theme,
        }
        label = f"Head {cursor.gdn_head}, {QUANTITIES[cursor.quantity]}"
        key = (source, cursor.boundary, cursor.layer, cursor.gdn_head, cursor.quantity, theme)

        def every() -> go.Figure:
            return all_heads(states, selected=cursor.gdn_head, **shared)

        def one() -> go.Figure:
            return one_head(states, gdn_head=cursor.gdn_head, **shared)

        return [
            (self.heads, {"figure": self.figure("heads", key, every)}),
            (self.head, {"figure": self.figure("head", key, one), "label": label}),
        ]

    def strip(
        self,
        change: xr.DataArray,
        *,
        passes: tuple[int, ...],
        awake: tuple[bool, ...],
        boundary: BoundaryIndex,
        theme: Theme,
        source: Hashable,
    ) -> Changes:
        """Return the timeline; where the cursor stands goes to the browser by itself."""
        stops: dict[str, Any] = {
            "passes": passes,
            "boundary": boundary,
            "awake": awake,
            "theme": theme,
        }
        drawn = self.figure("timeline", (source, theme), lambda: timeline(change, **stops))
        return [(self.timeline, {"figure": drawn, "moving": timeline_place(**stops)})]

    def figure(self, name: str, key: Hashable, make: Callable[[], go.Figure]) -> dict[str, Any]:
        """Return a figure as JSON, made anew only if `key` differs from the last one's."""
        if name not in self._made or self._made[name][0] != key:
            # plain values, which can be compared: arrays cannot
            self._made[name] = (key, json.loads(make().to_json()))
        return self._made[name][1]


def html(name: str) -> pn.pane.HTML:
    """Return an empty pane for HTML, which ``style.css`` knows by its class."""
    return pn.pane.HTML(
        "", css_classes=[f"{name}-pane"], stylesheets=[CSS], sizing_mode="stretch_width", margin=0
    )


def page_title(text: str) -> pn.pane.HTML:
    """Return the title of a page, for screen readers alone: the page's name is in its header."""
    pane = html("title")
    pane.object = f'<h1 class="unseen">{escape(text)}</h1>'
    return pane


def heading(text: str) -> pn.pane.HTML:
    """Return the title of a card."""
    return pn.pane.HTML(f"<h2>{escape(text)}</h2>", stylesheets=[CSS], margin=0)


def box(name: str, *objects: Any) -> pn.Column:
    """Return a column that ``style.css`` lays out by its class, or several."""
    return pn.Column(
        *objects, css_classes=name.split(), stylesheets=[CSS], sizing_mode="stretch_width", margin=0
    )


def card(title: str | None, *objects: Any) -> pn.Column:
    """Return a framed column, with a title if there is one."""
    return box("panel", *([heading(title)] if title else []), *objects)
