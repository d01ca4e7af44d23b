"""What the pages with a cursor have in common on the screen: widgets, transport, timeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Hashable, Mapping
from html import escape
from typing import Any, ClassVar, Protocol

import panel as pn
import panel_material_ui as pmui
import param
import plotly.graph_objects as go
import xarray as xr

from workbench.figures import all_heads, one_head, timeline, timeline_place
from workbench.figures.theme import Theme
from workbench.theatre.problem import EXAMPLES, MOST_PASSES
from workbench.views.cursor.cursor import QUANTITIES, Cursor
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


class Handlers(Protocol):
    """The view that a screen belongs to: its title, its choices, and what its widgets call."""

    title: ClassVar[str]

    def names(self) -> list[str]:
        """Return the checkpoints and traces to choose from."""

    def choose(self, name: str, value: Any) -> None:
        """Set a parameter of the cursor."""

    def act(self, action: str) -> None:
        """Do a transport action."""

    def jump(self, window: int, sleep_pass: int) -> None:
        """Go to the boundary clicked in the timeline."""


class CursorScreen:
    """Widgets for every parameter of a cursor, the transport, the timeline, and where we are.

    `bound` holds the widget of each parameter; a subclass adds its own, and gives `layout`.
    """

    def __init__(self, view: Handlers) -> None:
        self.checkpoint = Choice("Checkpoint", options={name: name for name in view.names()})
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
        shared = ("checkpoint", "seed", "example", "passes", "quantity", "layer", "gdn_head")
        self.bound: dict[str, Any] = {name: getattr(self, name) for name in shared}
        self.transport = Transport(view.act)
        self.timeline = FigurePane(
            lambda curve, custom: view.jump(int(custom[0]), int(custom[1])),
            label="Timeline of the sleep",
        )
        self.heads = FigurePane(
            lambda curve, custom: view.choose("gdn_head", curve), label="Fast weights, all heads"
        )
        self.head = FigurePane()
        self.boundary = Where()
        self.note, self.title = html("note"), page_title(view.title)
        self._choose = view.choose
        self._asked: dict[str, Any] = {}
        self._made: dict[str, tuple[Hashable, dict[str, Any]]] = {}
        self.watch(*self.bound)

    def layout(self) -> pn.Column:
        """Return everything, laid out."""
        raise NotImplementedError

    def watch(self, *names: str) -> None:
        """Pass on what the user chooses in the widgets of these parameters."""
        for name in names:
            widget = self.bound[name]
            # a slider counts when it is released, not at every N that it passes
            watched = "value_throttled" if widget is self.passes else "value"
            widget.param.watch(self._chosen(name), watched)

    def _chosen(self, name: str) -> Callable[[Any], None]:
        def chosen(event: Any) -> None:
            self._asked[name] = event.new
            self._choose(name, event.new)

        return chosen

    def follow(self, values: Mapping[str, Any], pending: Container[str]) -> None:
        """Set the widgets to the cursor's `values`, except those the user has changed since.

        The values date from when the other panes were filled, as another thread may be moving the
        cursor by now; None means there is nothing to show. `pending` are names with a newer choice.
        A widget that asked for the cursor's value stays as it is: a slider may already have moved
        on, and the message that says so may still be on its way.
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

    def place(
        self,
        cursor: Cursor,
        words: tuple[str, str],
        change: xr.DataArray,
        *,
        theme: Theme,
        source: Hashable,
        told: str = "",
    ) -> Changes:
        """Return where the cursor is: what the widgets offer, its boundary, and the timeline.

        `words` are the boundary's name and a sentence, `told` is for screen readers only; `change`
        is drawn over ``(window, sleep_pass)``. `follow` sets the widgets' values.
        """
        extent = cursor.extent
        layers = {str(layer): layer for layer in extent.layers}
        last = extent.examples - 1
        stops: dict[str, Any] = {
            "passes": extent.passes,
            "boundary": cursor.boundary,
            "awake": extent.awake,
            "theme": theme,
        }
        drawn = self.figure("timeline", (source, theme), lambda: timeline(change, **stops))
        title, sentence = words
        return [
            (self.layer, {"options": layers, "visible": len(layers) > 1}),
            (self.gdn_head, {"options": {str(head): head for head in range(extent.heads)}}),
            (self.example, {"label": f"Example (0-{last})", "end": last}),
            (self.transport, {"index": cursor.index, "count": len(extent.boundaries)}),
            (self.boundary, {"title": title, "sentence": sentence, "told": told, "busy": ""}),
            (self.timeline, {"figure": drawn, "moving": timeline_place(**stops)}),
        ]

    def matrices(
        self, cursor: Cursor, states: xr.DataArray, *, limit: float, theme: Theme, source: Hashable
    ) -> Changes:
        """Return S of every head, and of one.

        `states` is S of the cursor's window and layer ``(sleep_pass, gdn_head, key, value)``,
        `limit` the end of the colour scale. With the cursor, `source` decides whether a figure
        is still valid.
        """
        shared: dict[str, Any] = {
            "sleep_pass": cursor.sleep_pass,
            "quantity": cursor.quantity,
            "limit": limit,
            "awake": cursor.extent.awake[cursor.window],
            "theme": theme,
        }
        head = cursor.gdn_head
        key = (source, cursor.boundary, cursor.layer, head, cursor.quantity, theme)
        every = self.figure("heads", key, lambda: all_heads(states, selected=head, **shared))
        one = self.figure("head", key, lambda: one_head(states, gdn_head=head, **shared))
        label = f"Head {head}, {QUANTITIES[cursor.quantity]}"
        return [(self.heads, {"figure": every}), (self.head, {"figure": one, "label": label})]

    def figure(self, name: str, key: Hashable, make: Callable[[], go.Figure]) -> dict[str, Any]:
        """Return a figure as JSON, made again only if `key` has changed."""
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
    """Return a page's title for screen readers; sighted readers see its name in the header."""
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
