"""Small browser components: a figure, the transport with the keyboard, the theme's cookie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import param
import plotly.graph_objects as go
from panel.custom import JSComponent

HERE = Path(__file__).parent
CSS = (HERE / "style.css").read_text(encoding="utf-8")


class FigurePane(JSComponent):
    """A Plotly figure that is redrawn in place; needs ``pn.extension("plotly")``."""

    figure = param.Dict(default={}, doc="The figure, as Plotly's JSON.")
    label = param.String("", doc="What the figure shows, for screen readers.")

    _esm = HERE / "figure_pane.js"

    def __init__(self, on_click: Callable[[int, Any], None] | None = None, **values: Any) -> None:
        super().__init__(sizing_mode="stretch_width", margin=0, **values)
        self._on_click = on_click

    def draw(self, figure: go.Figure) -> None:
        """Show another figure; nothing is sent where it is the same."""
        shown = figure.to_plotly_json()
        if shown != self.figure:
            self.figure = shown

    def _handle_msg(self, data: dict[str, Any]) -> None:
        if self._on_click is not None:
            self._on_click(int(data["curve"]), data["custom"])


class Transport(JSComponent):
    """First, back, play, step, last, speed, and the same on the keyboard."""

    index = param.Integer(0, doc="Number of the stop shown.")
    count = param.Integer(1, doc="Number of stops.")
    playing = param.Boolean(False, doc="Whether steps follow one another.")
    speed = param.Number(1.0, bounds=(0.1, 10), doc="Steps a second while playing.")

    _esm = HERE / "transport.js"
    _stylesheets = [CSS]

    def __init__(self, on_action: Callable[[str], None], **values: Any) -> None:
        super().__init__(margin=0, sizing_mode="stretch_width", **values)
        self._on_action = on_action

    def _handle_msg(self, data: dict[str, Any]) -> None:
        self._on_action(str(data["action"]))


class ThemeCookie(JSComponent):
    """Keeps the choice of light or dark in a cookie; draws nothing."""

    dark = param.Boolean(False, doc="The page's theme.")
    cookie = param.String("", doc="Name of the cookie.")

    _esm = HERE / "theme_cookie.js"
