"""A finished run watched asleep on the page Experiment: the theatre, once a run is chosen."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import Any

import panel as pn

from workbench.lab.runs import Run
from workbench.theatre.asks import catalogue_of
from workbench.views.parts.components import CSS, Choice
from workbench.views.parts.notices import show_error
from workbench.views.parts.outbox import Changes, Outbox
from workbench.views.parts.serial_queue import SerialQueue
from workbench.views.parts.theatre import Theatre
from workbench.views.site.services import Services

NONE = "none"


class Asleep:
    """`choice` is of the selected runs that have finished; `stage` holds the theatre of one."""

    def __init__(self, shared: Services, outbox: Outbox) -> None:
        self.services, self._outbox = shared, outbox
        self._queue = SerialQueue(show_error)
        self.dark = False
        self.choice = Choice("Finished run", options={NONE: ""}, value="")
        self.stage = pn.Column(sizing_mode="stretch_width", margin=0)
        self.choice.param.watch(lambda event: self._queue.take(self._watch, key="watch"), "value")

    def options(self, runs: list[Run]) -> Changes:
        """Return the choice among those of `runs` that have finished."""
        names = [run.name for run in runs if run.state == "finished"]
        options = {NONE: "", **{name: name for name in names}}
        value = self.choice.value if self.choice.value in names else ""
        return [(self.choice, {"options": options, "value": value})]

    def paint(self, dark: bool) -> None:
        """Draw for a dark or a light page."""
        self.dark = dark
        for one in self.stage:
            if isinstance(one, Theatre):
                one.paint(dark)

    def _watch(self) -> None:
        """Work out the scene here; the page's thread only hands it over."""
        name = self.choice.value
        shown: list[Any] = []
        if name:
            ask = {"what": "scene", "name": f"runs/{name}"}
            answer = self.services.asks.answer(ask)
            if not answer.problem:
                self._outbox.set([], then=partial(self._open, ask))
                return
            words = f'<p class="note" role="status">{escape(answer.problem)}.</p>'
            shown = [pn.pane.HTML(words, stylesheets=[CSS], sizing_mode="stretch_width")]
        self._outbox.set([(self.stage, {"objects": shown})])

    def _open(self, ask: dict[str, str]) -> None:
        settings = {"theme": "dark" if self.dark else "light"}
        known = {n: folder for n, folder in self.services.folders().items() if n == ask["name"]}
        theatre = Theatre(
            self.services.asks,
            ask,
            outbox=self._outbox,
            catalogue=catalogue_of(known),
            place={"model": ask["name"]},
            settings=settings,
        )
        self.stage.objects = [theatre]
