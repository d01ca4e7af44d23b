"""The panes of the page of interventions: made once, and what belongs in each."""

from __future__ import annotations

from typing import Any

import panel as pn

from workbench.theatre.problem import MOST_PASSES
from workbench.views.cursor.screen import CursorScreen, box, card, html
from workbench.views.interventions.model import ACTIONS, PARTS
from workbench.views.parts.components import Choice, Download, FigurePane, Number

STATES = 3
"""Memories that are drawn: the recipient's, the donor's, and after the change."""


class InterventionScreen(CursorScreen):
    """Widgets, what becomes of the answers, and S before and after."""

    def __init__(self, view: Any) -> None:
        super().__init__(view)
        self.donor = Number("Donor")
        self.action = Choice("Action", options={text: name for name, text in ACTIONS.items()})
        self.part = Choice("Part of S", options={text: name for name, text in PARTS.items()})
        self.modes = Number("Modes of each head", start=1, end=64)
        self.changed = Number("Pass", start=1, end=MOST_PASSES)
        self.percent = Number("Scaled to, per cent", start=-200, end=400)
        own = {
            "donor": self.donor,
            "action": self.action,
            "part": self.part,
            "modes": self.modes,
            "changed": self.changed,
            "percent": self.percent,
        }
        self.bound = {n: w for n, w in self.bound.items() if n != "quantity"} | own
        self.watch(*own)
        self.said, self.problem, self.table = html("verdict"), html("problem"), html("changes")
        self.figure_pane = FigurePane(label="Logit differences of every query", svg=True)
        self.states = [FigurePane(svg=True) for _ in range(STATES)]
        self.state_names = [html("name") for _ in range(STATES)]
        self.recipient_picture, self.donor_picture = html("picture"), html("picture")
        self.pair_title, self.onward = html("heading"), html("onward")
        self.button = Download(view.save, label="Data (CSV)", css_classes=["small"])

    def layout(self) -> pn.Column:
        """Return everything, laid out."""
        setup = card("Setup", self.checkpoint, self.seed, self.passes, self.note)
        change = card(
            "The change",
            box("halves", self.example, self.donor),
            self.action,
            self.part,
            self.percent,
            self.modes,
            self.changed,
            box("bar", self.layer, self.gdn_head),
        )
        pair = card(None, self.pair_title, self.recipient_picture, self.donor_picture, self.onward)
        each = [
            box("state", n, pane) for n, pane in zip(self.state_names, self.states, strict=True)
        ]
        right = [
            box("panel stays", self.transport, self.boundary),
            card(None, self.timeline),
            card(
                "What becomes of the answers",
                self.problem,
                self.said,
                self.figure_pane,
                self.table,
                self.button,
            ),
            card("S, every head of the layer", box("thirds", *each)),
        ]
        return box("stepper", box("left", self.title, change, setup, pair), box("right", *right))
