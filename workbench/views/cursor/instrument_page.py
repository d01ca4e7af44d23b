"""What the pages of instruments share: a trace under a cursor, and a card for each instrument.

An `Instrument` says what its card shows and how its figures come from a `TraceView` and a cursor.
A page is a list of them in a layout: see `workbench.views.memory.page`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from typing import Any, ClassVar

import numpy as np
import panel as pn
import xarray as xr

from workbench import dims
from workbench.figures import shown_quantity
from workbench.figures.theme import Theme
from workbench.instruments.change import changes_of
from workbench.instruments.recorded import states_of
from workbench.views.cursor import drawings, words
from workbench.views.cursor.cursor import BoundaryIndex, Extent, TraceCursor
from workbench.views.cursor.instrument_card import Instrument, InstrumentCard, csv_of
from workbench.views.cursor.screen import CursorScreen, box, card, heading, html
from workbench.views.cursor.traces import OWN, TraceStore, TraceView, key_of, trace_store
from workbench.views.cursor.view import CursorView
from workbench.views.parts.outbox import Changes


class InstrumentScreen(CursorScreen):
    """Widgets, S, and the cards of instruments.

    Parameters
    ----------
    names : list of str
        Checkpoints and traces to choose from.
    title : str
        Title of the page.
    instruments : sequence of Instrument
        One a card, in this order.
    on_save : callable
        Told the instrument whose numbers are asked for.
    **told
        As in `CursorScreen`.
    """

    def __init__(
        self,
        names: list[str],
        *,
        title: str,
        instruments: Sequence[Instrument],
        on_save: Callable[[Instrument], None],
        **told: Any,
    ) -> None:
        super().__init__(names, title=title, **told)
        self.cards = {one.name: InstrumentCard(one, partial(on_save, one)) for one in instruments}
        self.picture, self.onward = html("picture"), html("onward")

    def left(self) -> pn.Column:
        """Return the column with the setup and the example."""
        setup = card(
            "Setup",
            self.checkpoint,
            box("halves", self.seed, self.example),
            self.passes,
            self.note,
            box("bar", self.layer, self.gdn_head),
        )
        return box("left", self.title, setup, card("The example", self.picture, self.onward))

    def walk(self) -> list[pn.Column]:
        """Return the cards with the transport, which stays in sight, and with the timeline."""
        return [box("panel stays", self.transport, self.boundary), card(None, self.timeline)]

    def memory(self) -> pn.Column:
        """Return the card with S."""
        return card(
            None,
            box("bar", heading("Fast weights S"), self.quantity),
            box("pair", self.heads, self.head),
        )

    def layout(self) -> pn.Column:
        """Return everything, laid out: a card below the other."""
        cards = [one.layout() for one in self.cards.values()]
        return box("stepper", self.left(), box("right", *self.walk(), self.memory(), *cards))


class InstrumentView(CursorView):
    """A page of instruments on one trace.

    Parameters
    ----------
    cursor : TraceCursor or None
        What to show first.
    at : TraceStore or None
        Where traces come from; None is the store of the process.
    """

    cursor_type = TraceCursor
    cursor: TraceCursor
    what = "look into"
    title: ClassVar[str] = "Instruments"
    instruments: ClassVar[tuple[Instrument, ...]] = ()
    near: ClassVar[tuple[str, ...]] = ()
    """Cards that are drawn with the cursor's move; the others follow as soon as there is time."""

    screen: InstrumentScreen

    def __init__(
        self, cursor: TraceCursor | None = None, *, store: TraceStore | None = None, **values: Any
    ) -> None:
        self.store = store or trace_store()
        super().__init__(cursor, **values)

    def make_screen(self) -> InstrumentScreen:
        """Return the panes."""
        return InstrumentScreen(self.names(), **self.screen_options())

    def screen_options(self) -> dict[str, Any]:
        """Return what a screen is made with."""
        return {
            "title": self.title,
            "instruments": self.instruments,
            "on_save": self.save,
            "choose": self.choose,
            "act": self.act,
            "jump": self.jump,
        }

    def names(self) -> list[str]:
        """Return the checkpoints and traces to choose from."""
        return self.store.names()

    def check(self) -> None:
        """Raise where the checkpoint cannot be had."""
        if not self.cursor.checkpoint.startswith(OWN):
            self.store.services.checkpoint(self.cursor.checkpoint)

    def run(self) -> None:
        """Get the trace that the cursor names; raises before anything changes."""
        cursor = self.cursor
        own = cursor.checkpoint.startswith(OWN)
        if not own and cursor.passes is None:
            trained = self.store.services.checkpoint(cursor.checkpoint).sleep
            cursor.passes = words.first_passes(trained)
        traced = self.store.get(key_of(cursor))
        states_of(traced.trace)  # without them there is nothing to be shown
        if own:
            cursor.param.update(passes=None, text="", queries="")
        # where nobody said where: after the last sleep, before it there may be nothing to see
        window = traced.slept(len(traced.passes) - 1)
        cursor.go_once(BoundaryIndex(window, traced.passes[window]))
        self.traced = traced

    def busy(self) -> str:
        """Return what is being done while a trace is made."""
        own = self.cursor.checkpoint.startswith(OWN)
        return f"{self.cursor.checkpoint} is {'read' if own else 'recorded in its sleep'}"

    @property
    def extent(self) -> Extent:
        """What the cursor ranges over."""
        return self.traced.extent

    @property
    def awake(self) -> tuple[bool, ...]:
        """Which windows are read awake."""
        return self.traced.awake

    def contents(self, theme: Theme) -> Changes:
        """Return what the panes hold: the widgets, S, and the cards that are near."""
        cursor, traced, screen = self.cursor, self.traced, self.screen
        boundary, one = cursor.boundary, traced.one(cursor.example)
        at = traced.position(cursor.example)
        states = states_of(one).isel({dims.EXAMPLE: 0}, drop=True)
        changes = traced.ask(("memory change", at), lambda: changes_of(states, modes=1))
        change = changes["memory_change"]
        here = float(change.values[boundary.window, boundary.sleep_pass])
        said = words.where(boundary, traced.passes, traced.awake, here, traced.sleep)
        of_layer = states.sel({dims.LAYER: cursor.layer}, drop=True)
        last = traced.passes[boundary.window] + 1
        window = of_layer.isel({dims.WINDOW: boundary.window, dims.SLEEP_PASS: slice(0, last)})
        scale = ("scale", at, cursor.layer, cursor.quantity)
        return [
            *screen.controls(traced.extent, boundary),
            *self._setup(),
            (screen.boundary, {"title": said[0], "sentence": said[1], "told": "", "busy": ""}),
            *screen.strip(
                change,
                passes=traced.passes,
                awake=traced.awake,
                boundary=boundary,
                theme=theme,
                source=(traced, at),
            ),
            *screen.matrices(
                cursor,
                window,
                limit=traced.ask(scale, lambda: _limit(of_layer, cursor.quantity)),
                awake=traced.awake[boundary.window],
                theme=theme,
                source=(traced, at),
            ),
            *self._cards(self.near, theme),
        ]

    def rest(self, theme: Theme) -> Changes:
        """Return what the other cards hold."""
        return self._cards([name for name in self.screen.cards if name not in self.near], theme)

    def _cards(self, names: Sequence[str], theme: Theme) -> Changes:
        return [
            change
            for name in names
            for change in self.screen.cards[name].contents(
                self.screen, self.traced, self.cursor, theme
            )
        ]

    def _setup(self) -> Changes:
        """Return note, picture of the example and links, which the traced decides."""
        cursor, traced, screen = self.cursor, self.traced, self.screen
        own = traced.source == "own"
        problem = traced.problem(cursor.example)
        note = _own_note(traced)
        if traced.checkpoint is not None:
            assert cursor.passes is not None
            note = words.trained_note(cursor.passes, traced.checkpoint.sleep)
            note += problem.unlike_training if problem is not None else ""
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

    def save(self, instrument: Instrument) -> None:
        """Send an instrument's numbers to the browser, which saves them as a file."""
        self._queue.take(partial(self._save, instrument))

    def _save(self, instrument: Instrument) -> None:
        button = self.screen.cards[instrument.name].button
        cursor, traced = self.cursor, self.traced
        name = cursor.checkpoint.replace("/", "-")
        which = f"example-{cursor.example}-layer-{cursor.layer}-head-{cursor.gdn_head}"
        sleep = "" if cursor.passes is None else f"-seed-{cursor.seed}-n-{cursor.passes}"
        content = csv_of(instrument.data(traced, cursor))
        file = f"{name}{sleep}-{which}-{instrument.name}.csv"
        changes = {"filename": file, "content": content, "serial": button.serial + 1}
        self._outbox.set([(button, changes)])


def _limit(states: xr.DataArray, quantity: str) -> float:
    """Return the largest absolute value that heatmaps show at any boundary; 1 where all is zero."""
    shown = np.abs(shown_quantity(states, quantity).values)
    return float(np.nanmax(shown, initial=0.0)) or 1.0


def _own_note(traced: TraceView) -> str:
    attributes = traced.trace.attrs
    model = attributes["checkpoint"] or "a model that is not named"
    return (
        f'<p class="note">A trace of {escape(str(model))}, {traced.examples} examples, N = '
        f"{attributes['n_sleep']}, recorded {escape(str(attributes['created_at'])[:10])}. No model "
        "is loaded.</p>"
    )
