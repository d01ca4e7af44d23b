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
    """Widgets, progress, and the attribution.

    Parameters
    ----------
    names : list of str
        Checkpoints to choose from.
    on_cancel, on_start, on_check, on_save : callable
        Called when a button is pressed.
    recorded, measure : object
        What was measured over many examples, and the form that measures more.
    **told
        As in `CursorScreen`.
    """

    def __init__(
        self,
        names: list[str],
        *,
        on_cancel: Callable[[], None],
        on_start: Callable[[], None],
        on_check: Callable[[], None],
        on_save: Callable[[], None],
        recorded: Any,
        measure: Any,
        **told: Any,
    ) -> None:
        super().__init__(names, title="Attribution", **told)
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
        self.cancel = _button("Cancel", on_cancel)
        self.start = _button("Attribute", on_start)
        self.randomise = _button("Compare with shuffled parameters", on_check)
        self.button = Download(on_save, label="Data (CSV)", css_classes=["small"])
        self.recorded, self.measure = recorded, measure
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
            card(None, self.recorded),
            card(None, self.measure),
        ]
        return box("stepper", left, box("right", *right))


def _button(label: str, on_press: Callable[[], None]) -> Download:
    """Return a button that saves nothing: it only tells."""
    return Download(on_press, label=label, visible=False, css_classes=["small"])
