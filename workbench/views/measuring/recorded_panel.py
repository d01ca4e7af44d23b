"""The bundled measurements of one checkpoint, below what a page shows of a single example."""

from __future__ import annotations

from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import panel as pn

from workbench.figures.theme import Theme
from workbench.measurements.shelf import bundled, menu_text
from workbench.views.measuring.view import MeasurementView
from workbench.views.parts.components import CSS, Choice, record_html
from workbench.views.parts.notices import show_error
from workbench.views.parts.outbox import Outbox
from workbench.views.parts.records import records_column
from workbench.views.parts.serial_queue import SerialQueue

LEVEL = 3
"""Of the heading of a measurement, below those of the page and of this part of it."""


class RecordedPanel:
    """What was measured over many examples and is bundled; follows the page's checkpoint."""

    def __init__(self, kinds: tuple[str, ...], outbox: Outbox) -> None:
        self._kinds, self._outbox = kinds, outbox
        self._view = MeasurementView(outbox)
        self._queue = SerialQueue(show_error)
        self._theme: Theme = "light"
        self.checkpoint: str | None = None
        self.found: dict[str, Path] = {}
        self.choice = Choice("Recorded measurement", width=360)
        self.choice.param.watch(lambda event: self._chosen(event.new), "value")
        self.head = record_html("")
        self.shown = records_column(classes=())
        choice = pn.Column(self.choice, css_classes=["recorded"], stylesheets=[CSS], margin=0)
        self.column = pn.Column(
            self.head, choice, self.shown, sizing_mode="stretch_width", margin=0
        )

    def follow(self, checkpoint: str, theme: Theme) -> None:
        """Show what is recorded of a checkpoint, in a theme."""
        self._queue.take(partial(self._follow, checkpoint, theme), key="follow")

    def _follow(self, checkpoint: str, theme: Theme) -> None:
        if theme != self._theme:
            self._theme = theme
            self._view.draw(theme)
        if checkpoint == self.checkpoint:
            return
        self.found = {
            name: path for kind in self._kinds for name, path in bundled(kind, checkpoint).items()
        }
        title = "<h2>Recorded over many examples</h2>"
        if not self.found:
            title += f"<p>Nothing is recorded for {escape(checkpoint)} yet; measure it below.</p>"
        names = {menu_text(name, path): name for name, path in self.found.items()}
        first = next(iter(self.found), None)
        changes = {"options": names, "value": first, "visible": len(names) > 1}
        self._outbox.set([(self.head, {"object": title}), (self.choice, changes)])
        self._show(first)
        self.checkpoint = checkpoint  # now that nothing failed, it need not be done again

    def _chosen(self, name: str | None) -> None:
        if not self._outbox.applying:
            self._queue.take(partial(self._show, name), key="show")

    def _show(self, name: str | None) -> None:
        path = self.found.get(str(name))
        parts: list[Any] = []
        if path is not None:
            parts = self._view.parts(path, path.stem, self._theme, level=LEVEL)
        self._outbox.set([(self.shown, {"objects": parts})])
