"""The memory page: what is in S, how it changes, where it comes from, what can be read from it.

One trace under a cursor, and a card for each instrument (`workbench.views.memory.cards`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
import xarray as xr

from workbench import dims
from workbench.figures import shown_quantity
from workbench.figures.theme import Theme
from workbench.instruments.change import changes_of
from workbench.instruments.recorded import states_of
from workbench.theatre.csv_text import csv_of
from workbench.views.cursor import drawings, words
from workbench.views.cursor.cursor import Extent, TraceCursor
from workbench.views.cursor.screen import CursorScreen, box, card, heading, html
from workbench.views.cursor.traces import OWN, TraceStore, TraceView, key_of, trace_store
from workbench.views.cursor.view import CursorView, queued
from workbench.views.memory.card import Instrument, InstrumentCard
from workbench.views.memory.cards import INSTRUMENTS, SHARES
from workbench.views.parts.outbox import Changes

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint

NEAR = (SHARES.name,)
"""Cards that are drawn together with the cursor's move; the others follow when there is time."""


class MemoryScreen(CursorScreen):
    """Widgets, S, and next to it where it comes from; then the cards of the other instruments."""

    def __init__(self, view: Any) -> None:
        super().__init__(view)
        self.cards = {one.name: InstrumentCard(one, partial(view.save, one)) for one in INSTRUMENTS}
        self.picture, self.onward = html("picture"), html("onward")

    def layout(self) -> pn.Column:
        """Return everything, laid out."""
        setup = card(
            "Setup",
            self.checkpoint,
            box("halves", self.seed, self.example),
            self.passes,
            self.note,
            box("bar", self.layer, self.gdn_head),
        )
        memory = card(
            None,
            box("bar", heading("Fast weights S"), self.quantity),
            box("pair", self.heads, self.head),
        )
        cards = {name: one.layout() for name, one in self.cards.items()}
        return box(
            "stepper",
            box("left", self.title, setup, card("The example", self.picture, self.onward)),
            box(
                "right",
                box("panel stays", self.transport, self.boundary),
                card(None, self.timeline),
                box("main", memory, cards.pop(SHARES.name)),
                *cards.values(),
            ),
        )


class Memory(CursorView):
    """The memory page; `store` is that of the process unless another is given."""

    cursor_type = TraceCursor
    screen_type = MemoryScreen
    title = "Memory"
    what = "look into"
    after_sleep = True  # before a sleep there may be nothing to see
    screen: MemoryScreen

    def __init__(
        self, cursor: TraceCursor | None = None, *, store: TraceStore | None = None, **values: Any
    ) -> None:
        self.store = store or trace_store()
        super().__init__(cursor, shared=self.store.services, **values)

    def names(self) -> list[str]:
        """Return the checkpoints and traces to choose from."""
        return self.store.names()

    def find(self) -> Checkpoint | None:
        """Return the model that the cursor names; None for a trace of the user's own."""
        return None if self.cursor.checkpoint.startswith(OWN) else super().find()

    def run(self, checkpoint: Checkpoint | None) -> Extent:
        """Get the trace that the cursor names; an error is raised before anything changes."""
        cursor = self.cursor
        traced = self.store.get(key_of(cursor))
        states_of(traced.trace)  # without them there is nothing to show
        if checkpoint is None:
            cursor.param.update(passes=None, text="", queries="")
        self.traced = traced
        return traced.extent

    def busy(self) -> str:
        """Return what is being done while a trace is made."""
        own = self.cursor.checkpoint.startswith(OWN)
        return f"{self.cursor.checkpoint} is {'read' if own else 'recorded in its sleep'}"

    def contents(self, theme: Theme) -> Changes:
        """Return what the panes hold: the widgets, S, and the cards that are near."""
        cursor, traced, screen = self.cursor, self.traced, self.screen
        boundary, extent = cursor.boundary, cursor.extent
        at = traced.position(cursor.example)
        states = states_of(traced.one(cursor.example)).isel({dims.EXAMPLE: 0}, drop=True)
        changes = traced.ask(("memory change", at), lambda: changes_of(states, modes=0))
        change = changes["memory_change"]
        here = float(change.values[boundary])
        place = words.where(boundary, extent, here, traced.sleep)
        of_layer = states.sel({dims.LAYER: cursor.layer}, drop=True)
        last = extent.passes[boundary.window] + 1
        window = of_layer.isel({dims.WINDOW: boundary.window, dims.SLEEP_PASS: slice(0, last)})
        scale = ("scale", at, cursor.layer, cursor.quantity)
        limit = traced.ask(scale, lambda: _limit(of_layer, cursor.quantity))
        source = (traced, at)
        return [
            *screen.place(cursor, place, change, theme=theme, source=source),
            *self._setup(),
            *screen.matrices(cursor, window, limit=limit, theme=theme, source=source),
            *self._cards(NEAR, theme),
        ]

    def rest(self, theme: Theme) -> Changes:
        """Return what the other cards hold."""
        return self._cards([name for name in self.screen.cards if name not in NEAR], theme)

    def _cards(self, names: Sequence[str], theme: Theme) -> Changes:
        screen = self.screen
        each = [screen.cards[n].contents(screen, self.traced, self.cursor, theme) for n in names]
        return [change for changes in each for change in changes]

    def _setup(self) -> Changes:
        """Return note, picture of the example and links, which the trace decides."""
        cursor, traced, screen = self.cursor, self.traced, self.screen
        own = traced.source == "own"
        problem = traced.problem(cursor.example)
        note = _own_note(traced)
        if traced.checkpoint is not None:
            assert cursor.passes is not None
            note = words.trained_note(cursor.passes, traced.checkpoint.sleep)
            note += words.unlike_training(problem) if problem is not None else ""
        picture = ""
        if problem is not None:
            picture = drawings.draw(problem.picture)
            if cursor.text:
                picture += '<p class="note">Your own input; another example takes its place.</p>'
        link = ""
        if not own:
            link = words.onward("stepper", cursor, "Step through this sleep")
            link += words.onward_to_causes(cursor)
        return [
            (screen.seed, {"visible": not own}),
            (screen.passes, {"visible": not own}),
            (screen.note, {"object": note}),
            (screen.picture, {"object": picture}),
            (screen.onward, {"object": link}),
        ]

    @queued
    def save(self, instrument: Instrument) -> None:
        """Send an instrument's numbers to the browser, which saves them as a file."""
        cursor, button = self.cursor, self.screen.cards[instrument.name].button
        name = cursor.checkpoint.replace("/", "-")
        which = f"example-{cursor.example}-layer-{cursor.layer}-head-{cursor.gdn_head}"
        sleep = "" if cursor.passes is None else f"-seed-{cursor.seed}-n-{cursor.passes}"
        content = csv_of(instrument.data(self.traced, cursor))
        file = f"{name}{sleep}-{which}-{instrument.name}.csv"
        self._outbox.set([(button, button.saving(file, content))])


def _limit(states: xr.DataArray, quantity: str) -> float:
    """Return the largest absolute value that heatmaps show at any boundary; 1 where all is zero."""
    shown = np.abs(shown_quantity(states, quantity).values)
    return float(np.nanmax(shown, initial=0.0)) or 1.0


def _own_note(traced: TraceView) -> str:
    attributes = traced.trace.attrs
    model = attributes["checkpoint"] or "an unnamed model"
    return (
        f'<p class="note">A trace of {escape(str(model))}, {traced.examples} examples, N = '
        f"{attributes['n_sleep']}, recorded {escape(str(attributes['created_at'])[:10])}. No model "
        "is loaded.</p>"
    )
