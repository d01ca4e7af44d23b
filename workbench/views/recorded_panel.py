"""The bundled measurements of one checkpoint, below what a page shows of a single example."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import panel as pn

from workbench.figures.theme import Theme
from workbench.lab.measured import read_measurement
from workbench.views.components import CSS, Choice
from workbench.views.measured_view import MeasurementView
from workbench.views.measured_words import measurements
from workbench.views.outbox import Outbox
from workbench.views.results import RESULTS_CSS, told_html


class RecordedPanel:
    """What was measured over many examples and is bundled; follows the page's checkpoint.

    Parameters
    ----------
    kinds : tuple of str
        Kinds of measurements.
    outbox : Outbox
        Of the session.
    """

    def __init__(self, kinds: tuple[str, ...], outbox: Outbox) -> None:
        self._kinds, self._outbox = kinds, outbox
        self._view = MeasurementView(outbox)
        self._theme: Theme = "light"
        self.checkpoint: str | None = None
        self.found: dict[str, Path] = {}
        self.choice = Choice("Recorded measurement", width=360)
        self.choice.param.watch(lambda event: self._show(), "value")
        self.head = told_html("")
        self.shown = pn.Column(stylesheets=[CSS, RESULTS_CSS], margin=0)
        self.shown.sizing_mode = "stretch_width"
        choice = pn.Column(self.choice, css_classes=["recorded"], stylesheets=[CSS], margin=0)
        self.column = pn.Column(
            self.head, choice, self.shown, sizing_mode="stretch_width", margin=0
        )

    def follow(self, checkpoint: str, theme: Theme) -> None:
        """Show what is recorded of a checkpoint, in a theme."""
        if theme != self._theme:
            self._theme = theme
            self._view.draw(theme)
        if checkpoint == self.checkpoint:
            return
        self.checkpoint = checkpoint
        self.found = {
            name: path
            for kind in self._kinds
            for name, path in measurements(kind).items()
            if read_measurement(path)[0].attrs["checkpoint"] == checkpoint
        }
        title = "<h2>Recorded over many examples</h2>"
        if not self.found:
            title += f"<p>Nothing is recorded for {escape(checkpoint)} yet; measure it below.</p>"
        names = {name: name for name in self.found}
        first = next(iter(names), None)
        changes = {"options": names, "value": first, "visible": len(names) > 1}
        self._outbox.set([(self.head, {"object": title}), (self.choice, changes)])
        if first is None:
            self._outbox.set([(self.shown, {"objects": []})])

    def _show(self) -> None:
        path = self.found.get(str(self.choice.value))
        if path is None:
            return
        parts: list[Any] = self._view.parts(path, path.stem, self._theme)
        # the page has its own title
        parts[0].object = parts[0].object.replace("<h1>", "<h3>").replace("</h1>", "</h3>")
        self._outbox.set([(self.shown, {"objects": parts})])
