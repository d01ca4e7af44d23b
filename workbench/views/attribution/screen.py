"""The panes of the page of attribution: made once, and what belongs in each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import panel as pn

from workbench.views.attribution.model import MOST_SAMPLES
from workbench.views.cursor.screen import CursorScreen, box, card, html
from workbench.views.parts.components import Choice, Download, FigurePane, Number
from workbench.views.parts.outbox import Changes

STOPS = ("panel stays", "panel")
"""Classes of the cards with the transport and the timeline."""


class AttributionScreen(CursorScreen):
    """Widgets, progress, and the attribution."""

    def __init__(self, view: Any) -> None:
        super().__init__(view)
        self.query, self.subject = Choice("Answer to"), Choice("Attribute to")
        self.method, self.baseline = Choice("Method"), Choice("Baseline")
        self.steps = Number("Steps of the path", start=2, end=1000)
        self.samples = Number("Samples of orders", start=1, end=MOST_SAMPLES)
        own = {
            "query": self.query,
            "subject": self.subject,
            "method": self.method,
            "baseline": self.baseline,
            "steps": self.steps,
            "samples": self.samples,
        }
        gone = ("quantity", "gdn_head")
        self.bound = {n: w for n, w in self.bound.items() if n not in gone} | own
        self.watch(*own)
        self.about, self.progress, self.facts = html("verdict"), html("progress"), html("facts")
        self.check, self.context, self.picture = html("check"), html("tokens"), html("picture")
        self.chart, self.onward = FigurePane(svg=True), html("onward")
        self.cancel = _button("Cancel", view.cancel)
        self.start = _button("Attribute", view.start)
        self.randomise = _button("Compare with shuffled parameters", view.check_parameters)
        self.button = Download(view.save, label="Data (CSV)", css_classes=["small"])
        self.stops = [box(STOPS[0], self.transport, self.boundary), box(STOPS[1], self.timeline)]

    def show_stops(self, shown: bool) -> Changes:
        """Return what shows or hides the stops; by a class, as cards are never hidden else."""
        gone = [] if shown else ["gone"]
        pairs = zip(self.stops, STOPS, strict=True)
        return [(card, {"css_classes": [*names.split(), *gone]}) for card, names in pairs]

    def layout(self) -> pn.Column:
        """Return everything, laid out."""
        asked = card(
            "The question",
            box("halves", self.seed, self.example),
            self.query,
            self.subject,
            self.method,
            self.baseline,
            self.steps,
            self.samples,
            self.layer,
        )
        setup = card("Setup", self.checkpoint, self.passes, self.note)
        buttons = box("bar", self.start, self.cancel, self.randomise, self.button)
        result = card(
            "What the answer is owed to",
            self.about,
            self.progress,
            self.context,
            self.chart,
            self.facts,
            self.check,
            buttons,
        )
        left = box("left", self.title, asked, setup, card("The example", self.picture, self.onward))
        right = [
            *self.stops,
            result,
        ]
        return box("stepper", left, box("right", *right))


def _button(label: str, on_press: Callable[[], None]) -> Download:
    """Return a button that saves nothing: it only tells."""
    return Download(on_press, label=label, visible=False, css_classes=["small"])
